"""MSER-5 finds a start that differs from the rest, and only repeats that agree are told."""

from dataclasses import replace

import numpy as np
import pytest
from by_hand import described, job, records, trial
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.across.notes import notes
from bench.analysis.run import Result
from bench.analysis.trial.figures import figures
from bench.analysis.trial.warmup import Warming, mser5, still_warming, warming


def slow_start(first, seed=1):
    """200 response times around 1 s; the first ones around 3 s."""
    noise = np.random.default_rng(seed).normal(0, 0.05, 200)
    return np.where(np.arange(200) < first, 3.0, 1.0) + noise


def of(times, **changes):
    """A trial whose jobs took so long, one every 50 ms."""
    plan = trial(load={"rate": 1.0, "window": 10.0}, **changes)
    jobs = [job(f"j{n}", 100 + n / 20, 100 + n / 20 + t) for n, t in enumerate(times)]
    return records(jobs, of=plan)


@pytest.mark.parametrize("first", [20, 50, 80])
def test_a_slow_start_is_cut_where_it_ends(first):
    """To the batch of five."""
    assert mser5(slow_start(first)) == first


def test_by_hand():
    """A hundred values, five of 10 and then ones: with the first batch cut nothing deviates any more."""
    assert mser5(np.array([10.0] * 5 + [1.0] * 95)) == 5
    assert mser5(np.ones(100)) == 0
    assert mser5(np.array([9.0] * 5 + [1.0] * 90)) == 0, "too short to say anything"


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 100), min_size=100, max_size=300))
def test_never_more_than_half_is_cut(values):
    """And always whole batches; the unit does not matter."""
    cut = mser5(np.array(values))
    assert cut % 5 == 0
    assert 0 <= cut <= len(values) / 2


def test_a_trial_says_how_much_of_its_window_that_is():
    """50 of 200 jobs, 20 a second: 2.5 s, three times as slow as the rest."""
    found = warming(of(slow_start(50)))
    assert (found.jobs, found.share, found.direction) == (50, 0.25, 1)
    assert found.seconds == pytest.approx(2.5)
    assert found.shift == pytest.approx(3.0, rel=0.05)


@pytest.mark.parametrize(
    "changes", [{"capacity": 1.0}, {"system": {"name": "external", "kind": "external", "url": "x"}}]
)
def test_without_a_steady_state_to_come_to_there_is_no_check(changes):
    """At capacity response times grow for ever: that is no warm-up."""
    assert warming(of(slow_start(50), **changes)) is None


def test_only_repeats_that_agree_are_told():
    """One trial in three begins differently by chance."""
    up, down, none = Warming(50, 2.5, 0.25, 3.0), Warming(50, 2.5, 0.25, 0.3), Warming(0, 0.0, 0.0, 1.0)
    assert still_warming([up]) is None
    assert still_warming([up, up, down]) is None
    assert still_warming([up, up, none]) is None
    assert still_warming([up] * 3) == 2.5
    assert still_warming([down] * 4 + [none, None]) == 2.5


def test_the_page_notes_it():
    """With how much more to leave out."""
    plans = [trial(id=f"t{n}", repeat=n, load={"rate": 1.0, "window": 10.0}) for n in (1, 2, 3)]
    rows = [
        replace(figures(of(slow_start(50, seed=n)), Result("done")), trial=plan)
        for n, plan in enumerate(plans)
    ]
    said = [n.text for n in notes(described(*plans), rows)]
    assert any("the first 2.5 s of the window still look like warming up" in text for text in said)
    assert not any("warming up" in n.text for n in notes(described(*plans), rows[:2]))
