"""The queue job by job, against the formulas and against what must hold of any queue."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.queueing import MDc, MMc
from bench.analysis.queueing.simulation import fifo_starts

TIMES = st.lists(st.floats(0, 10), min_size=1, max_size=60)


@given(TIMES, st.integers(1, 5), st.data())
def test_no_server_does_two_jobs_and_none_idles_while_one_waits(
    gaps: list[float], servers: int, data: st.DataObject
) -> None:
    """Nobody starts before arriving or out of turn; who waits does so because all are busy."""
    arrivals = np.cumsum(gaps)
    work = np.array(data.draw(st.lists(st.floats(0, 10), min_size=len(gaps), max_size=len(gaps))))
    starts = fifo_starts(arrivals, work, servers)
    ends = starts + work
    assert np.all(starts >= arrivals - 1e-9)
    assert np.all(np.diff(starts) >= -1e-9)
    for i, start in enumerate(starts):
        running = np.count_nonzero((starts[:i] <= start) & (ends[:i] > start + 1e-6))
        assert running < servers
        if start > arrivals[i] + 1e-6:
            just_before = start - 1e-7
            busy = np.count_nonzero((starts[:i] <= just_before) & (ends[:i] >= just_before))
            assert busy >= servers


@given(TIMES, st.data())
def test_one_server_is_the_same_by_both_ways(gaps: list[float], data: st.DataObject) -> None:
    """The running maximum says what the loop over jobs says."""
    arrivals = np.cumsum(gaps)
    work = np.array(data.draw(st.lists(st.floats(0, 10), min_size=len(gaps), max_size=len(gaps))))
    free, expected = 0.0, []
    for arrival, service_time in zip(arrivals, work, strict=True):
        expected.append(max(arrival, free))
        free = expected[-1] + service_time
    assert fifo_starts(arrivals, work, 1) == pytest.approx(expected)


def test_long_runs_agree_with_the_formulas() -> None:
    """Mean wait and 95th percentile at 80 % with three servers, within what chance allows."""
    random = np.random.default_rng(7)
    count, rate, servers = 400_000, 2.4, 3
    arrivals = np.cumsum(random.exponential(1 / rate, count))
    for model, work in (
        (MMc(rate, 1.0, servers), random.exponential(1.0, count)),
        (MDc(rate, 1.0, servers), np.ones(count)),
    ):
        waits = (fifo_starts(arrivals, work, servers) - arrivals)[20_000:]
        assert waits.mean() == pytest.approx(model.mean_wait, rel=0.05)
        assert np.quantile(waits, 0.95) == pytest.approx(model.wait_percentile(0.95), rel=0.05)
        assert np.mean(waits > 1e-12) == pytest.approx(model.must_wait, rel=0.02)


def test_what_can_be_no_queue_is_refused() -> None:
    """With what was wrong."""
    one = np.ones(1)
    for arrivals, work, servers, why in (
        (one, one, 0, "a server at least"),
        (one, np.ones(2), 1, "do not match"),
        (np.array([2.0, 1.0]), np.ones(2), 1, "in order"),
    ):
        with pytest.raises(ValueError, match=why):
            fifo_starts(arrivals, work, servers)
