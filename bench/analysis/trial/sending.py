"""Whether the load generator sent what it was to send, and when it was to. Pure."""

import math
from dataclasses import dataclass

import numpy as np

from bench.analysis.tables import Floats, TrialRecords
from bench.load.arrivals import schedule

ENOUGH_FOR_P99 = 100
"""Jobs below which the 99th percentile is the very latest job and nothing else."""
LATE = 0.005
"""Seconds of send delay that are always allowed …"""
LATE_SHARE = 0.02
"""… and the share of the median response time that is, where that is more."""


@dataclass(frozen=True)
class Sending:
    """What the generator did with the window's arrivals. Times in seconds, NaN where nothing was sent."""

    due: int = 0
    """Arrivals of the schedule; those before the cut-off where the trial was stopped early."""
    sent: int = 0
    """Of these, the jobs that really went out."""
    latest: float = math.nan
    """The greatest send delay: from the arrival to the moment the generator began to send."""
    delay: float = math.nan
    """The send delay that is judged: the 99th percentile; below 100 jobs the second greatest, because one
    late job of few is no percentile."""
    allowed: float = math.nan
    """What `delay` may be: 5 ms, or 2 % of the median response."""

    @property
    def missing(self) -> float:
        """Share of the arrivals by which the jobs sent differ from those due, either way."""
        return abs(self.due - self.sent) / self.due if self.due else 0.0

    @property
    def late(self) -> bool:
        """Whether its lateness is too great a part of what was measured."""
        return self.delay > self.allowed


def sending(records: TrialRecords) -> Sending:
    """Compare the window's jobs with the plan."""
    jobs = records.jobs
    went = jobs.window & np.isfinite(jobs.sent) & ~jobs.is_("dropped")
    delays = np.sort((jobs.sent - jobs.arrival)[went])
    return Sending(
        due=due(records),
        sent=int(np.count_nonzero(went)),
        latest=float(delays[-1]) if len(delays) else math.nan,
        delay=judged(delays),
        allowed=max(LATE, LATE_SHARE * _median_response(records)),
    )


def due(records: TrialRecords) -> int:
    """Arrivals of the window by the schedule. Of closed users, who have none: the jobs they began."""
    load, jobs = records.trial.load, records.jobs
    if load.arrivals == "closed":
        return int(np.count_nonzero(jobs.window))
    offsets = np.array(schedule(load, records.trial.seed))
    cut = records.instant("cut_off")
    until = math.inf if cut is None else cut - (records.window[0] - load.warmup)
    return int(np.count_nonzero((offsets >= load.warmup) & (offsets <= until)))


def judged(ordered: Floats) -> float:
    """The delay that the rule looks at, of delays in order; NaN of none."""
    n = len(ordered)
    if not n:
        return math.nan
    rank = math.ceil(0.99 * n) if n >= ENOUGH_FOR_P99 else max(1, n - 1)
    return float(ordered[rank - 1])


def _median_response(records: TrialRecords) -> float:
    """Median of arrival → result; where most got none, of arrival → whatever end the client was told."""
    jobs = records.jobs
    spent = (jobs.done - jobs.arrival)[jobs.window]
    good = np.where(jobs.is_("ok")[jobs.window], spent, np.inf)
    middle = float(np.median(good)) if len(good) else math.nan
    if not math.isfinite(middle):
        spent = spent[np.isfinite(spent)]
        middle = float(np.median(spent)) if len(spent) else 0.0
    return middle
