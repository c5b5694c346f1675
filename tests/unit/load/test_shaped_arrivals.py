"""Pulses and stairs: every step has its own rate, and the steps follow one another without a gap."""

import math
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load.arrivals import phase_of, schedule
from bench.plan import Load, Step

steps = st.lists(st.builds(Step, rate=st.floats(0.1, 30), seconds=st.floats(0.1, 8)), min_size=1, max_size=7)


def shaped(steps: list[Step], warmup: float = 0.0) -> Load:
    """A load of these steps."""
    window = sum(s.seconds for s in steps)
    return Load("pulse", rate=steps[0].rate, warmup=warmup, window=window, steps=tuple(steps))


@given(steps, st.floats(0, 5), st.integers(0, 2**32))
def test_every_step_holds_rate_times_length_arrivals_in_order(steps, warmup, seed):
    """A pulse at twice the capacity is one, whatever chance says; and nothing falls between two steps."""
    offsets = schedule(shaped(steps, warmup), seed)
    assert offsets == sorted(offsets)
    warming = sum(phase_of(shaped(steps, warmup), t) == "warmup" for t in offsets)
    assert warming == math.floor(steps[0].rate * warmup + 0.5)
    counted = [math.floor(s.rate * s.seconds + 0.5) for s in steps]
    assert len(offsets) == warming + sum(counted)
    first, start = warming, warmup
    for step, n in zip(steps, counted, strict=True):
        own = offsets[first : first + n]
        assert all(start - 1e-9 <= t <= start + step.seconds + 1e-9 for t in own)
        first, start = first + n, start + step.seconds


@given(steps, st.integers(0, 2**32))
def test_a_shaped_schedule_is_reproducible(steps, seed):
    """Every system meets the same arrivals."""
    assert schedule(shaped(steps), seed) == schedule(shaped(steps), seed)


@given(steps, st.floats(1.1, 5), st.integers(0, 2**32))
def test_a_smaller_capacity_meets_the_same_pattern_stretched(steps, factor, seed):
    """Rates in each system's own capacity and lengths in S differ in scale only."""
    slow = [Step(s.rate / factor, s.seconds * factor) for s in steps]
    if [math.floor(s.rate * s.seconds + 0.5) for s in slow] != [
        math.floor(s.rate * s.seconds + 0.5) for s in steps
    ]:
        return  # rounding at exactly a half
    fast, stretched = schedule(shaped(steps), seed), schedule(shaped(slow), seed)
    assert [t * factor for t in fast] == pytest.approx(stretched)


def test_a_pulse_rises_and_falls():
    """1/s, 10/s, 1/s: fifty of seventy arrivals lie in the five seconds between."""
    offsets = schedule(shaped([Step(1, 10), Step(10, 5), Step(1, 10)]), 7)
    assert [bisect_left(offsets, t) for t in (10, 15, 25)] == [10, 60, 70]
