"""How many workers: the fewest that are enough, and none where none is."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.queueing import MDc, MMc
from bench.analysis.queueing.sizing import Demand, possible, predict, workers_for


@settings(deadline=None, max_examples=40)
@given(st.floats(0.1, 50), st.floats(0.01, 2), st.floats(1.01, 6))
def test_the_fewest_that_are_enough_are_found(rate: float, service_time: float, patience: float) -> None:
    """With them the limit holds, with one fewer it does not; a higher rate never needs fewer."""
    demand, limits = Demand(rate, service_time), {"p95": patience * service_time}
    best = workers_for(demand, limits)
    assert best is not None
    assert best.value("p95") <= limits["p95"]
    if best.workers > 1:
        assert predict(demand, best.workers - 1).value("p95") > limits["p95"]
    more = workers_for(Demand(1.3 * rate, service_time), limits)
    assert more is not None
    assert more.workers >= best.workers


def test_a_thousand_workers_are_counted_at_once() -> None:
    """A million jobs an hour of 3 s each: just above the load, for a large queue needs little reserve."""
    best = workers_for(Demand(1e6 / 3600, 3.0), {"p95": 3.5})
    assert best is not None
    assert 834 <= best.workers < 900


def test_what_no_number_of_workers_can_keep_is_told() -> None:
    """A job that takes longer than it may, by itself or with what it pays beside."""
    assert workers_for(Demand(1.0, 1.0), {"p95": 0.9}) is None
    assert workers_for(Demand(1.0, 1.0, overhead=0.2), {"p95": 1.1}) is None
    assert workers_for(Demand(1.0, 1.0, variation=1.0), {"p99": 2.0}) is None
    assert not possible(Demand(1.0, 1.0), {"p50": 2.0, "mean": 0.5})


def test_all_limits_count() -> None:
    """The strictest decides, whichever it is; percentiles that nobody asked for are told as well."""
    demand = Demand(9.0, 1.0)
    loose, strict = (
        workers_for(demand, {"p50": 1.5}),
        workers_for(demand, {"p50": 1.5, "p99.9": 1.2, "mean": 2}),
    )
    assert loose is not None
    assert strict is not None
    assert strict.workers > loose.workers
    assert strict.value("p99.9") <= 1.2
    assert {0.5, 0.95, 0.99, 0.999} <= set(strict.percentiles)


def test_constant_jobs_are_exact_and_varying_ones_near_it() -> None:
    """Overhead is added to each; exponential service times simulated agree with M/M/c."""
    exact = predict(Demand(2.4, 1.0, overhead=0.1), 3)
    assert exact.mean == pytest.approx(MDc(2.4, 1.0, 3).mean_wait + 1.1)
    assert not exact.simulated
    simulated, known = predict(Demand(2.4, 1.0, variation=1.0), 3), MMc(2.4, 1.0, 3)
    assert simulated.simulated
    assert simulated.mean == pytest.approx(known.mean_response, rel=0.03)
    assert simulated.must_wait == pytest.approx(known.must_wait)


def test_too_few_workers_have_no_steady_state() -> None:
    """Infinite, whatever is asked."""
    found = predict(Demand(4.0, 1.0), 4)
    assert (found.utilisation, found.must_wait, found.mean) == (1.0, 1.0, math.inf)
    assert set(found.percentiles.values()) == {math.inf}
