"""The ledger: every job that arrived in the window has exactly one end. Pure."""

from dataclasses import dataclass

import numpy as np

from bench.analysis.tables import Flags, TrialRecords

FATES = (
    "in_time",
    "late",
    "rejected",
    "gateway_timeout",
    "gave_up",
    "error",
    "wrong",
    "dropped",
    "lost",
    "unfinished",
)
"""What can have become of a job. `gateway_timeout`, `gave_up`, `error` and `wrong` together are *failed*."""


@dataclass(frozen=True)
class Ledger:
    """What became of the window's arrivals: counts that sum to `arrivals`, and two that cut across."""

    arrivals: int = 0
    in_time: int = 0
    """A verified result within D."""
    late: int = 0
    """A verified result after D."""
    rejected: int = 0
    """Told at once to go away (429 or 503)."""
    gateway_timeout: int = 0
    """504 from the gateway."""
    gave_up: int = 0
    """The client's own limit."""
    error: int = 0
    """Any other failure: 500, 502, connection refused or reset."""
    wrong: int = 0
    """A result that did not verify."""
    dropped: int = 0
    """Never sent: the generator's bound on jobs in flight."""
    lost: int = 0
    """Accepted, then no result, though the drain was long enough."""
    unfinished: int = 0
    """Cut off while the system was still working."""
    accepted: int = 0
    """Across the above: answered 2xx to the submission."""
    duplicated: int = 0
    """Across the above: executed more than once."""

    @property
    def failed(self) -> int:
        """Told of a failure, or handed a wrong result: 504, given up, another error, wrong."""
        return self.gateway_timeout + self.gave_up + self.error + self.wrong

    @property
    def delivered(self) -> int:
        """A verified result, in time or late."""
        return self.in_time + self.late

    @property
    def never(self) -> int:
        """No verified result and not told so at once: failed, dropped, lost or unfinished."""
        return self.arrivals - self.delivered - self.rejected

    @property
    def balanced(self) -> bool:
        """Whether every arrival is accounted for exactly once."""
        return self.arrivals == sum(int(getattr(self, fate)) for fate in FATES)

    def share(self, count: int) -> float:
        """A count as a share of the arrivals; NaN where nothing arrived."""
        return count / self.arrivals if self.arrivals else float("nan")

    @property
    def timeout_share(self) -> float:
        """Timeout rate: the share of arrivals without a correct result within D."""
        return self.share(self.arrivals - self.in_time)


def fates(records: TrialRecords) -> dict[str, Flags]:
    """For every fate, which of the trial's jobs (warm-up included) had it. Each job has exactly one."""
    jobs, deadline = records.jobs, records.trial.deadline
    ok = jobs.is_("ok")
    in_time = ok & (jobs.done - jobs.arrival <= deadline)
    lost = lost_jobs(records)
    return {
        "in_time": in_time,
        "late": ok & ~in_time,
        "lost": lost,
        "unfinished": jobs.is_("unfinished") & ~lost,
        **{
            name: jobs.is_(name)
            for name in ("rejected", "gateway_timeout", "gave_up", "error", "wrong", "dropped")
        },
    }


def ledger(records: TrialRecords) -> Ledger:
    """Count the fates of the window's arrivals."""
    window = records.jobs.window
    counts = {name: int(np.count_nonzero(flags & window)) for name, flags in fates(records).items()}
    return Ledger(
        arrivals=int(np.count_nonzero(window)),
        accepted=int(np.count_nonzero(window & np.isfinite(records.jobs.accepted))),
        duplicated=int(np.count_nonzero(window & (executions_per_job(records) > 1))),
        **counts,
    )


def executions_per_job(records: TrialRecords) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """How often each job was started."""
    known = records.executions.job[records.executions.job >= 0]
    return np.bincount(known, minlength=len(records.jobs)).astype(np.int64)


def grace(records: TrialRecords) -> float:
    """Seconds for which a system must have been idle, or a finished job's result unseen, to call a job lost.

    Twice the service time and twice the poll interval, at least one second: a worker that is between two
    jobs, or a result between two polls, is not a loss.
    """
    trial = records.trial
    return max(1.0, 2 * trial.work.service_time, 2 * trial.poll_interval)


def lost_jobs(records: TrialRecords) -> Flags:
    """Jobs accepted and never delivered although the drain was long enough for it.

    Three ways to know: the job's execution ended and the result never reached the client; the system stood
    idle when the drain was cut off; or, where no execution was journalled at all, the drain lasted twice as
    long as the backlog needed.
    """
    jobs, runs = records.jobs, records.executions
    none = np.zeros(len(jobs), dtype=bool)
    open_ = jobs.is_("unfinished") & np.isfinite(jobs.accepted)
    if not open_.any():
        return none
    cut_off = records.end
    patience = grace(records)
    if not len(runs):
        capacity = records.trial.capacity
        # Journalled nowhere: lost only if the drain outlasted the backlog's work by the vocabulary's factor,
        # and no result came any more at its end.
        needed = 2 * np.count_nonzero(open_) / capacity if capacity > 0 else np.inf
        results = jobs.done[jobs.is_("ok")]
        quiet = not len(results) or float(results.max()) <= cut_off - patience
        return open_ & quiet & (cut_off - records.window[1] >= max(needed, patience))
    ended = np.zeros(len(jobs), dtype=bool)
    known = (runs.job >= 0) & np.isfinite(runs.end) & (runs.end <= cut_off - patience)
    ended[runs.job[known]] = True
    last_work = np.where(np.isfinite(runs.end), runs.end, runs.cut)
    last_work = np.where(np.isfinite(last_work), last_work, np.inf)
    # A task that the harness cut at its stop was still going on: the system was busy to the end.
    busy = bool((last_work > cut_off - patience).any())
    lost: Flags = open_ & ended if busy else open_
    return lost


def problems(records: TrialRecords, counted: Ledger) -> tuple[str, ...]:
    """What does not add up, one line each; empty for a balanced trial."""
    found = []
    if not counted.balanced:
        found.append("the ledger does not sum to the arrivals")
    if records.repeated_ids:
        found.append(f"{records.repeated_ids} job ids were recorded twice")
    runs, jobs = records.executions, records.jobs
    if len(runs):
        strange = int(np.count_nonzero(runs.job < 0))
        if strange:
            found.append(f"{strange} executions of jobs that nobody submitted")
        worked = np.zeros(len(jobs), dtype=bool)
        worked[runs.job[(runs.job >= 0) & np.isfinite(runs.end)]] = True
        unseen = int(np.count_nonzero(jobs.is_("ok") & ~worked))
        if unseen:
            found.append(f"{unseen} results without an execution in the journal")
    return tuple(found)
