"""Whether a run met what was asked of it: each objective against the run's figures. Pure."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.analysis.across.groups import Point
from bench.analysis.intervals import estimate
from bench.analysis.trial.figures import Figures
from bench.analysis.trial.latency import arrivals_needed
from bench.analysis.words import count
from bench.objective import TIMES, Objective
from bench.plan import Trial
from bench.slo import Slo

State = Literal["met", "missed", "not enough arrivals", "not believable", "not measured"]


@dataclass(frozen=True)
class Check:
    """One objective for one system under one load."""

    objective: Objective
    point: Point
    state: State
    value: float
    """The median over the trials, in seconds or as a share; infinite: not reached; NaN: there is none."""
    why: str = ""
    """What there is to say besides; empty for what was met or missed."""

    @property
    def trial(self) -> Trial:
        """Any of the repeats' trials: they differ in seed only."""
        return self.point.trial


def metric(f: Figures, name: str) -> float | None:
    """One of `objective.TIMES` and `SHARES`, in seconds or as a share of arrivals; None: too few arrivals.

    `mean` is infinite as soon as one arrival never got its result, as every percentile counts such a job. Of
    the shares, `timeouts` are all arrivals without a correct result within D, whatever became of them, and
    `errors` those that were told of a failure or were handed a wrong result (504 among them).
    """
    if not f.ledger.arrivals:
        return None
    return _METRICS[name](f)


def check(slos: Iterable[Slo], rows: Sequence[Figures]) -> tuple[Check, ...]:
    """Check every objective, in the order in which they were written.

    Where system or load is left open, systems and loads that do not have the figure are passed over, unless
    none has it.
    """
    found: list[Check] = []
    for slo in slos:
        points = _points(f for f in rows if slo.chooses(f.trial))
        for objective in slo.objectives:
            each = [_check(objective, point) for point in points]
            telling = each if slo.named else [c for c in each if not _silent(c)]
            found += telling or each
    return tuple(found)


def _points(rows: Iterable[Figures]) -> list[Point]:
    held: dict[tuple[str, str, int, str], list[Figures]] = {}
    for f in rows:
        t = f.trial
        held.setdefault((t.part, t.system.name, t.system.workers, t.load.label), []).append(f)
    return [Point(tuple(repeats)) for repeats in held.values()]


def _check(objective: Objective, point: Point) -> Check:
    done = [f for f in point.repeats if f.result.status == "done"]
    if not done or 2 * len(done) < len(point.repeats):
        return Check(objective, point, "not measured", math.nan, _undone(point))
    believable = [f for f in done if f.validity.believable]
    if not believable or 2 * len(believable) < len(done):
        return Check(objective, point, "not believable", math.nan, _doubts(done))
    middle = estimate([metric(f, objective.metric) for f in believable])
    if middle is None:
        return Check(objective, point, "not enough arrivals", math.nan, _needed(objective, believable))
    return Check(objective, point, "met" if objective.met(middle.value) else "missed", middle.value)


def _silent(check: Check) -> bool:
    """Whether it tells nothing against the system: a skipped trial, or a figure that it can't have."""
    skipped = all(f.result.status == "skipped" for f in check.point.repeats)
    return check.state == "not enough arrivals" or (check.state == "not measured" and skipped)


def _undone(point: Point) -> str:
    first = next(f for f in point.repeats if f.result.status != "done")
    return first.result.reason or "the trial did not take place"


def _doubts(done: Sequence[Figures]) -> str:
    grave = [r.text for f in done for r in f.validity.reasons if r.grade == "INVALID"]
    return "; ".join(dict.fromkeys(grave))


def _needed(objective: Objective, repeats: Sequence[Figures]) -> str:
    most = max(f.ledger.arrivals for f in repeats)
    p = _PERCENTILES.get(objective.metric)
    needed = f"; {objective.metric} takes {arrivals_needed(p):,}" if p is not None else ""
    return f"{count(most, 'arrival')}{needed}"


def _mean(f: Figures) -> float:
    return f.mean_response if f.ledger.delivered == f.ledger.arrivals else math.inf


def _percentile(p: float) -> Callable[[Figures], float | None]:
    return lambda f: f.response[p]


_PERCENTILES = {name: round(float(name[1:]) / 100, 6) for name in TIMES if name != "mean"}
_METRICS: dict[str, Callable[[Figures], float | None]] = {
    **{name: _percentile(p) for name, p in _PERCENTILES.items()},
    "mean": _mean,
    "timeouts": lambda f: f.ledger.timeout_share,
    "errors": lambda f: f.ledger.share(f.ledger.failed),
    "rejected": lambda f: f.ledger.share(f.ledger.rejected),
    "lost": lambda f: f.ledger.share(f.ledger.lost),
    "late": lambda f: f.ledger.share(f.ledger.late),
    "intime": lambda f: f.ledger.share(f.ledger.in_time),
}
