"""The audit by Little's law catches records that are wrong, because its L does not come from them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from by_hand import WINDOW, event, job, records, run_of, sample, trial
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.run import Result
from bench.analysis.trial.figures import figures
from bench.analysis.trial.littles_law import Stays, audit
from bench.load.arrivals import schedule

QUEUED = trial(load={"rate": 40.0}, work={"service_time": 0.04, "cpu_time": 0.04}, capacity=48.0)
BLOCKING = trial(
    system={"name": "gunicorn", "kind": "gunicorn"}, load={"rate": 40.0}, capacity=48.0,
    work={"service_time": 0.04, "cpu_time": 0.04},
)  # fmt: skip


def served(plan, *, seed=1, workers=2, busy=0.9):
    """Arrivals, starts and ends of a FIFO queue at ρ `busy`, Unix seconds; some of it before the window."""
    due = 100.0 + np.array(schedule(plan.load, seed)) - plan.load.warmup
    draw = np.random.default_rng(seed)
    free, starts, ends = [0.0] * workers, [], []
    for t in due + 0.005:
        free.sort()
        starts.append(max(t, free[0]))
        free[0] = starts[-1] + draw.exponential(busy * workers / plan.load.rate)
        ends.append(free[0])
    return due, np.array(starts), np.array(ends)


def queued_trial(*, plan=QUEUED, seed=1, every=0.25, busy=1.1):
    """A queue's records, and what a probe of its broker saw."""
    due, starts, ends = served(plan, seed=seed, busy=busy)
    names = [f"j{n}" for n in range(len(due))]
    jobs = [
        job(
            names[n],
            due[n],
            ends[n] + 0.1,
            accepted=due[n] + 0.005,
            phase="warmup" if due[n] < 100 else "window",
        )
        for n in range(len(due))
    ]
    runs = [run_of(names[n], starts[n], ends[n]) for n in range(len(due))]
    t = np.arange(98.0, 115.0, every)
    ready = [np.count_nonzero((due + 0.005 <= x) & (starts > x)) for x in t]
    probed = [sample(x, "queue", "ready", n) for x, n in zip(t, ready, strict=True)]
    return records(jobs, runs, WINDOW, probed, of=plan)


def blocking_trial(*, plan=BLOCKING, extra=0):
    """A blocking server's. `extra`: requests that the gateway has in progress and no record knows."""
    due, _, ends = served(plan, busy=1.1)
    jobs = [job(f"j{n}", due[n], ends[n], accepted=ends[n]) for n in range(len(due))]
    t = np.arange(98.0, 115.0, 0.25)
    inside = [np.count_nonzero((due + 0.001 <= x) & (ends > x)) + extra for x in t]
    return records(
        jobs,
        [],
        WINDOW,
        [sample(x, "gateway", "requests", n) for x, n in zip(t, inside, strict=True)],
        of=plan,
    )


@pytest.mark.parametrize("made", [queued_trial, blocking_trial])
def test_honest_records_agree_with_the_probes(made):
    """Also in a queue that grows, where samples alone are far from the mean."""
    found = audit(made())
    assert found.state == "agrees"
    assert found.jobs == 400
    assert found.recorded > 5
    assert found.sampled == pytest.approx(found.recorded, abs=0.5)


@pytest.mark.parametrize("made", [queued_trial, blocking_trial])
def test_records_that_lost_every_fifth_job_are_caught(made):
    """The probes saw them; the trial is INVALID, with both figures."""
    whole = made()
    chosen = np.arange(len(whole.jobs)) % 5 > 0
    lost = audit(_only(whole, chosen))
    assert lost.state == "disagrees"
    assert lost.recorded < 0.9 * lost.sampled
    f = figures(_only(whole, chosen), Result("done"))
    assert "littles_law" in {r.code for r in f.validity.reasons}
    assert f.validity.grade == "INVALID"


def _only(whole, chosen):
    """The records without some jobs; their executions stay, as nobody's."""
    jobs, runs = whole.jobs, whole.executions
    place = np.where(chosen, np.cumsum(chosen) - 1, -1)
    fields = {name: getattr(jobs, name)[chosen] for name in jobs.__dataclass_fields__}
    known = np.where(runs.job >= 0, place[runs.job], -1) if len(runs) else runs.job
    return replace(whole, jobs=replace(jobs, **fields), executions=replace(runs, job=known))


def test_records_with_wrong_times_are_caught():
    """Jobs that the clients call done half a second too late, at forty a second."""
    late = blocking_trial()
    shifted = replace(late, jobs=replace(late.jobs, done=late.jobs.done + 0.5))
    assert audit(shifted).state == "disagrees"


