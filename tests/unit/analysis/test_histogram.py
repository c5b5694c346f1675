"""A histogram's percentiles are the exact ones within the error it states, infinities included."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.trial import latency
from bench.analysis.trial.histogram import RELATIVE_ERROR, histogram
from bench.analysis.trial.latency import percentile, percentiles

durations = st.lists(st.one_of(st.floats(1e-6, 1e9), st.just(math.inf)), min_size=1, max_size=200)
SHARES = (0.5, 0.9, 0.95, 0.99, 0.999)


def exact(values, p):
    """The smallest value that the share p does not exceed."""
    ordered = np.sort(values)
    return ordered[max(0, math.ceil(len(ordered) * p - 1e-9) - 1)]


def test_the_stated_error_is_well_below_a_thousandth():
    """What the report may say of a very large run."""
    assert RELATIVE_ERROR <= 0.001


@settings(deadline=None)
@given(durations, st.sampled_from(SHARES))
def test_a_percentile_is_right_within_the_stated_error(values, p):
    """Whatever the values: twelve orders of magnitude, and "not reached"."""
    found, wanted = histogram(np.array(values)).percentile(p), exact(values, p)
    assert found == wanted or abs(found / wanted - 1) <= RELATIVE_ERROR * (1 + 1e-9)


@settings(deadline=None)
@given(durations, durations)
def test_merging_is_counting_together(some, others):
    """Parts can be counted apart."""
    merged = histogram(np.array(some)).merged(histogram(np.array(others)))
    whole = histogram(np.array(some + others))
    assert (merged.counts == whole.counts).all()
    assert (merged.never, merged.n) == (whole.never, len(some) + len(others))


def test_what_is_out_of_range_counts_at_the_edge():
    """Zero, a nanosecond, and a century."""
    found = histogram(np.array([0.0, 1e-9, 3e9]))
    assert found.n == 3
    assert found.percentile(0.5) < 2e-6
    assert found.percentile(1.0) > 1e9
    with pytest.raises(ValueError, match="empty"):
        histogram(np.zeros(0)).percentile(0.5)


def test_very_many_jobs_get_their_percentiles_from_it(monkeypatch):
    """Above the limit, the same figures within the stated error; below it, exactly the exact ones."""
    times = np.random.default_rng(3).lognormal(-1, 1, 50_000)
    times[:600] = math.inf
    wanted = percentiles(times)
    assert wanted[0.99] == math.inf
    assert wanted[0.5] == percentile(np.sort(times), 0.5)
    monkeypatch.setattr(latency, "EXACT_UP_TO", 1000)
    found = percentiles(times)
    assert found[0.99] == math.inf
    assert found[0.95] != wanted[0.95]
    for p in (0.5, 0.9, 0.95):
        assert found[p] == pytest.approx(wanted[p], rel=RELATIVE_ERROR)
