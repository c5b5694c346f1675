"""Results are checked, cheaply."""

import json
import math
import sys

import pytest

from bench.load.verifier import Verifier
from workloads import UnknownTask


def body(output) -> bytes:
    return json.dumps({"output": output}).encode()


def digits(n: int) -> str:
    """n! in decimal: past Python's limit on digits, which a server lifts for its whole process."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return str(math.factorial(n))
    finally:
        sys.set_int_max_str_digits(limit)


def test_right_results_pass_and_wrong_ones_are_told():
    """The task's own check decides."""
    verifier = Verifier("spin", {"seconds": 0.1, "gil": "held"})
    assert verifier.objection(body({"seconds": 0.1})) == ""
    assert "0.1 s" in verifier.objection(body({"seconds": 0.01}))


@pytest.mark.parametrize("answer", [b"", b"[]", b'"x"', b"{}", b"<html>"])
def test_an_answer_without_an_output_is_wrong(answer):
    """Whatever else it is."""
    assert "output" in Verifier("spin", 0.1).objection(answer)


def test_a_large_result_is_checked_once_and_recognised_after_that():
    """The digits of a factorial: text or number, each answer is checked by the task the first time only."""
    verifier = Verifier("factorial", 3000)
    right = digits(3000)
    wrong = right[:-1] + "1"
    for answer in (body(right), b'{"output": ' + right.encode() + b"}"):
        assert not verifier.knows(answer)
        assert verifier.objection(answer) == ""
        assert verifier.knows(answer)
    assert verifier.objection(body(wrong))
    assert not verifier.knows(body(wrong))


def test_a_function_of_ones_own_is_not_imported_to_be_checked():
    """Any JSON value is a result of it; its module may be heavy and stays out of the generator."""
    verifier = Verifier("no_such_module:function", 1)
    assert verifier.objection(body([1, None])) == ""
    assert verifier.objection(body(None)) == ""


def test_a_check_that_breaks_on_a_strange_output_makes_it_wrong(monkeypatch):
    """And not the generator."""
    verifier = Verifier("spin", 0.1)
    monkeypatch.setattr(verifier, "_verify", lambda value, output: output["x"])
    assert "can't be checked: TypeError" in verifier.objection(body(3))


def test_an_unknown_task_is_told():
    """One line that says which there are."""
    with pytest.raises(UnknownTask, match="there is no task"):
        Verifier("nonsense", 1)
