"""Claims: from rows of trials to a statistic, and from a statistic to a verdict."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bench.analysis.comparing.claims import Limits, Measure, MeasureError, judge, values

ROWS = [
    {"repeat": r, "system": s, "workers": w, "s": 0.5 * n, "took": t * r, "word": "x"}
    for r in (1, 2)
    for n, (s, w, t) in enumerate((("a", 1, 6.0), ("a", 2, 3.0), ("b", 1, 2.0)), start=1)
]


def row(**more):
    return {"repeat": 1, **more}


def test_a_value_is_taken_from_the_one_trial_that_fits():
    """One value a repeat, in order of repeats."""
    assert values(Measure("took", {"system": ("a",), "workers": (2,)}), ROWS) == [3.0, 6.0]


def test_a_ratio_keeps_what_the_other_side_does_not_say():
    """`over = {workers = 2}` means the same system with two workers."""
    measure = Measure("took", {"system": ("a",), "workers": (1,)}, over={"workers": (2,)})
    assert values(measure, ROWS) == [2.0, 2.0]


def test_a_figure_in_multiples_of_another_of_the_same_trial():
    """`per` divides within the trial; `scale` projects."""
    measure = Measure("took", {"system": ("b",)}, per="s", scale=3.0)
    assert values(measure, ROWS) == pytest.approx([4.0, 8.0])


@pytest.mark.parametrize(
    ("combine", "expected"), [("max", 6.0), ("min", 2.0), ("median", 3.0), ("sum", 11.0)]
)
def test_several_trials_of_a_repeat_are_combined_as_told(combine, expected):
    """The worst of all loads, the sum over parts, …"""
    assert values(Measure("took", combine=combine), ROWS)[0] == expected


def test_several_trials_are_an_error_where_nothing_is_said():
    """A claim that means one trial and selects three is wrong, not lucky."""
    with pytest.raises(MeasureError, match="3 trials of one repeat"):
        values(Measure("took"), ROWS)


@given(st.floats(0.2, 3.0), st.floats(0.1, 10.0))
def test_the_exponent_of_a_power_law_is_found(exponent, factor):
    """1 for what grows in proportion, 2 for a square."""
    rows = [row(x=x, y=factor * x**exponent) for x in (0.25, 0.5, 1.0)]
    assert values(Measure("y", against="x"), rows) == pytest.approx([exponent])


def test_an_exponential_has_an_exponent_above_its_limit():
    """e to the power of x, from 1 to 4: what the claim of exponential growth asks for."""
    rows = [row(x=x, y=math.exp(x)) for x in (1.0, 2.0, 4.0)]
    assert values(Measure("y", against="x"), rows)[0] > 1.5


@pytest.mark.parametrize(
    "measure",
    [Measure("nothing"), Measure("word"), Measure("took", {"colour": ("red",)}), Measure("took", per="no")],
)
def test_a_measure_that_does_not_fit_says_what_there_is(measure):
    """A misspelt column is a clear error."""
    with pytest.raises(MeasureError, match=r"trials have no|is no number"):
        values(measure, ROWS[:1])


def test_what_was_never_reached_is_a_value():
    """A percentile at infinity over a finite one is infinite; infinity over infinity says nothing."""
    rows = [row(system="a", took=math.inf), row(system="b", took=2.0), row(system="c", took=math.inf)]
    assert values(Measure("took", {"system": ("a",)}, over={"system": ("b",)}), rows) == [math.inf]
    assert math.isnan(values(Measure("took", {"system": ("a",)}, over={"system": ("c",)}), rows)[0])


def test_zero_by_zero_says_nothing_and_something_by_zero_is_beyond_all():
    """No waste against no waste is no ratio."""
    rows = [row(system="a", took=0.0), row(system="b", took=0.0), row(system="c", took=1.0)]
    assert math.isnan(values(Measure("took", {"system": ("a",)}, over={"system": ("b",)}), rows)[0])
    assert values(Measure("took", {"system": ("c",)}, over={"system": ("b",)}), rows) == [math.inf]


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ([12.0], "reproduced"),
        ([10.5], "can't tell"),  # within the margin of a tenth
        ([9.5], "can't tell"),
        ([8.0], "refuted"),
        ([12.0, 8.0], "can't tell"),
        ([12.0, 14.0], "reproduced"),
        ([math.inf], "reproduced"),
        ([], "can't tell"),
        ([math.nan], "can't tell"),
        ([10.2, 10.3, 10.2, 10.3, 10.2], "reproduced"),  # five have an interval, and need no margin
        ([9.0, 12.0, 10.0, 9.5, 11.0], "can't tell"),
    ],
)
def test_the_verdict_needs_all_that_was_measured_on_one_side(found, verdict):
    """Few repeats must be clear of the limit by the margin; five or more by their interval."""
    assert judge(found, Limits(above=10.0)).verdict == verdict


def test_a_count_of_none_refutes_more_than_none():
    """Zero has no margin: nobody died is nobody died."""
    assert judge([0.0], Limits(above=0.0)).verdict == "refuted"
    assert judge([1.0], Limits(above=0.0)).verdict == "reproduced"


@given(st.lists(st.floats(0.01, 100.0), min_size=1, max_size=8), st.floats(0.1, 50.0))
def test_opposite_claims_have_opposite_verdicts(found, limit):
    """What reproduces "above" refutes "below"; the limit itself is neither."""
    assume(all(abs(value / limit - edge) > 1e-9 for value in found for edge in (0.9, 1.0, 1.1)))
    above, below = judge(found, Limits(above=limit)).verdict, judge(found, Limits(below=limit)).verdict
    assert {above, below} in ({"can't tell"}, {"reproduced", "refuted"})


def test_one_infinite_or_missing_point_leaves_no_exponent():
    """The last wait, which nobody lived to see, would be the one that makes the difference."""
    for last in (math.inf, 0.0, None):
        rows = [row(x=x, y=y) for x, y in ((1.0, 1.0), (2.0, 2.0), (4.0, last))]
        assert math.isnan(values(Measure("y", against="x"), rows)[0])


def test_a_missing_figure_is_not_passed_over_by_the_greatest_or_least():
    """Wherever it stands among the others."""
    for order in ((1.0, None), (None, 1.0)):
        for combine in ("max", "min", "median", "sum"):
            found = values(Measure("took", combine=combine), [row(took=t) for t in order])
            assert math.isnan(found[0])
