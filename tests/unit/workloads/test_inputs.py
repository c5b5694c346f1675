"""Reading what came from outside: every bad value gets one clear line, and none costs much."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads import InvalidInput, from_text, load_task, parse_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\xfa", "not JSON"),
        (b"NaN", "NaN is not a JSON number"),
        (b"[-Infinity]", "-Infinity is not a JSON number"),
        (b'{"n": 1e400}', "1e400 is too large"),
        (b"-1e999", "-1e999 is too large"),
        (b"9" * 5_000, "a number of 5,000 digits"),
        (b"[" * 200_000, "nested too deeply"),
    ],
)
def test_what_is_not_usable_json_is_refused_in_one_line(body, why):
    """Also numbers so long that reading them would keep the server busy."""
    with pytest.raises(InvalidInput, match=why) as caught:
        parse_json(body)
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(JSON.filter(lambda value: "nan" not in repr(value) and "inf" not in repr(value)))
def test_json_that_people_send_reads_as_it_was_written(value):
    """Strictness costs nobody who sends JSON."""
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ("0.5", 0.5), ('{"n": 5}', {"n": 5}), ("five", "five"), ("", ""), ("NaN", "NaN")],
)
def test_text_in_an_address_is_json_where_it_can_be(text, value):
    """`?no=5` is the number 5, `?no=five` the text."""
    assert from_text(text) == value


def test_a_giant_number_is_refused_without_being_written_out():
    """The message says how long it is; writing its digits down would take seconds."""
    begun = time.process_time()
    with pytest.raises(InvalidInput, match="a number of about 602,0"):
        load_task("factorial").check(1 << 2_000_000)
    assert time.process_time() - begun < 2


@settings(deadline=None)
@given(st.sampled_from(["factorial", "spin", "sleep", "memory", "caption"]), JSON)
def test_no_input_whatever_breaks_a_check(name, value):
    """A check answers with a normalised input, the same when checked again, or with one line."""
    task = load_task(name)
    try:
        checked = task.check(value)
    except InvalidInput as error:
        refusal = str(error)
    else:
        assert task.check(checked) == checked
        json.dumps(checked, allow_nan=False)
        return
    assert "\n" not in refusal
    assert len(refusal) < 400


BAD_NUMBERS = [-1, -0.5, float("nan"), float("inf"), 10**9, 10**400, "5", "five", "", True, None, [], [1], {}]


@pytest.mark.parametrize("value", BAD_NUMBERS, ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("factorial", lambda v: v),
        ("factorial", lambda v: {"n": v}),
        ("spin", lambda v: v),
        ("spin", lambda v: {"seconds": v}),
        ("sleep", lambda v: v),
        ("sleep", lambda v: {"seconds": v}),
        ("memory", lambda v: {"mb": v, "seconds": 0}),
        ("memory", lambda v: {"mb": 1, "seconds": v}),
    ],
)
def test_every_task_refuses_what_is_no_sensible_number(name, form, value):
    """Negative, huge, not finite, text, true, null, containers: InvalidInput, before any work is done."""
    with pytest.raises(InvalidInput) as caught:
        load_task(name).check(form(value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("factorial", 5.0, "whole number, not 5.0"),
        ("factorial", 1_000_001, "from 0 to 1,000,000"),
        ("factorial", {"n": 5, "m": 1}, "unknown field 'm'"),
        ("factorial", {"m": 5}, "lacks n"),
        ("spin", {"seconds": 1, "gil": "maybe"}, '"held" or "released"'),
        ("spin", {"seconds": 1, "gil": ["held"]}, '"held" or "released"'),
        ("spin", {"gil": "held"}, "lacks seconds"),
        ("sleep", 3_601, "from 0 to 3,600"),
        ("memory", 64, "must look like"),
        ("memory", {"mb": 64}, "lacks seconds"),
        ("memory", {"mb": 0, "seconds": 1}, "from 1 to 65,536"),
    ],
)
def test_the_refusal_says_what_was_wanted(name, value, why):
    """The user can mend the input from the message alone."""
    with pytest.raises(InvalidInput, match=why):
        load_task(name).check(value)
