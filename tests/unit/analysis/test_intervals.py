"""An interval needs five trials, is the same every time, and takes "not reached" for what it is."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.intervals import estimate


def test_one_repeat_has_no_interval():
    """Nor have four."""
    assert estimate([2.0]).low is None
    four = estimate([1.0, 2.0, 3.0, 4.0])
    assert (four.value, four.low, four.trials) == (2.5, None, 4)


def test_five_repeats_have_a_seeded_interval_around_the_median():
    """The same figures give the same interval."""
    found = estimate([1.0, 5.0, 2.0, 4.0, 3.0])
    assert found.value == 3.0
    assert found.low <= 3.0 <= found.high
    assert found == estimate([3.0, 1.0, 5.0, 2.0, 4.0])


def test_a_figure_that_most_trials_lack_is_withheld():
    """Too few arrivals in three of five."""
    assert estimate([1.0, None, None, None, 2.0]) is None
    assert estimate([]) is None
    assert estimate([math.nan]) is None


def test_not_reached_in_most_trials_is_not_reached():
    """Infinity is a large value, not a missing one."""
    found = estimate([1.0, 2.0, math.inf, math.inf, math.inf])
    assert (found.value, found.high) == (math.inf, math.inf)


@given(st.lists(st.floats(0, 1e9), min_size=5, max_size=12))
def test_the_interval_lies_within_what_was_measured(values):
    """And holds the middle of the trials, or comes as near as a trial does."""
    found = estimate(values)
    assert min(values) <= found.low <= found.high <= max(values)
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize(
    ("trials", "rank", "coverage"),
    [(5, 1, 0.938), (6, 1, 0.969), (7, 1, 0.984), (8, 1, 0.992), (10, 2, 0.979), (20, 6, 0.959)],
)
def test_the_interval_covers_the_median_as_often_as_it_says(trials, rank, coverage):
    """Between the k-th smallest and the k-th largest lies the true median with 1 - 2·P(Bin(n, ½) < k),
    whatever the distribution: never below 93 %, which five trials reach at most.
    """
    found = estimate([float(n) for n in range(1, trials + 1)])
    assert (found.low, found.high) == (rank, trials + 1 - rank)
    assert coverage == pytest.approx(
        1 - 2 * sum(math.comb(trials, k) for k in range(rank)) / 2**trials, abs=5e-4
    )
