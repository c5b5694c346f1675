"""What a job costs besides its task: CPU seconds of web server, workers, broker, store and gateway. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from bench.analysis.tables import TrialRecords
from bench.analysis.trial.resources import samples
from bench.analysis.trial.waste import unread_cpu

COMPONENTS = ("web", "worker", "broker", "store", "gateway")
_ROLES = {"broker": ("broker", "epmd")}
"""Sampled subjects of a component that has more than the one of its own name; epmd is the broker's helper."""
CERTAIN = 0.1
"""Overhead is told where the CPU that nobody read leaves it uncertain by no more than this share of it."""
COARSE = 0.05
"""Seconds by which a role's counters may fall short of the tasks' own clocks: the kernel tells user and
system time of each process in hundredths (proc(5), clock ticks)."""


@dataclass(frozen=True)
class Overhead:
    """CPU seconds from the start of the load to the end of the drain, warm-up and idling in between included.

    Every delivered job of that time shares in it, the warm-up's too: a process's CPU can't be told apart by
    job.
    """

    cpu: Mapping[str, float] = field(default_factory=dict)
    """By component, those that were sampled; the task's own is taken off where it ran. NaN: can't be told."""
    task: float = math.nan
    """CPU seconds that the executions themselves were read to use."""
    delivered: int = 0
    """Jobs with a verified result, warm-up included."""
    executed: int = 0
    """Starts of a task, repeated and cut ones included."""

    @property
    def total(self) -> float:
        """CPU seconds of all components; NaN where one can't be told or none was sampled."""
        return sum(self.cpu.values()) if self.cpu else math.nan

    @property
    def per_job(self) -> float:
        """CPU seconds besides the task for each *delivered* job; NaN where unknown or none was delivered."""
        return self.total / self.delivered if self.delivered else math.nan

    @property
    def per_execution(self) -> float:
        """CPU seconds besides the task for each *executed* job, whatever became of it."""
        return self.total / self.executed if self.executed else math.nan

    def of(self, component: str) -> float:
        """CPU seconds of one component for each delivered job; NaN where unknown."""
        return self.cpu.get(component, math.nan) / self.delivered if self.delivered else math.nan


def pooled(each: Iterable[Overhead]) -> Overhead:
    """Repeats as one: seconds and jobs summed, over those in which everything can be told."""
    told = [o for o in each if math.isfinite(o.total)]
    return Overhead(
        cpu={c: sum(o.cpu.get(c, 0.0) for o in told) for c in COMPONENTS if any(c in o.cpu for o in told)},
        task=sum(o.task for o in told),
        delivered=sum(o.delivered for o in told),
        executed=sum(o.executed for o in told),
    )


def overhead(records: TrialRecords) -> Overhead:
    """Take the tasks' own CPU from what the processes used.

    The counters are the kernel's, sampled twice a second and read off between samples; the tasks' CPU is each
    thread's or process's own clock, from the journal. A task that was cut has no reading: where such tasks
    can have used more than a tenth of the rest, the component that ran them is not told.
    """
    runs = records.executions
    start, end = _span(records)
    cpu = {}
    for component in COMPONENTS:
        spent = [_spent(records, role, start, end) for role in _ROLES.get(component, (component,))]
        if any(math.isfinite(s) for s in spent):
            cpu[component] = sum(s for s in spent if math.isfinite(s))
    task = float(np.nansum(runs.cpu))
    host = "worker" if records.trial.system.kind in ("queued", "as_published") else "web"
    if host in cpu:
        rest = cpu[host] - task
        unread = float(unread_cpu(records).sum())
        told = len(runs) > 0 and rest >= -COARSE and unread <= CERTAIN * max(rest, 0.0)
        cpu[host] = max(rest, 0.0) if told else math.nan
    return Overhead(
        cpu=cpu,
        task=task,
        delivered=int(np.count_nonzero(records.jobs.is_("ok"))),
        executed=len(runs),
    )


def _span(records: TrialRecords) -> tuple[float, float]:
    """From the start of the load until all is done: the drain's end, or a later end of a known execution."""
    jobs, runs = records.jobs, records.executions
    start = records.instant("load_started")
    if start is None:
        start = float(jobs.arrival.min()) if len(jobs) else records.window[0]
    marks = [e.t for e in records.events if e.event in ("drained", "cut_off")]
    ends = runs.end[np.isfinite(runs.end)]
    return start, max([start, records.end, *marks, float(ends.max(initial=start))])


def _spent(records: TrialRecords, role: str, start: float, end: float) -> float:
    """Growth of a role's CPU counter between two instants, seconds; NaN where it was not sampled."""
    t, value = samples(records, role, "cpu")
    if len(t) < 2:
        return math.nan
    return float(np.interp(end, t, value) - np.interp(start, t, value))
