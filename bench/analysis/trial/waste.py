"""Wasted work: the share of executed task seconds that no user had any use of. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bench.analysis.tables import Floats, TrialRecords
from bench.analysis.trial.ledger import fates
from bench.analysis.trial.resources import samples

PARTS = ("never_delivered", "late", "twice_or_cut")


@dataclass(frozen=True)
class Waste:
    """Executed task seconds of the window's jobs, and the parts of them that were wasted."""

    executed: float = 0.0
    """CPU seconds for CPU-bound tasks (processor sharing stretches wall time), else wall seconds."""
    never_delivered: float = 0.0
    """The result was computed, but the client had got its 504 or had gone."""
    late: float = 0.0
    """The result was delivered after D."""
    twice_or_cut: float = 0.0
    """Executed again, or broken off by a crash, a kill or the end of the trial."""
    in_cpu_seconds: bool = True

    def share(self, part: float) -> float:
        """A part as a share of what was executed; NaN where nothing was."""
        return part / self.executed if self.executed > 0 else float("nan")

    @property
    def wasted_share(self) -> float:
        """All three parts together."""
        return self.share(self.never_delivered + self.late + self.twice_or_cut)


def pooled(each: Iterable[Waste]) -> Waste:
    """Repeats as one: their seconds summed."""
    held = list(each)
    return Waste(
        executed=sum(w.executed for w in held),
        never_delivered=sum(w.never_delivered for w in held),
        late=sum(w.late for w in held),
        twice_or_cut=sum(w.twice_or_cut for w in held),
        in_cpu_seconds=all(w.in_cpu_seconds for w in held),
    )


def cpu_bound(records: TrialRecords) -> bool:
    """Whether the task's time is mostly CPU time, so that waste is counted in CPU seconds."""
    work = records.trial.work
    return work.cpu_time >= 0.5 * work.service_time


def waste(records: TrialRecords) -> Waste:
    """Weigh every execution of the window's jobs and sort it by its use.

    Of a job's complete executions the first one counts by what became of the job; every further one, and
    every one without an end, is *twice or cut off*.
    """
    jobs, runs = records.jobs, records.executions
    counted = np.zeros(len(runs), dtype=bool)
    counted[runs.job >= 0] = jobs.window[runs.job[runs.job >= 0]]
    if not counted.any():
        return Waste(in_cpu_seconds=cpu_bound(records))
    weight = _weights(records)[counted]
    job, complete = runs.job[counted], np.isfinite(runs.end[counted])
    first = np.zeros(len(job), dtype=bool)
    by_end = np.argsort(np.where(complete, runs.end[counted], np.inf), kind="stable")
    first[by_end[np.unique(job[by_end], return_index=True)[1]]] = True
    useful = complete & first
    fate = fates(records)
    late = useful & fate["late"][job]
    never = useful & ~fate["late"][job] & ~fate["in_time"][job]
    return Waste(
        executed=float(weight.sum()),
        never_delivered=float(weight[never].sum()),
        late=float(weight[late].sum()),
        twice_or_cut=float(weight[~useful].sum()),
        in_cpu_seconds=cpu_bound(records),
    )


def unread_cpu(records: TrialRecords) -> Floats:
    """CPU seconds that each execution can have used at most whose CPU clock nobody read; 0 where it was read.

    So it is with what was killed or cut: at most its wall time, at most one job's CPU time.
    """
    return np.where(
        np.isfinite(records.executions.cpu), 0.0, np.minimum(_wall(records), records.trial.work.cpu_time)
    )


def _wall(records: TrialRecords) -> Floats:
    runs = records.executions
    wall = np.where(np.isfinite(runs.end), runs.end, runs.cut) - runs.start
    return np.clip(np.where(np.isfinite(wall), wall, 0.0), 0.0, None)


def _weights(records: TrialRecords) -> Floats:
    """Task seconds of each execution."""
    runs = records.executions
    if not cpu_bound(records):
        return _wall(records)
    # All that nobody read is no more than the processes were seen to burn beyond what is known. Under
    # processor sharing many a thread had run for long and got next to nothing.
    known = np.isfinite(runs.cpu)
    guessed = unread_cpu(records)
    total = float(guessed.sum())
    if total > 0:
        left = max(0.0, _cpu_burnt(records) - float(runs.cpu[known].sum()))
        guessed *= min(1.0, left / total)
    return np.where(known, runs.cpu, guessed)


def _cpu_burnt(records: TrialRecords) -> float:
    """CPU seconds of the processes that run tasks; where they were not sampled, what they could have used."""
    burnt = [float(value[-1] - value[0]) for value in _task_cpu(records) if len(value) > 1]
    if burnt:
        return sum(burnt)
    trial = records.trial
    alone = trial.system.kind == "blocking" and trial.work.holds_gil
    return (min(1.0, trial.cores) if alone else trial.cores) * (records.end - records.window[0])


def _task_cpu(records: TrialRecords) -> list[Floats]:
    return [samples(records, role, "cpu")[1] for role in ("web", "worker")]
