"""The trials under pulses and stairs, by system and by how their clients try again. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.analysis.across.groups import ORDER, Point, Series
from bench.analysis.tables import TrialRecords
from bench.analysis.trial.figures import Figures
from bench.analysis.trial.metastability import Hysteresis, Recovery, State, hysteresis, recovery
from bench.analysis.words import retry_words
from bench.plan import Arrivals, Retry


@dataclass(frozen=True)
class Pulsed:
    """One system with one kind of clients under a pulse."""

    series: Series
    """One point: its repeats."""
    recoveries: tuple[Recovery, ...]
    """One for each repeat."""

    @property
    def state(self) -> State:
        """What all repeats agree on."""
        states = {r.state for r in self.recoveries}
        return states.pop() if len(states) == 1 else "can't tell"

    @property
    def why(self) -> str:
        """Why nothing can be said; empty where something can."""
        if len({r.state for r in self.recoveries}) > 1:
            return "the repeats do not agree"
        return self.recoveries[0].why

    @property
    def retry(self) -> Retry:
        """How its clients try again."""
        return self.series.points[0].trial.retry


@dataclass(frozen=True)
class Climbed:
    """One system with one kind of clients over stairs, up and down."""

    series: Series
    courses: tuple[Hysteresis, ...]
    """One for each repeat."""

    @property
    def gap(self) -> float:
        """The middle of the repeats' gaps; NaN where one of them has none."""
        return float(np.median([c.gap for c in self.courses]))


def pulsed(done: Sequence[Figures], bundles: Mapping[str, TrialRecords]) -> tuple[Pulsed, ...]:
    """Every system under a pulse, from trials that may be believed; where none may, that is said."""
    return tuple(
        Pulsed(s, tuple(_believed(f, recovery(bundles[f.trial.id])) for f in s.points[0].repeats))
        for s in _series(done, lambda a: a == "pulse")
    )


def climbed(done: Sequence[Figures], bundles: Mapping[str, TrialRecords]) -> tuple[Climbed, ...]:
    """Every system over stairs, from trials that may be believed."""
    believable = [f for f in done if f.validity.believable]
    return tuple(
        Climbed(s, tuple(hysteresis(bundles[f.trial.id]) for f in s.points[0].repeats))
        for s in _series(believable, lambda a: a == "stairs")
    )


def _believed(f: Figures, found: Recovery) -> Recovery:
    if f.validity.believable:
        return found
    why = next(r.text for r in f.validity.reasons if r.grade == "INVALID")
    return replace(found, state="can't tell", why=why.rstrip("."))


def _series(done: Sequence[Figures], chosen: Callable[[Arrivals], bool]) -> list[Series]:
    groups: dict[tuple[str, int, str, Retry], list[Figures]] = {}
    for f in done:
        t = f.trial
        if t.shows == "metastability" and chosen(t.load.arrivals) and f.ledger.arrivals:
            groups.setdefault((t.system.name, t.system.workers, t.load.label, t.retry), []).append(f)
    found = []
    for (name, workers, _, retry), own in groups.items():
        alone = len({w for n, w, *_ in groups if n == name}) == 1
        found.append(
            Series(
                label=f"{name if alone else f'{name} ×{workers}'} ({retry_words(retry)})",
                name=name,
                kind=own[0].trial.system.kind,
                points=(Point.over(own),),
            )
        )
    return sorted(found, key=lambda s: (ORDER.index(s.kind), s.name, _care(s)))


def _care(series: Series) -> int:
    """Clients that care least for the server first."""
    return ("none", "immediate", "backoff", "jitter").index(series.points[0].trial.retry.policy)
