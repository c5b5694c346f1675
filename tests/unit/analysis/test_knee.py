"""Whether a rung of a search kept its promise, which of two systems serves more, and what that costs."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from played_figures import GROWING, SATURATED, played, played_trial

from bench.analysis.across.knee import Crossover, Knee, kept, wins
from bench.analysis.across.search import Edge, Rung
from bench.analysis.trial.latency import arrivals_needed
from bench.objective import parse_objectives

COUNTS = st.integers(0, 500)


def keeps(text, f):
    return kept(f, parse_objectives(text))


# --- kept ---


def test_every_objective_must_be_met():
    """One that is missed is enough, whichever it is."""
    f = played(seconds=0.5, in_time=97)
    assert keeps("p95<1s, timeouts<5%", f)
    assert not keeps("p95<0.4s, timeouts<5%", f)
    assert not keeps("p95<1s, timeouts<2%", f)
    assert not keeps("p95<1s, intime>=98%", f)


def test_what_was_not_reached_keeps_no_limit():
    """One job in ten failed: p95 is infinite."""
    assert not keeps("p95<1h", played(in_time=90))
    assert keeps("p50<1h", played(in_time=90))


@pytest.mark.parametrize(("name", "p"), [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)])
def test_a_percentile_of_too_few_arrivals_is_not_taken_for_kept(name, p):
    """Nobody knows it, so nothing is promised; one arrival more, and it is known."""
    assert not keeps(f"{name}<1h", played(arrivals=arrivals_needed(p) - 1))
    assert keeps(f"{name}<1h", played(arrivals=arrivals_needed(p)))


def test_without_an_arrival_nothing_is_kept():
    """Not even that nothing was lost."""
    assert not keeps("lost<1%", played(arrivals=0))


def test_a_growing_backlog_keeps_nothing_for_long():
    """However short the times still were. A load above capacity alone is not held against it."""
    assert not keeps("p95<1s", played(None, GROWING))
    assert keeps("p95<1s", played(None, SATURATED))


@given(COUNTS, COUNTS, st.floats(0.001, 100), st.floats(0.001, 100))
def test_who_keeps_a_promise_keeps_a_weaker_one(arrivals, missed, seconds, limit):
    """With a longer limit, or with more of the jobs in time."""
    f = played(arrivals=arrivals, in_time=max(0, arrivals - missed), seconds=seconds)
    better = played(arrivals=arrivals, in_time=arrivals, seconds=seconds)
    if keeps(f"p90<{limit:.4f}s, timeouts<20%", f):
        assert keeps(f"p90<{2 * limit:.4f}s, timeouts<40%", f)
        assert keeps(f"p90<{limit:.4f}s, timeouts<20%", better)


# --- wins ---


def test_one_job_is_chance_and_two_of_a_hundred_are_not():
    """More than one job, and more than 1 % of the users."""
    assert not wins(played(in_time=91), played(in_time=90))
    assert wins(played(in_time=92), played(in_time=90))


def test_of_many_jobs_it_takes_more_than_one_percent():
    """Ten of a thousand are within it, eleven are not."""
    assert not wins(played(arrivals=1000, in_time=910), played(arrivals=1000, in_time=900))
    assert wins(played(arrivals=1000, in_time=911), played(arrivals=1000, in_time=900))


def test_of_few_jobs_it_takes_two():
    """One of twenty is 5 % of the users, and chance."""
    assert not wins(played(arrivals=20, in_time=19), played(arrivals=20, in_time=18))
    assert wins(played(arrivals=20, in_time=20), played(arrivals=20, in_time=18))


def test_who_had_no_arrival_neither_wins_nor_is_beaten():
    """There is no share to compare."""
    assert not wins(played(arrivals=0), played(in_time=10))
    assert not wins(played(in_time=10), played(arrivals=0))


@given(st.integers(1, 500), COUNTS, COUNTS)
def test_only_one_of_two_wins_and_it_is_the_one_with_more_in_time(arrivals, ours, theirs):
    """Being better still never takes a win away."""
    a, b = min(ours, arrivals), min(theirs, arrivals)
    left, right = played(arrivals=arrivals, in_time=a), played(arrivals=arrivals, in_time=b)
    assert not (wins(left, right) and wins(right, left))
    assert not wins(left, right) or a > b
    if wins(left, right):
        assert wins(played(arrivals=arrivals, in_time=arrivals), right)


# --- what is told of a search ---


def pair(rate, ours, theirs):
    trial = played_trial(rate)
    return played(trial, seconds=ours), played(trial, seconds=theirs)


def crossover(low, *pairs):
    return Crossover("gunicorn", 2, Edge(low, math.inf), (), pairs)


def test_the_cost_is_the_median_difference_at_the_lowest_rate_below():
    """Not at the edge, where both queue."""
    found = crossover(4.0, pair(4.0, 0.9, 0.5), pair(2.0, 0.35, 0.2), pair(8.0, 0.1, 0.9))
    assert found.cost == pytest.approx(0.15)


def test_the_cost_may_be_a_gain():
    """Then it is negative."""
    assert crossover(4.0, pair(2.0, 0.2, 0.5)).cost == pytest.approx(-0.3)


def test_there_is_no_cost_where_nothing_was_measured_below():
    """It wins at every rate that was tried; or no median is known there."""
    assert crossover(0.0, pair(2.0, 0.2, 0.5)).cost is None
    few = played(played_trial(2.0), arrivals=3)
    assert crossover(4.0, (few, few)).cost is None


def test_a_median_that_was_not_reached_gives_no_finite_cost():
    """Half of ours failed."""
    ours = played(played_trial(2.0), in_time=40)
    assert crossover(4.0, (ours, played(played_trial(2.0)))).cost == math.inf


def test_a_knee_has_the_figures_of_the_rates_that_could_be_believed():
    """None where there are none, as at the rate 0 of a system that keeps nothing."""
    f = played(played_trial(3.0))
    knee = Knee(2, Edge(3.0, 4.0), 20.0, (Rung(3.0, True), Rung(4.0, None)), (f,))
    assert knee.at(3.0) is f
    assert knee.at(4.0) is None
    assert knee.at(0.0) is None
