"""Schedules: reproducible, and true to what was asked."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load.arrivals import phase_of, schedule
from bench.plan import Load

rates = st.floats(0.1, 40)
lengths = st.floats(0, 8)
seeds = st.integers(0, 2**63)


def poisson(rate: float, warmup: float, window: float) -> Load:
    return Load("poisson", rate=rate, warmup=warmup, window=window)


@given(rates, lengths, lengths, seeds)
def test_the_same_load_and_seed_give_the_same_schedule(rate, warmup, window, seed):
    """Every system at one load and repeat is asked the same at the same moments."""
    load = poisson(rate, warmup, window)
    assert schedule(load, seed) == schedule(load, seed)


@given(rates, lengths, lengths, seeds, st.sampled_from(["poisson", "constant"]))
def test_arrivals_are_in_order_and_within_warmup_and_window(rate, warmup, window, seed, arrivals):
    """No job is due before the load starts or after its window."""
    offsets = schedule(Load(arrivals, rate=rate, warmup=warmup, window=window), seed)
    assert offsets == sorted(offsets)
    assert all(0 <= offset < warmup + window + 1e-9 for offset in offsets)


@given(st.integers(1, 50), st.integers(0, 8), st.integers(1, 8))
def test_constant_arrivals_give_rate_times_window_jobs_in_each_phase(rate, warmup, window):
    """Ten seconds at 7 a second are 70 jobs in the window, however long the warm-up was."""
    load = Load("constant", rate=rate, warmup=warmup, window=window)
    phases = [phase_of(load, offset) for offset in schedule(load, 1)]
    assert phases.count("warmup") == rate * warmup
    assert phases.count("window") == rate * window


def test_constant_arrivals_are_evenly_spaced():
    """The gap between two arrivals is 1 / rate."""
    offsets = schedule(Load("constant", rate=8, window=2), 1)
    assert [b - a for a, b in pairwise(offsets)] == pytest.approx([0.125] * 15)


@given(st.integers(1, 200), st.floats(0.5, 10), st.floats(1.1, 10), seeds)
def test_a_faster_load_is_the_same_pattern_compressed(count, window, factor, seed):
    """Two rates under one seed and for as many jobs differ in rate only, not in luck."""
    slow = schedule(poisson(count / window, 0, window), seed)
    fast = schedule(poisson(count * factor / window, 0, window / factor), seed)
    assert [offset / factor for offset in slow] == pytest.approx(fast)


@given(st.integers(1, 50), st.integers(0, 8), st.integers(1, 8), seeds)
def test_the_offered_rate_is_the_one_that_was_asked_for(rate, warmup, window, seed):
    """The count is fixed, in warm-up and window each: a load below capacity is never above it by luck."""
    load = poisson(rate, warmup, window)
    phases = [phase_of(load, offset) for offset in schedule(load, seed)]
    assert (phases.count("warmup"), phases.count("window")) == (rate * warmup, rate * window)


def test_poisson_gaps_are_exponential():
    """Mean and spread of the gaps are both 1 / rate, as memoryless arrivals have it."""
    offsets = schedule(poisson(100, 0, 200), 7)
    gaps = [b - a for a, b in pairwise(offsets)]
    mean = sum(gaps) / len(gaps)
    spread = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert len(offsets) == 20_000
    assert mean == pytest.approx(0.01, rel=0.03)
    assert spread == pytest.approx(0.01, rel=0.05)
    assert sum(gap < 0.01 for gap in gaps) / len(gaps) == pytest.approx(1 - math.exp(-1), abs=0.02)


def test_a_known_seed_gives_a_known_schedule():
    """A run of today can be repeated with a later version: this must never change."""
    assert schedule(poisson(1, 0, 4), 42) == pytest.approx(
        [1.3816376, 1.4159447, 1.8515737, 2.1936933], abs=1e-6
    )


@given(st.integers(1, 1000), lengths)
def test_a_burst_comes_whole_at_the_start_of_the_window(size, warmup):
    """All at once, and counted."""
    load = Load("burst", size=size, warmup=warmup, window=0)
    assert schedule(load, 3) == [warmup] * size
    assert phase_of(load, warmup) == "window"


def test_a_closed_load_has_no_schedule():
    """Asking for one is a mistake and is told so."""
    with pytest.raises(ValueError, match="closed load has no schedule"):
        schedule(Load("closed", size=3), 1)
