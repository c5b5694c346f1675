"""One trial over time: jobs in flight, queue depth, CPU, memory, and when something died. Pure."""

from dataclasses import dataclass

import numpy as np

from bench.analysis.tables import Floats, TrialRecords
from bench.analysis.trial.resources import box_series, samples

POINTS = 240

AFTER = 1.5
"""Seconds shown after the last death: what it did, and the restart."""


@dataclass(frozen=True)
class Line:
    """Values over seconds since the load began."""

    t: Floats
    value: Floats

    def __bool__(self) -> bool:
        return len(self.t) > 1


@dataclass(frozen=True)
class Timeline:
    """One trial, seconds since the load began."""

    in_flight: Line
    """Jobs whose clients are waiting."""
    depth: Line
    """Jobs in the broker, ready and unacknowledged; empty for a system without one."""
    cpu: Line
    """Cores in use."""
    memory: Line
    """Bytes."""
    last_arrival: float
    settled: float
    """When the last job was decided or the last process died; after it only lost jobs are waited for."""
    end: float
    kills: tuple[float, ...]
    """OOM kills."""
    deaths: tuple[float, ...]
    """Other deaths of processes of the system."""


def timeline(records: TrialRecords) -> Timeline:
    """Put one trial's records on one clock, thinned to what a chart can show."""
    jobs = records.jobs
    zero = records.instant("load_started")
    if zero is None:
        zero = float(jobs.arrival[0]) if len(jobs) else records.window[0]
    kills = tuple(e.t - zero for e in records.events if e.event == "oom_kill")
    deaths = tuple(
        e.t - zero
        for e in records.events
        if e.event == "died" and not any(abs(e.t - zero - kill) < 0.5 for kill in kills)
    )
    if not kills:
        kills = _counted_kills(records, zero)
        deaths = tuple(d for d in deaths if not any(abs(d - kill) < 1.0 for kill in kills))
    return Timeline(
        in_flight=_in_flight(records, zero),
        depth=_depth(records, zero),
        cpu=_cpu(records, zero),
        memory=_since(zero, *box_series(records, "memory")),
        last_arrival=float(jobs.arrival[-1]) - zero if len(jobs) else 0.0,
        settled=max([_decided(records) - zero, 1.0, *(t + AFTER for t in (*kills, *deaths))]),
        end=max(records.end - zero, 0.0),
        kills=kills,
        deaths=deaths,
    )


def _decided(records: TrialRecords) -> float:
    """When the last job that was not cut off ended for its client."""
    done = records.jobs.done[~records.jobs.is_("unfinished")]
    done = done[np.isfinite(done)]
    return float(done.max()) if len(done) else records.end


def _since(zero: float, t: Floats, value: Floats) -> Line:
    step = max(1, len(t) // POINTS)
    return Line(t[::step] - zero, value[::step])


def _in_flight(records: TrialRecords, zero: float) -> Line:
    jobs = records.jobs
    if not len(jobs):
        return Line(np.zeros(0), np.zeros(0))
    gone = np.where(np.isfinite(jobs.done), jobs.done, records.end)
    t = np.concatenate([jobs.arrival, gone])
    change = np.concatenate([np.ones(len(jobs)), -np.ones(len(jobs))])
    order = np.argsort(t, kind="stable")
    t, count = t[order], np.cumsum(change[order])
    if len(t) > 4 * POINTS:
        grid = np.linspace(t[0], t[-1], POINTS)
        count = count[np.searchsorted(t, grid, side="right") - 1]
        t = grid
    return Line(np.concatenate([[t[0]], t]) - zero, np.concatenate([[0.0], count]))


def _depth(records: TrialRecords, zero: float) -> Line:
    t, ready = samples(records, "queue", "ready")
    if not len(t):
        return Line(np.zeros(0), np.zeros(0))
    return _since(zero, t, ready)


def _cpu(records: TrialRecords, zero: float) -> Line:
    """Cores in use between samples, over steps of a hundredth of the trial at least."""
    t, spent = box_series(records, "cpu")
    if len(t) < 3:
        return Line(np.zeros(0), np.zeros(0))
    step = max(1, int(np.ceil(len(t) / 100)))
    t, spent = t[::step], spent[::step]
    # A restarted process begins its counter anew; where a sum falls, nothing can be said for that step.
    cores = np.diff(spent) / np.maximum(np.diff(t), 1e-6)
    middle = (t[1:] + t[:-1]) / 2
    return Line(middle[cores >= 0] - zero, cores[cores >= 0])


def _counted_kills(records: TrialRecords, zero: float) -> tuple[float, ...]:
    """Kills that the box's counter shows, where no event marks them."""
    t, kills = samples(records, "box", "oom_kills")
    return tuple(float(instant - zero) for instant in t[1:][np.diff(kills) > 0]) if len(t) > 1 else ()
