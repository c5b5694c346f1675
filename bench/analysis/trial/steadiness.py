"""Whether the backlog stays where it is or grows: the slope of the jobs in flight over the window. Pure.

The slope is the least-squares regression of the number in flight on time, over the whole curve and not over
samples of it. Its standard error must respect that the number now is the number a moment ago plus what came
and less what went: residuals of such a curve hang together, and a t-test that takes them for independent
calls every long excursion of a busy queue a trend (Granger & Newbold, Spurious Regressions in Econometrics,
1974). So the error is built from the increments. The slope of N(t) over a window of length T is
(12/T³) ∫ (t - T/2) N(t) dt, by parts (6/T³) ∫ t (T - t) dN(t): a weighted sum of increments. If those of
disjoint batches are uncorrelated with variance v a second, its variance is (36/T⁶) v ∫ t² (T - t)² dt
= 6v / 5T. v is estimated from batches (the method of batch means, with 10 to 30 of them: Schmeiser, Batch
Size Effects in the Analysis of Simulation Output, Operations Research 30(3), 1982). Increments of a queue
that is steady undo one another, so the error is then too large rather than too small.
"""

import math
from dataclasses import dataclass

import numpy as np

from bench.analysis.tables import TrialRecords

BATCHES = 10
STUDENT = 2.262
"""Student's t with 9 degrees of freedom that 97.5 % do not exceed (any table of it)."""
ENOUGH_JOBS = 20
"""Arrivals in the window below which there is no trend to speak of."""
MATTERS = 0.05
"""Share of the offered rate below which growth is no reason: it would take the window many times over to
double anything."""


@dataclass(frozen=True)
class Backlog:
    """Growth of the jobs in flight, jobs per second; NaN where it was not asked for."""

    slope: float = math.nan
    error: float = math.nan
    """Standard error of the slope."""
    offered: float = math.nan
    """Arrivals per second in the window."""

    @property
    def growing(self) -> bool:
        """Whether it grows beyond chance, and by more than 5 % of what is offered."""
        return self.slope > max(STUDENT * self.error, MATTERS * self.offered)


def backlog(records: TrialRecords) -> Backlog:
    """Fit one trial's window. Bursts, closed users and memory failures are not meant to be steady."""
    jobs, trial = records.jobs, records.trial
    start, end = records.window
    arrivals = int(np.count_nonzero(jobs.window))
    asked = trial.load.arrivals in ("poisson", "constant") and trial.shows != "memory"
    if not asked or end <= start or arrivals < ENOUGH_JOBS:
        return Backlog()
    length, middle = end - start, (start + end) / 2
    gone = np.where(np.isfinite(jobs.done), jobs.done, np.inf)
    came, went = np.clip(jobs.arrival, start, end) - middle, np.clip(gone, start, end) - middle
    slope = 12 / length**3 * float(((went**2 - came**2) / 2).sum())
    edges = np.linspace(start, end, BATCHES + 1)
    inside = np.searchsorted(np.sort(jobs.arrival), edges, "right") - np.searchsorted(
        np.sort(gone), edges, "right"
    )
    variance = float(np.var(np.diff(inside), ddof=1)) / (length / BATCHES)
    return Backlog(slope, math.sqrt(6 / 5 * variance / length), arrivals / length)
