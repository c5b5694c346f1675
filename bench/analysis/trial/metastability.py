"""Does a system come back after a short overload? Recovery after a pulse, hysteresis over stairs. Pure.

A metastable failure outlives its trigger: a short overload sets off a feedback loop, mostly retries, that
multiplies the work, and at a load which the system carried before it stays down (Bronson et al., "Metastable
Failures in Distributed Systems", HotOS 2021; Huang et al., "Metastable Failures in the Wild", OSDI 2022).
What is judged is goodput, as there: the share of what was offered that got a correct result within D.

Goodput is counted where a job arrived, not where it ended: both rates then count the same jobs, and no result
falls into a later bin than its arrival.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.analysis.tables import Flags, Floats, TrialRecords
from bench.analysis.trial.ledger import fates

State = Literal["recovered", "metastable", "can't tell"]

GOOD = 0.95
"""Share of the offered load from which on goodput counts as back."""
CARRIED = 0.9
"""Share of the base load that must have been in time before the pulse: else the pulse is no trigger."""
DOWN = 0.5
"""Share of the offered load below which a system counts as down."""
HOLD = 25.0
"""× S for which goodput must stay back."""
PATIENCE = 100.0
"""× S of base load after the pulse that a system is given, at least, before it is called metastable."""
ENOUGH = 10
"""Arrivals below which no share is judged."""
BIN = 10.0
"""× S that one bin is long, where the arrivals are dense enough for it."""
JOBS_PER_BIN = 8
"""Arrivals that a bin of the base load should hold."""
SETTLING = 1 / 3
"""Part of each stair that is left out: there it still shows what the last one was."""


@dataclass(frozen=True)
class Phase:
    """The jobs that arrived in one stretch of the load."""

    arrivals: int = 0
    in_time: int = 0
    attempts: float = math.nan
    """Submissions per job; NaN without jobs."""

    @property
    def share(self) -> float:
        """Share in time; NaN without jobs."""
        return self.in_time / self.arrivals if self.arrivals else math.nan


@dataclass(frozen=True)
class Course:
    """One trial in bins that do not reach over the pulse's borders."""

    edges: Floats
    """Seconds since the window began, one more than there are bins; each of the other arrays has a bin's."""
    offered: Floats
    """Jobs per second that arrived."""
    goodput: Floats
    """Of them per second, those with a correct result within D."""
    attempts: Floats
    """Submissions per job that arrived; NaN in a bin without arrivals."""


@dataclass(frozen=True)
class Recovery:
    """What became of a system after a pulse."""

    state: State
    why: str
    """Why nothing can be said; empty where something can."""
    time: float
    """Seconds from the end of the pulse until goodput was back for good; NaN where it was not."""
    before: Phase
    during: Phase
    after: Phase
    """All that arrived after the pulse."""
    tail: Phase
    """What arrived when a system without a feedback loop had long come back."""
    pulse: tuple[float, float]
    """Its start and end, seconds since the window began."""
    course: Course
    executed: float = math.nan
    """Task runs begun for each job delivered in time, over the whole trial; infinite where none was."""


@dataclass(frozen=True)
class Stair:
    """One step of the stairs."""

    rate: float
    """Offered jobs per second, by the plan."""
    share: float
    """Share of what arrived that got a correct result within D; NaN where nothing arrived."""
    attempts: float
    """Submissions per job; NaN without jobs."""

    @property
    def goodput(self) -> float:
        """Jobs per second: the share of the planned rate, so that chance in the arrivals is not in it."""
        return self.rate * self.share


@dataclass(frozen=True)
class Hysteresis:
    """Goodput against offered load, going up and coming down again. Both begin at the lowest rate."""

    up: tuple[Stair, ...]
    down: tuple[Stair, ...]
    gap: float
    """Area between the way up and the way down, as a share of the area under the offered load over the same
    rates: 0 where the past does not matter, 1 where what carried everything carries nothing any more. NaN
    where the lowest stair was not carried on the way up: there is nothing to compare with."""


def recovery(records: TrialRecords) -> Recovery:
    """Judge one trial under a pulse.

    *Recovered*: from some bin on, to the end and for 25 S at least, 95 % of the arrivals are in time.
    *Metastable*: the base load was carried before; later than 100 S after the pulse, and than twice what the
    pulse's own excess takes to be worked off at the spare capacity, less than half of the arrivals are in
    time. Else it can't be told. Raises ValueError for a trial without a pulse.
    """
    steps = records.trial.load.steps
    if len(steps) != 3:
        raise ValueError(f"trial {records.trial.id} has no pulse")
    view = _View(records)
    begin, end = steps[0].seconds, steps[0].seconds + steps[1].seconds
    stop = end + steps[2].seconds
    late_from = end + max(PATIENCE * records.trial.work.service_time, 2 * own_backlog(records))
    course = view.course(_edges((0.0, begin, end, stop), _bin_length(records)))
    before, after = view.phase(0.0, begin), view.phase(end, stop)
    tail = view.phase(min(late_from, stop), stop)
    time = _time_to_recovery(view, course.edges, end, HOLD * records.trial.work.service_time)
    state, why = _judged(records, before, tail, time, late_from - end)
    in_time = int(np.count_nonzero(view.in_time))
    return Recovery(
        state=state,
        why=why,
        time=time if state == "recovered" else math.nan,
        before=before,
        during=view.phase(begin, end),
        after=after,
        tail=tail,
        pulse=(begin, end),
        course=course,
        executed=_executed(records) / in_time if in_time else math.inf,
    )


