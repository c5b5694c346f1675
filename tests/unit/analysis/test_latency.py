"""Percentiles are exact, count the failed, and are withheld where too few jobs arrived."""

import math

import numpy as np
import pytest
from by_hand import job, records
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.trial.latency import (
    PERCENTILES,
    accept_times,
    arrivals_needed,
    curve,
    makespan,
    percentile,
    percentiles,
    response_times,
    returns,
)


@pytest.mark.parametrize(("p", "n"), [(0.5, 6), (0.9, 30), (0.95, 60), (0.99, 300), (0.999, 3000)])
def test_a_percentile_takes_three_arrivals_beyond_it(p, n):
    """n·(1-p) ≥ 3, to the job."""
    assert arrivals_needed(p) == n
    assert percentile(np.arange(n, dtype=float), p) is not None
    assert percentile(np.arange(n - 1, dtype=float), p) is None


def test_percentiles_are_values_that_occurred():
    """Of 1 to 100 seconds the median is 50 and p95 is 95: no interpolation, no buckets."""
    found = percentiles(np.arange(100, 0, -1, dtype=float))
    assert (found[0.5], found[0.9], found[0.95], found[0.99]) == (50.0, 90.0, 95.0, None)


def test_failed_jobs_count_as_infinitely_long():
    """With 4 of 60 failed, p95 is not reached though p90 is."""
    found = percentiles(np.array([1.0] * 56 + [math.inf] * 4))
    assert (found[0.5], found[0.9], found[0.95]) == (1.0, 1.0, math.inf)


def test_latency_counts_from_the_arrival_not_from_the_sending():
    """A generator that sends late does not make the system look fast."""
    bundle = records(
        [job("a", 100, 102, sent=101.5), job("b", 101, 104, "gateway_timeout", accepted=math.nan)]
    )
    assert response_times(bundle).tolist() == [2.0, math.inf]
    assert accept_times(bundle)[1] == math.inf


def test_each_job_of_a_burst_comes_back_with_its_fate():
    """In the order in which they came back."""
    found = returns(records([job("a", 100, 104), job("b", 100, 101), job("c", 100, 103, "gateway_timeout")]))
    assert (found.times.tolist(), found.fate) == ([1.0, 3.0, 4.0], ("in_time", "gateway_timeout", "late"))


def test_a_makespan_is_from_the_first_arrival_to_the_last_result():
    """Also of users who ask one after another; and whoever loses a job is never done, not done sooner."""
    whole = [job("a", 100, 104), job("b", 103, 109), job("w", 95, 120, phase="warmup")]
    assert makespan(records(whole)) == pytest.approx(9.0)
    assert makespan(records([*whole, job("c", 100, 101, "error")])) == math.inf
    assert math.isnan(makespan(records([])))


def test_a_curve_ends_where_results_do():
    """A quarter of the jobs never came back: the curve stops at 75 % and says so."""
    found = curve(np.array([1.0] * 75 + [math.inf] * 25))
    assert found.never == 0.25
    assert 0.7 < found.p[-1] <= 0.75
    assert np.isfinite(found.value).all()


times = st.lists(st.one_of(st.floats(0, 1e6), st.just(math.inf)), max_size=400).map(np.array)


@given(times)
def test_percentiles_never_fall(values):
    """A higher percentile is never shorter."""
    found = [v for v in percentiles(values.astype(float)).values() if v is not None]
    assert found == sorted(found)
    assert len(found) == sum(len(values) * (1 - p) >= 3 - 1e-9 for p in PERCENTILES)


@given(times)
def test_curves_never_fall_and_stay_small(values):
    """However many jobs: a few hundred points, rising."""
    found = curve(values.astype(float))
    assert (np.diff(found.value) >= 0).all()
    assert (np.diff(found.p) > 0).all()
    assert len(found.p) <= 240
