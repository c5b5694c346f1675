"""Little's law as an audit: what probes saw in the system against what the clients' records say was in it.

In any system, L = λ·W: the mean number of jobs in it is their arrival rate times the mean time each spends
there (J. D. C. Little, A Proof for the Queuing Formula L = λW, Operations Research 9(3), 1961; Little &
Graves, Little's Law, in Building Intuition, Springer 2008). Over a finite window it holds exactly if jobs
that overlap the window's edges count with their overlap: both sides are then the same area under the same
curve (Kim & Whitt, Statistical Analysis with Little's Law, Operations Research 61(4), 2013). So L and λ·W
from the same records always agree and prove nothing. Here L comes from elsewhere:

- queues: messages ready in the broker, as sampled there, plus the executions that the workers' journal has
  running at the same instants; the records have a job in the system from its acceptance (or its start, where
  that was seen first) to the end of its last execution;
- blocking servers: requests in progress, as the gateway counts them; the records have a job there from sent
  to done, however it ended.

Samples every quarter of a second miss what happens between them. That error is the same for a count from the
records taken at the same instants, and there it is known: so it is taken out (a control variate with
coefficient 1; Glasserman, Monte Carlo Methods in Financial Engineering, 2003, section 4.1):
L = mean(probed) - (mean(records at the same instants) - λ·W).
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.analysis.tables import Floats, TrialRecords
from bench.analysis.trial.ledger import lost_jobs
from bench.analysis.trial.resources import samples

ENOUGH_JOBS = 200
ENOUGH_SAMPLES = 10
TOLERANCE = 0.1
"""Share of λ·W by which the two may differ …"""
HALF_A_JOB = 0.5
"""… or so many jobs, where that is more: a job enters and leaves the clients' records some milliseconds
before and after it does the system."""
NOISE = 2.0
"""Standard errors of the sampled difference that count as chance."""

State = Literal["agrees", "disagrees", "not enough jobs", "not sampled", "jobs lost"]
"""`jobs lost`: the system lost accepted jobs, and when these left it nobody can say."""


@dataclass(frozen=True)
class Audit:
    """Both sides of the law over the window, in jobs; NaN where there is no such side."""

    state: State = "not sampled"
    sampled: float = math.nan
    """L, from the probes, the sampling error taken out."""
    recorded: float = math.nan
    """λ·W, from the clients' records, edges corrected."""
    error: float = math.nan
    """Standard error of their difference."""
    jobs: int = 0
    """Arrivals in the window."""
    samples: int = 0

    @property
    def difference(self) -> float:
        """Jobs that the probes saw beyond those of the records; negative where they saw fewer."""
        return self.sampled - self.recorded


@dataclass(frozen=True)
class Stays:
    """When each job entered and left; instants in Unix seconds."""

    entered: Floats
    left: Floats

    def at(self, instants: Floats) -> Floats:
        """How many are inside at each instant."""
        came, went = np.sort(self.entered), np.sort(self.left)
        count = np.searchsorted(came, instants, side="right") - np.searchsorted(went, instants, side="right")
        return count.astype(float)

    def mean(self, start: float, end: float) -> float:
        """Mean number inside between two instants, each stay counted with its overlap: λ·W."""
        overlap = np.minimum(self.left, end) - np.maximum(self.entered, start)
        return float(np.maximum(overlap, 0.0).sum() / (end - start))


def audit(records: TrialRecords) -> Audit:
    """Audit one trial's window."""
    start, end = records.span
    jobs = int(np.count_nonzero(records.jobs.window))
    probed = _probed(records)
    if probed is None or end <= start:
        return Audit(jobs=jobs)
    t, seen = probed
    inside = (t >= start) & (t <= end)
    t, seen = t[inside], seen[inside]
    if len(t) < ENOUGH_SAMPLES:
        return Audit(jobs=jobs, samples=len(t))
    stays = _stays(records)
    recorded = stays.mean(start, end)
    apart = seen - stays.at(t)
    found = Audit(
        state="agrees",
        sampled=recorded + float(apart.mean()),
        recorded=recorded,
        error=float(apart.std(ddof=1) / math.sqrt(len(apart))),
        jobs=jobs,
        samples=len(t),
    )
    return Audit(**{**found.__dict__, "state": _state(found, records)})


def _state(found: Audit, records: TrialRecords) -> State:
    if lost_jobs(records).any():
        return "jobs lost"
    if found.jobs < ENOUGH_JOBS:
        return "not enough jobs"
    apart = abs(found.difference)
    allowed = max(TOLERANCE * found.recorded, HALF_A_JOB, NOISE * found.error)
    return "disagrees" if apart > allowed else "agrees"


def _probed(records: TrialRecords) -> tuple[Floats, Floats] | None:
    """Instants, and the jobs that were in the system by what was sampled there; None where nothing was.

    The queue as published hands its consumer everything that waits, and nobody can look into that: its
    broker's count is no count of what waits. A client that submits again is in no place between two attempts,
    while what it gave up may still be in the server: its records say nothing of how many are there.
    """
    if records.trial.retry.policy != "none":
        return None
    if records.trial.system.kind == "queued":
        t, ready = samples(records, "queue", "ready")
        if not len(t) or not len(records.executions):
            return None
        return t, ready + _executing(records).at(t)
    if records.trial.system.kind in ("blocking", "gunicorn", "bounded"):
        t, connections = samples(records, "gateway", "requests")
        return (t, connections) if len(t) else None
    return None


def _executing(records: TrialRecords) -> Stays:
    """Every execution of the journal, whether the clients know its job or not."""
    runs = records.executions
    return Stays(runs.start, _ended(records))


def _ended(records: TrialRecords) -> Floats:
    runs = records.executions
    ended = np.where(np.isfinite(runs.end), runs.end, runs.cut)
    return np.where(np.isfinite(ended), ended, np.inf)


def _stays(records: TrialRecords) -> Stays:
    """When each job that the clients know was in the system."""
    jobs, runs = records.jobs, records.executions
    if records.trial.system.kind != "queued":
        entered, left = jobs.sent, jobs.done
    else:
        known = runs.job >= 0
        first = np.full(len(jobs), np.inf)
        last = np.full(len(jobs), -np.inf)
        np.minimum.at(first, runs.job[known], runs.start[known])
        np.maximum.at(last, runs.job[known], _ended(records)[known])
        ran = np.isfinite(first)
        # A submission that the gateway gave up may have gone in all the same: then its job was executed.
        told = np.where(ran, np.fmin(jobs.accepted, jobs.done), jobs.accepted)
        entered = np.fmin(told, np.where(ran, first, np.nan))
        left = np.where(ran & ~np.isneginf(last), last, jobs.done)
    left = np.where(np.isnan(left), np.inf, left)
    inside = np.isfinite(entered) & ~jobs.is_("dropped")
    return Stays(entered[inside], np.maximum(left, entered)[inside])