def _executed(records: TrialRecords) -> int:
    """Executions of the window's jobs."""
    known = records.executions.job[records.executions.job >= 0]
    return int(np.count_nonzero(records.jobs.window[known]))


def own_backlog(records: TrialRecords) -> float:
    """Seconds that the pulse's excess alone takes to be worked off by what the base load leaves of capacity.

    The fluid approximation of a queue under a rush (Newell, Applications of Queueing Theory, chapter 2).
    Infinite where the base load leaves nothing; 0 for a service whose capacity nobody knows.
    """
    trial, (base, peak, _) = records.trial, records.trial.load.steps
    if trial.system.kind == "external":
        return 0.0
    excess = max(0.0, (peak.rate - trial.capacity) * peak.seconds)
    return excess / (trial.capacity - base.rate) if trial.capacity > base.rate else math.inf


def hysteresis(records: TrialRecords) -> Hysteresis:
    """Goodput over the offered load on stairs up and down again, without the first third of every step.

    Raises ValueError for a trial whose steps do not come down as they went up.
    """
    rates = [step.rate for step in records.trial.load.steps]
    if not rates or rates != rates[::-1]:
        raise ValueError(f"trial {records.trial.id} has no stairs up and down")
    view, at = _View(records), 0.0
    stairs = []
    for step in records.trial.load.steps:
        phase = view.phase(at + SETTLING * step.seconds, at + step.seconds)
        stairs.append(Stair(step.rate, phase.share, phase.attempts))
        at += step.seconds
    top = len(stairs) // 2
    up, down = tuple(stairs[: top + 1]), tuple(reversed(stairs[top:]))
    return Hysteresis(up, down, _gap(up, down))


def _gap(up: Sequence[Stair], down: Sequence[Stair]) -> float:
    rates = np.array([s.rate for s in up])
    lost = np.array([u.goodput - d.goodput for u, d in zip(up, down, strict=True)])
    whole = float(np.trapezoid(rates, rates))
    if not up[0].share >= CARRIED:
        return math.nan
    return float(np.trapezoid(lost, rates)) / whole if whole > 0 else math.nan


def _bin_length(records: TrialRecords) -> float:
    base = records.trial.load.steps[0].rate
    return max(BIN * records.trial.work.service_time, JOBS_PER_BIN / base if base > 0 else 0.0)


def _edges(borders: Sequence[float], length: float) -> Floats:
    """Each stretch between two borders in bins of about this length."""
    parts = [
        np.linspace(a, b, max(1, round((b - a) / length)), endpoint=False)
        for a, b in itertools.pairwise(borders)
    ]
    return np.concatenate([*parts, borders[-1:]]).astype(np.float64)


def _time_to_recovery(view: "_View", edges: Floats, end: float, hold: float) -> float:
    """Seconds from `end` to the first bin from which on goodput is back; NaN where there is none."""
    stop = float(edges[-1])
    for start, until in itertools.pairwise(edges[edges >= end]):
        own, rest = view.phase(start, until), view.phase(start, stop)
        if stop - start < hold or rest.arrivals < ENOUGH:
            break
        if own.arrivals and min(own.share, rest.share) >= GOOD:
            return float(start - end)
    return math.nan


def _judged(records: TrialRecords, before: Phase, tail: Phase, time: float, wait: float) -> tuple[State, str]:
    """The state, and why nothing can be said. `wait`: seconds after the pulse at which `tail` begins."""
    if before.arrivals < ENOUGH:
        why = "too little arrived before the pulse"
    elif before.share < CARRIED:
        why = "the base load was not carried before the pulse"
    elif math.isfinite(time):
        return "recovered", ""
    elif wait >= records.trial.load.steps[2].seconds:
        why = "what came after the pulse was too short to tell"
    elif tail.arrivals < ENOUGH:
        why = "too little arrived after the pulse"
    elif tail.share < DOWN:
        return "metastable", ""
    else:
        why = "goodput was neither back nor below half"
    return "can't tell", why


class _View:
    """A trial's arrivals of the window, as the questions here need them."""

    def __init__(self, records: TrialRecords) -> None:
        jobs = records.jobs
        own = jobs.window
        self.arrival: Floats = jobs.arrival[own] - records.window[0]
        self.in_time: Flags = fates(records)["in_time"][own]
        self.attempts = jobs.attempts[own]

    def phase(self, start: float, end: float) -> Phase:
        """What arrived from `start` on and before `end`."""
        first, last = np.searchsorted(self.arrival, (start, end))
        n = int(last - first)
        return Phase(
            n,
            int(np.count_nonzero(self.in_time[first:last])),
            float(self.attempts[first:last].mean()) if n else math.nan,
        )

    def course(self, edges: Floats) -> Course:
        """The whole window in these bins."""
        bins, width = len(edges) - 1, np.diff(edges)
        place = np.clip(np.searchsorted(edges, self.arrival, side="right") - 1, 0, bins - 1)
        count = np.bincount(place, minlength=bins).astype(np.float64)
        good = np.bincount(place, weights=self.in_time, minlength=bins)
        tries = np.bincount(place, weights=self.attempts, minlength=bins)
        with np.errstate(invalid="ignore"):
            per_job = tries / count
        return Course(edges, count / width, good / width, per_job)
