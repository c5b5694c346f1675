"""The published variant's small parts."""

import json
import sys

import pytest

from queued.as_published.consumer import encode


@pytest.mark.parametrize("digits", ["0", "120", "-5", "9" * 10_000])
def test_digits_go_as_a_json_number(digits: str) -> None:
    """A whole number in decimal text becomes a JSON number, however long, digit for digit."""
    body = encode("id", digits)
    assert f'"output": {digits}}}' in body.decode()
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        assert json.loads(body) == {"id": "id", "status": "done", "output": int(digits)}
    finally:
        sys.set_int_max_str_digits(before)


@pytest.mark.parametrize("output", ["007", "", "1.5", "12a", "٣", "-", {"a": 1}, 5, None, [1], 0.25])
def test_everything_else_goes_as_the_json_it_is(output: object) -> None:
    """What only looks like a number stays what it is."""
    assert json.loads(encode("id", output)) == {"id": "id", "status": "done", "output": output}
