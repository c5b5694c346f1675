"""How many workers: the fewest that are enough, and none where none is."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.queueing import MDc, MGc, MMc
from bench.analysis.queueing.model import Overhead
from bench.analysis.queueing.sizing import Demand, possible, predict, useful, workers_for


@settings(deadline=None, max_examples=20)
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
    assert workers_for(Demand(1.0, 1.0, overhead=Overhead(after=0.2)), {"p95": 1.1}) is None
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
    exact = predict(Demand(2.4, 1.0, overhead=Overhead(after=0.1)), 3)
    assert exact.mean == pytest.approx(MDc(2.4, 1.0, 3).mean_wait + 1.1)
    assert exact.method == "exact"
    simulated, known = predict(Demand(2.4, 1.0, variation=1.0), 3), MMc(2.4, 1.0, 3)
    assert simulated.method == "simulation"
    assert simulated.mean == pytest.approx(known.mean_response, rel=0.03)
    assert simulated.must_wait == pytest.approx(known.must_wait, rel=0.03)


def test_too_few_workers_have_no_steady_state() -> None:
    """Infinite, whatever is asked."""
    found = predict(Demand(4.0, 1.0), 4)
    assert (found.utilisation, found.must_wait, found.mean) == (1.0, 1.0, math.inf)
    assert set(found.percentiles.values()) == {math.inf}


@settings(deadline=None, max_examples=20)
@given(st.floats(0.1, 30), st.integers(1, 60), st.floats(0.0, 0.1), st.just(0.0) | st.floats(0.01, 0.5))
def test_more_workers_and_fewer_jobs_never_wait_longer(
    load: float, spare: int, held: float, poll: float
) -> None:
    """Percentiles and mean, with polling and with a worker that needs time between two jobs."""
    demand = Demand(load, 1.0, overhead=Overhead(0.01, 0.01, 0.01, poll, held))
    workers = math.floor(demand.load * (1 + held)) + spare
    some, more = predict(demand, workers), predict(demand, workers + 1)
    calmer = predict(Demand(0.8 * load, 1.0, overhead=demand.overhead), workers)
    for metric in ("mean", "p50", "p95", "p99"):
        assert more.value(metric) <= some.value(metric) + 1e-6
        assert calmer.value(metric) <= some.value(metric) + 1e-6


@settings(deadline=None, max_examples=25)
@given(st.floats(0.3, 0.75), st.integers(1, 5), st.floats(0.0, 0.1), st.floats(0.1, 0.7))
def test_the_exact_way_and_the_simulation_are_one(
    utilisation: float, workers: int, held: float, poll: float
) -> None:
    """Mean with polls and turnaround, by the sum over polls and job by job."""
    overhead = Overhead(0.02, 0.01, 0.005, poll, held)
    demand = Demand(utilisation * workers / (1 + held), 1.0, overhead=overhead)
    exact = predict(demand, workers)
    random = np.random.default_rng(2)
    arrivals = np.cumsum(random.exponential(1 / demand.rate, 60_000))
    times = demand.model(workers).responses(arrivals, demand.rate)[2_000:]
    assert exact.method == "exact"
    assert exact.mean == pytest.approx(float(times.mean()), rel=0.12)


def test_scarce_cores_make_more_workers_useless() -> None:
    """Two workers on 1.5 vCPU are slower than two on two; a fifth worker finds nothing to compute on; and
    where the cores are too few no number helps.
    """
    free, tight = Demand(4.0, 0.25), Demand(4.0, 0.25, cores=1.5)
    assert predict(tight, 2).mean > predict(free, 2).mean
    assert math.isnan(predict(tight, 2).must_wait)
    assert useful(tight) == 2
    assert useful(free) > 1000
    assert useful(Demand(4.0, 0.25, cpu=0.05, cores=1.5)) == 8
    assert workers_for(Demand(8.0, 0.25, cores=1.5), {"p95": 60.0}) is None
    assert workers_for(Demand(5.0, 0.25, cores=1.5, overhead=Overhead(cpu=0.2)), {"p95": 60.0}) is None


def test_a_poll_is_waited_for() -> None:
    """A result that is there just after a poll is seen at the next one; the first poll is one interval after
    the acceptance; without polls it is there at once.
    """
    polled = Overhead(before=0.1, after=0.01, accepted=0.1, poll=0.5)
    assert polled.response(np.array([0.2, 0.5, 0.51, 1.2])) == pytest.approx([0.61, 0.61, 1.11, 1.61])
    assert Overhead(before=0.1, after=0.01).response(np.array([0.2])) == pytest.approx([0.31])


@pytest.mark.parametrize("variation", [0.0, 0.5, 1.0])
def test_thousands_of_busy_workers_are_planned_by_a_formula_that_is_good_there(variation: float) -> None:
    """A simulation that is too short to see the queue come and go would promise too much: at 3,401 workers
    for 3,400 the mean wait of exponential jobs is a whole service time.
    """
    near = predict(Demand(3400, 1.0, variation), 3401)
    assert near.method == "approximation"
    assert near.mean == pytest.approx(MGc(3400, 1.0, 3401, variation).mean_response, rel=0.01)
    calm = predict(Demand(3400, 1.0, variation), 3600)
    assert calm.method == "simulation"
    assert calm.mean == pytest.approx(MGc(3400, 1.0, 3600, variation).mean_response, rel=0.01)
