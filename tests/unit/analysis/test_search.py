"""The search for the edge: where it looks next, when it ends, and between which rates the edge lies."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.across.search import MOST_RUNGS, Bounds, Rung, edge, next_rate

BOUNDS = Bounds(start=4.0, lowest=0.1, highest=100.0)


def climb(answer, bounds=BOUNDS):
    """Search to the end, asking `answer(rate, how many rungs so far)`."""
    rungs: list[Rung] = []
    while (rate := next_rate(rungs, bounds)) is not None:
        rungs.append(Rung(rate, answer(rate, len(rungs))))
    return rungs


@given(st.floats(0.2, 80.0), st.floats(0.2, 80.0))
def test_the_edge_is_enclosed_within_the_precision(truth, start):
    """Wherever the edge is and wherever the search begins."""
    rungs = climb(lambda rate, _: rate <= truth, Bounds(start, 0.1, 100.0))
    found = edge(rungs)
    assert found.low <= truth < found.high
    assert found.high / found.low <= 1.1 + 1e-9
    assert len(rungs) < MOST_RUNGS


@given(st.floats(0.2, 80.0))
def test_both_sides_of_the_edge_were_tried_twice(truth):
    """One lucky trial is not the answer."""
    rungs = climb(lambda rate, _: rate <= truth)
    found = edge(rungs)
    assert sum(r.rate == found.low for r in rungs) >= 2
    assert sum(r.rate == found.high for r in rungs) >= 2


def test_a_system_that_always_keeps_its_promise_has_no_upper_end():
    """The search ends at the highest rate that it may ask, tried twice, and asks for none beyond."""
    rungs = climb(lambda *_: True)
    assert max(rung.rate for rung in rungs) == BOUNDS.highest
    assert [rung.rate for rung in rungs].count(BOUNDS.highest) == 2
    assert edge(rungs).high == math.inf
    assert edge(rungs).low == BOUNDS.highest == edge(rungs).middle


def test_a_system_that_never_does_has_no_lower_end():
    """The search ends at the lowest, tried twice."""
    rungs = climb(lambda *_: False)
    assert min(rung.rate for rung in rungs) == BOUNDS.lowest
    assert [rung.rate for rung in rungs].count(BOUNDS.lowest) == 2
    assert (edge(rungs).low, edge(rungs).high) == (0.0, BOUNDS.lowest)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 40.0))
def test_chance_at_the_edge_neither_loops_nor_leads_far_astray(seed, truth):
    """Within a fifth of the edge every answer is a coin's: the search ends, and near it."""
    coin = random.Random(seed)
    rungs = climb(lambda rate, _: coin.random() < 0.5 if 0.8 < rate / truth < 1.25 else rate <= truth)
    assert len(rungs) <= MOST_RUNGS
    assert 0.7 * truth < edge(rungs).middle < 1.4 * truth


def test_a_rate_that_disagrees_with_itself_is_decided_by_the_third_trial():
    """Kept, not kept, kept: kept."""
    rungs = [Rung(4.0, True), Rung(4.2, False), Rung(4.0, False), Rung(4.0, True), Rung(4.2, False)]
    assert edge(rungs).low == 4.0
    assert next_rate(rungs, BOUNDS) is None


def test_trials_that_must_not_be_believed_count_for_neither_side():
    """The same rate is tried again, three times at most."""
    assert next_rate([Rung(4.0, None)], BOUNDS) == 4.0
    assert next_rate([Rung(4.0, None)] * 3, BOUNDS) is None
    assert edge([Rung(4.0, None)]).high == math.inf
    rungs = [Rung(4.0, True), Rung(4.2, None)]
    assert edge(rungs).low == 4.0


def test_rates_that_can_not_be_measured_end_the_search_below_them():
    """Where the generator is the limit, the edge is hidden, and no trial is wasted far above."""
    rungs = climb(lambda rate, _: True if rate < 10 else None)
    found = edge(rungs)
    assert found.low < 10 <= found.blind <= 1.2 * found.low
    assert found.hidden
    assert found.high == math.inf
    assert max(rung.rate for rung in rungs) < 10 * 1.5


@pytest.mark.parametrize("at", [0.0, 1.0])
def test_an_endless_row_of_unbelievable_trials_ends(at):
    """A machine on which nothing can be measured does not search for ever."""
    rungs = climb(lambda rate, n: None if n % 2 or at else rate < 3)
    assert len(rungs) <= MOST_RUNGS
