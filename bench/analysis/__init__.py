"""Records in, numbers out; no I/O. `analyse` is the whole of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.analysis.across.groups import (
    LoadGroup,
    Point,
    load_groups,
    part_groups,
    service_time_groups,
    worker_groups,
)
from bench.analysis.across.notes import Note, notes
from bench.analysis.across.shaped import climbed, pulsed
from bench.analysis.across.theory import lines, with_theory
from bench.analysis.across.verdict import Groups, Verdict, verdict
from bench.analysis.run import Run, RunDescriptionError, in_order
from bench.analysis.tables import TableError, Tables, TrialRecords, split
from bench.analysis.trial.figures import Figures, figures, with_limits, with_speed
from bench.analysis.trial.generator import limits_of
from bench.analysis.trial.latency import Curve, Returns, curve, response_times, returns
from bench.analysis.trial.timeline import Timeline, timeline

__all__ = [
    "Analysis",
    "CurveGroup",
    "Figures",
    "Groups",
    "Note",
    "Run",
    "RunDescriptionError",
    "TableError",
    "Tables",
    "Timeline",
    "Verdict",
    "analyse",
    "judged",
    "trial_figures",
]


@dataclass(frozen=True)
class CurveGroup:
    """Latency percentile curves of all systems under one load."""

    point: Point
    """Any of the systems' points, for the load's name and window."""
    curves: tuple[tuple[str, Curve], ...]
    """By label; repeats pooled."""
    hollow: frozenset[str] = frozenset()
    """Labels of the systems whose trials can't be believed here."""

    def believable(self) -> "CurveGroup | None":
        """Without those; None where nothing is left."""
        kept = tuple(entry for entry in self.curves if entry[0] not in self.hollow)
        return replace(self, curves=kept, hollow=frozenset()) if kept else None


@dataclass(frozen=True)
class Analysis:
    """A run in numbers: all that charts, tables and words are made of."""

    run: Run
    rows: tuple[Figures, ...]
    """Every trial of the plan, by part, load and system; those that did not take place with empty ledgers."""
    groups: Groups
    curves: tuple[CurveGroup, ...]
    returns: Mapping[str, Returns]
    """By trial id, for bursts, memory failures and closed users."""
    timelines: Mapping[str, Timeline]
    """By trial id, for overloaded trials and memory failures."""
    verdict: Verdict
    notes: tuple[Note, ...]

    @property
    def done(self) -> tuple[Figures, ...]:
        """The trials that took place."""
        return tuple(f for f in self.rows if f.result.status == "done")


def trial_figures(run: Run, tables: Tables, trial_id: str) -> Figures:
    """One trial of a run in numbers, not yet judged beside the others: see `judged`.

    Raises TableError where the tables contradict the format, KeyError where the run has no such trial.
    """
    trial = {t.id: t for t in run.trials}[trial_id]
    return figures(split(tables, [trial])[trial_id], run.result(trial))


def judged(rows: Sequence[Figures], run: Run) -> list[Figures]:
    """What the validity gate says of each, now that the others are there to compare with."""
    return with_limits(with_speed(rows), limits_of(run.environment))


def analyse(run: Run, tables: Tables) -> Analysis:
    """Analyse a whole run. Raises TableError where the tables contradict the format."""
    bundles = split(tables, run.trials)
    strays = int(len(tables.jobs) - sum(len(b.jobs) for b in bundles.values()))
    measured = [figures(bundles[t.id], run.result(t)) for t in in_order(run)]
    rows = with_theory(judged(measured, run), bundles)
    done = [f for f in rows if f.result.status == "done"]
    groups = Groups(
        loads=tuple(replace(g, theory=lines(g)) for g in load_groups(done)),
        workers=tuple(worker_groups(done)),
        bursts=tuple(part_groups(done, "burst")),
        memory=tuple(part_groups(done, "memory")),
        closed=tuple(part_groups(done, "closed")),
        service_time=tuple(service_time_groups(done)),
        pulses=pulsed(done, bundles),
        stairs=climbed(done, bundles),
    )
    each = [g for kind in (groups.bursts, groups.memory, groups.closed) for g in kind]
    came_back = {
        f.trial.id: returns(bundles[f.trial.id])
        for g in each
        for s in g.series
        for p in s.points
        for f in p.repeats
    }
    return Analysis(
        run=run,
        rows=rows,
        groups=groups,
        curves=tuple(c for g in groups.loads[:1] for c in _curves(g.main(), bundles)),
        returns=came_back,
        timelines={trial: timeline(bundles[trial]) for trial in _worth_a_timeline(groups)},
        verdict=verdict(run, done, groups, came_back),
        notes=notes(run, done, strays),
    )


def _curves(group: LoadGroup, bundles: Mapping[str, TrialRecords]) -> list[CurveGroup]:
    """Curves at the highest load below the reference capacity and at the first one above it."""
    loads = sorted({round(p.trial.load.rate, 6) for s in group.series for p in s.points})
    capacity = group.reference if group.reference == group.reference else float("inf")
    below = [r for r in loads if r <= capacity]
    above = [r for r in loads if r > capacity]
    found = []
    for rate in below[-1:] + above[:1]:
        own = [(s, p) for s in group.series for p in s.points if round(p.trial.load.rate, 6) == rate]
        curves = []
        for series, point in own:
            times = np.concatenate([response_times(bundles[f.trial.id]) for f in point.repeats])
            curves.append((series.label, curve(times)))
        found.append(
            CurveGroup(own[0][1], tuple(curves), frozenset(series.label for series, p in own if p.hollow))
        )
    return found


def _worth_a_timeline(groups: Groups) -> list[str]:
    """The most overloaded trial of each architecture's first system, and every memory failure."""
    chosen = []
    for group in groups.loads[:1]:
        first = {s.kind: s for s in reversed(group.series) if not s.variant and s.kind != "bounded"}
        for series in first.values():
            point = series.points[-1]
            limits = [c for c in (group.reference, point.trial.capacity) if c > 0]
            if point.trial.load.rate > min(limits, default=0.0):
                chosen.append(point.trial.id)
    for memory in groups.memory:
        chosen += [series.points[0].trial.id for series in memory.series]
    return chosen