def test_load_that_nobody_recorded_is_caught():
    """Another client at the same gateway."""
    assert audit(blocking_trial(extra=5)).state == "disagrees"


def test_below_200_jobs_the_figures_are_kept_and_nothing_is_concluded():
    """However far apart they are."""
    plan = trial(system={"name": "gunicorn", "kind": "gunicorn"}, load={"rate": 19.0}, capacity=48.0)
    found = audit(blocking_trial(plan=plan, extra=9))
    assert (found.state, found.jobs) == ("not enough jobs", 190)
    assert found.difference == pytest.approx(9, abs=0.5)
    assert figures(blocking_trial(plan=plan, extra=9), Result("done")).validity.reasons == ()


def test_a_run_without_these_samples_is_not_audited():
    """Old runs, a service of somebody else's, and the published queue, whose consumer hides what waits."""
    due, starts, ends = served(QUEUED)
    jobs = [job(f"j{n}", due[n], ends[n]) for n in range(len(due))]
    runs = [run_of(f"j{n}", starts[n], ends[n]) for n in range(len(due))]
    assert audit(records(jobs, runs, of=QUEUED)).state == "not sampled"
    few = [sample(101.0 + n, "queue", "ready", 3) for n in range(5)]
    assert audit(records(jobs, runs, resources=few, of=QUEUED)).state == "not sampled"
    for kind in ("external", "as_published"):
        plan = trial(system={"name": kind, "kind": kind}, load={"rate": 40.0})
        probed = [sample(100 + n / 4, "queue", "ready", 3) for n in range(40)]
        assert audit(records(jobs, runs, resources=probed, of=plan)).state == "not sampled"


def test_jobs_that_the_system_lost_are_no_fault_of_the_measurement():
    """When they left the system nobody can say."""
    whole = queued_trial()
    outcome = whole.jobs.outcome.copy()
    outcome[200] = 7  # unfinished, though it was executed long before the end
    assert audit(replace(whole, jobs=replace(whole.jobs, outcome=outcome))).state == "jobs lost"


def test_a_submission_that_timed_out_and_went_in_all_the_same_counts():
    """504 to the client, and the job in the queue: it was there, whatever the client was told."""
    whole = queued_trial()
    accepted, done, outcome = whole.jobs.accepted.copy(), whole.jobs.done.copy(), whole.jobs.outcome.copy()
    accepted[100:200], done[100:200], outcome[100:200] = math.nan, whole.jobs.arrival[100:200] + 0.02, 2
    found = audit(replace(whole, jobs=replace(whole.jobs, accepted=accepted, done=done, outcome=outcome)))
    assert found.state == "agrees"


def test_the_sampling_error_is_taken_out():
    """A queue that fills and empties between samples: the mean of the samples is far off, L is not."""
    whole = blocking_trial()
    rare = whole.resources.iloc[8:60:4]  # one a second
    sparse = replace(whole, resources=rare)
    plain = float(rare["value"].mean())
    found = audit(sparse)
    assert abs(plain - found.recorded) > abs(found.difference)
    assert found.state == "agrees"


@given(
    st.lists(st.tuples(st.floats(0, 20), st.floats(0, 10)), min_size=1, max_size=40),
    st.floats(1, 9), st.floats(10, 20),
)  # fmt: skip
@settings(deadline=None)
def test_the_mean_number_inside_is_the_area_under_the_curve(stays, start, end):
    """λ·W with overlaps at the edges equals the time average of the count: the law over a finite window."""
    came = np.array([a for a, _ in stays])
    left = came + np.array([d for _, d in stays])
    held = Stays(came, left)
    edges = np.unique(np.concatenate([[start, end], came, left]))
    edges = edges[(edges >= start) & (edges <= end)]
    middles = (edges[1:] + edges[:-1]) / 2
    area = float((held.at(middles) * np.diff(edges)).sum())
    assert held.mean(start, end) == pytest.approx(area / (end - start), abs=1e-6)


def test_a_trial_that_was_cut_off_counts_what_was_inside_to_the_end():
    """Unfinished jobs are inside until the cut-off."""
    plan = trial(system={"name": "blocking", "kind": "blocking"}, load={"rate": 40.0})
    due = 100 + np.array(schedule(plan.load, 1))
    jobs = [job(f"j{n}", t, 130.0, "unfinished", sent=t, accepted=math.nan) for n, t in enumerate(due)]
    probed = [sample(x, "gateway", "requests", np.count_nonzero(due <= x)) for x in np.arange(100, 111, 0.25)]
    found = audit(records(jobs, [], [*WINDOW, event(130.0, "cut_off")], probed, of=plan))
    assert found.state == "agrees"
    assert found.recorded == pytest.approx(200, rel=0.1)
