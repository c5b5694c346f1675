"""Response times with jobs that were open when the drain was cut off, taken as "at least so long". Pure.

The estimate is Kaplan and Meier's (Nonparametric estimation from incomplete observations, Journal of the
American Statistical Association 53, 1958). It holds where being cut off says nothing of how long the job
would still have taken. Below capacity that is so: who is still open at the cut-off came late. Above it
everybody is cut off because the backlog has grown, and it would call the system faster than it is: refused.
"""

from dataclasses import dataclass

import numpy as np

from bench.analysis.tables import Flags, Floats, TrialRecords
from bench.analysis.trial.ledger import lost_jobs


class NotIndependent(ValueError):
    """The cut-off goes with the response times, so that the estimate would be wrong; the message says why."""


@dataclass(frozen=True)
class Survival:
    """The share of jobs that is still without a result after a time: a falling staircase."""

    times: Floats
    """Seconds; where it falls."""
    remaining: Floats
    """Share without a result from this instant on."""

    def percentile(self, p: float) -> float:
        """When the share p has its result, seconds; infinite where it is not known to come to that."""
        reached = np.flatnonzero(1 - self.remaining >= p - 1e-12)
        return float(self.times[reached[0]]) if len(reached) else float("inf")


def kaplan_meier(times: Floats, censored: Flags) -> Survival:
    """Estimate from times in seconds: each one an end, or, where `censored`, "at least so long". An infinite
    end is one that never comes. At equal times ends go before cut-offs, as is usual.
    """
    if not len(times):
        return Survival(np.zeros(0), np.zeros(0))
    ends = np.sort(times[~censored & np.isfinite(times)])
    steps, ended = np.unique(ends, return_counts=True)
    at_risk = len(times) - np.searchsorted(np.sort(times), steps, side="left")
    remaining: Floats = np.cumprod(1 - ended / at_risk, dtype=np.float64)
    return Survival(steps, remaining)


def response(records: TrialRecords) -> Survival:
    """Response times of the window's jobs: delivered ones end, unfinished ones are cut off, and whatever
    failed, was rejected, dropped or lost never ends. Raises NotIndependent at or above capacity, for bursts,
    closed users, and where nobody knows the capacity.
    """
    trial, jobs = records.trial, records.jobs
    if trial.load.arrivals not in ("poisson", "constant") or trial.system.kind == "external":
        raise NotIndependent(f"{trial.id}: no steady load of a system whose capacity is known")
    start, end = records.window
    offered = np.count_nonzero(jobs.window) / (end - start) if end > start else trial.load.rate
    if max(offered, trial.load.rate) >= trial.capacity:
        raise NotIndependent(f"{trial.id}: at or above capacity the cut-off goes with the response times")
    cut_off = jobs.is_("unfinished") & ~lost_jobs(records)
    times = np.where(jobs.is_("ok") | cut_off, jobs.done - jobs.arrival, np.inf)
    return kaplan_meier(times[jobs.window], cut_off[jobs.window])
