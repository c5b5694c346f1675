"""Which trials belong into one picture: repeats into points, points into series, series into groups. Pure."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.analysis.intervals import Estimate, estimate
from bench.analysis.trial.expectation import Line
from bench.analysis.trial.figures import Figures
from bench.plan import Kind, Trial, Work

BLOCKING_KINDS: tuple[Kind, ...] = ("blocking", "gunicorn", "bounded")
QUEUE_KINDS: tuple[Kind, ...] = ("as_published", "queued")
ORDER: tuple[Kind, ...] = (*BLOCKING_KINDS, *QUEUE_KINDS, "external")
"""Kinds as charts and tables list them."""
CROWDED = 6
"""Series that one chart holds and stays readable."""
_ALIKE = 0.25
"""Two calibrations of the same nominal service time differ by less than this on a noisy machine."""


@dataclass(frozen=True)
class Point:
    """The repeats of one system under one load, as far as they can be believed."""

    repeats: tuple[Figures, ...]

    @staticmethod
    def over(trials: Iterable[Figures]) -> "Point":
        """The point of these repeats: of the believable ones, or of all where none is."""
        ordered = sorted(trials, key=lambda f: f.trial.repeat)
        return Point(tuple(f for f in ordered if f.validity.believable) or tuple(ordered))

    @property
    def hollow(self) -> bool:
        """Whether no repeat can be believed: drawn with a hollow marker, and no part of any finding."""
        return not any(f.validity.believable for f in self.repeats)

    @property
    def trial(self) -> Trial:
        """Any of the repeats' trials: they differ in seed only."""
        return self.repeats[0].trial

    def of(self, figure: Callable[[Figures], float | None]) -> Estimate | None:
        """One figure over the repeats."""
        return estimate([figure(f) for f in self.repeats])

    def value(self, figure: Callable[[Figures], float | None]) -> float:
        """The middle of one figure over the repeats; NaN where there is none."""
        found = self.of(figure)
        return math.nan if found is None else found.value

    def total(self, count: Callable[[Figures], int]) -> int:
        """A count, summed over the repeats."""
        return sum(count(f) for f in self.repeats)

    def share(self, count: Callable[[Figures], int]) -> float:
        """A count as a share of all repeats' arrivals."""
        arrivals = self.total(lambda f: f.ledger.arrivals)
        return self.total(count) / arrivals if arrivals else math.nan


@dataclass(frozen=True)
class Series:
    """One system over a range of loads or worker counts."""

    label: str
    """What charts and tables call it."""
    name: str
    kind: Kind
    points: tuple[Point, ...]
    variant: str = ""
    """What sets its work apart from the group's main one, e.g. `GIL released`."""

    @property
    def key(self) -> str:
        """What has a colour of its own: the system with its variant, whatever the worker count."""
        return f"{self.name}, {self.variant}" if self.variant else self.name

    @property
    def queue(self) -> bool:
        """Whether it is of the queue's family."""
        return self.kind in QUEUE_KINDS


def solid(series: Iterable[Series]) -> tuple[Series, ...]:
    """The series without their hollow points, and without those that have no other."""
    kept = (replace(s, points=tuple(p for p in s.points if not p.hollow)) for s in series)
    return tuple(s for s in kept if s.points)


@dataclass(frozen=True)
class LoadGroup:
    """Systems under the same range of offered loads: one set of charts."""

    name: str
    work: Work
    series: tuple[Series, ...]
    reference: float
    """C in jobs per second: what the reference number of workers can sustain; NaN where unknown."""
    deadline: float
    theory: Mapping[str, Line] = field(default_factory=dict)
    """What theory expects, by the series' label."""

    def relative(self, point: Point) -> float:
        """Realised arrivals as a multiple of the reference capacity; the plan's own multiple without one."""
        realised = point.value(lambda f: f.rates.offered) / self.reference
        planned = math.nan if point.trial.system.kind == "external" else point.trial.load.relative
        return realised if math.isfinite(realised) else planned

    def main(self) -> "LoadGroup":
        """The group without variants of a kind (other result path, restarted, …) once it would be crowded."""
        if len(self.series) <= CROWDED:
            return self
        firsts = {(s.kind, s.variant): s for s in reversed(self.series)}
        return replace(self, series=tuple(s for s in self.series if firsts[s.kind, s.variant] is s))

    def queue_variants(self) -> "LoadGroup | None":
        """The queues alone, where the main charts leave some of them out."""
        own = tuple(s for s in self.series if s.queue)
        return replace(self, series=own) if len(self.main().series) < len(self.series) and own else None

    def find(self, *kinds: Kind) -> Series | None:
        """The first series of one of these kinds, in the order of the kinds."""
        return next((s for kind in kinds for s in self.series if s.kind == kind), None)

    def believable(self) -> "LoadGroup | None":
        """The group as findings see it: without hollow points; None where nothing is left."""
        kept = solid(self.series)
        return replace(self, series=kept) if kept else None


@dataclass(frozen=True)
class WorkersGroup:
    """Systems with different worker counts under one load."""

    work: Work
    load: str
    """As the experiment wrote it, e.g. `1.2C`."""
    offered: float
    """Realised arrivals per second, the middle over the trials."""
    relative: float
    reference: float
    cpus: float
    deadline: float
    series: tuple[Series, ...]
    """Each one's points in order of worker count."""

    @property
    def cpu_bound(self) -> bool:
        """Whether the work is mostly CPU."""
        return self.work.cpu_time >= 0.5 * self.work.service_time

    def believable(self) -> "WorkersGroup | None":
        """The group as findings see it: without hollow points; None where nothing is left."""
        kept = solid(self.series)
        return replace(self, series=kept) if kept else None


@dataclass(frozen=True)
class PartGroup:
    """The trials of one part that shows a burst, closed users, or the memory failure."""

    name: str
    work: Work
    size: int
    series: tuple[Series, ...]
    """One point each."""

    def believable(self) -> "PartGroup | None":
        """The group as findings see it: without hollow points; None where nothing is left."""
        kept = solid(self.series)
        return replace(self, series=kept) if kept else None


def load_groups(figures: Sequence[Figures]) -> list[LoadGroup]:
    """Groups for charts over the load. Parts with the same task, box and nearly the same S share one."""
    chosen = [
        f
        for f in figures
        if f.trial.shows == "load" and f.trial.load.arrivals in ("poisson", "constant") and f.ledger.arrivals
    ]
    groups: list[list[Figures]] = []
    for f in chosen:
        home = next((g for g in groups if all(_together(m.trial, f.trial) for m in g)), None)
        if home is None:
            groups.append([f])
        else:
            home.append(f)
    found = []
    for members in groups:
        main = _main_part(members)
        first = next(f.trial for f in members if f.trial.part == main)
        found.append(
            LoadGroup(
                name=main,
                work=first.work,
                series=_series(members, first.work, key=lambda f: f.trial.load.rate),
                reference=_reference(members),
                deadline=first.deadline,
            )
        )
    return sorted(found, key=lambda g: -len(g.series))


def worker_groups(figures: Sequence[Figures]) -> list[WorkersGroup]:
    """Groups for the charts over worker counts: one for each work and load that a `workers` part has.

    Trials of a `load` part with the same system, work and load lend their points: no trial runs twice.
    """
    chosen = [f for f in figures if f.ledger.arrivals and f.trial.load.arrivals in ("poisson", "constant")]
    sweeps = [f for f in chosen if f.trial.shows == "workers"]
    groups: dict[tuple[str, str, str, float], list[Figures]] = {}
    for f in sweeps:
        groups.setdefault(_sweep_key(f.trial), [])
    names = {key: {f.trial.system.name for f in sweeps if _sweep_key(f.trial) == key} for key in groups}
    for f in chosen:
        key = _sweep_key(f.trial)
        if f.trial.shows in ("workers", "load") and f.trial.system.name in names.get(key, ()):
            groups[key].append(f)
    found = []
    for members in groups.values():
        first = members[0].trial
        series = _series(members, first.work, key=lambda f: f.trial.system.workers, by_workers=True)
        offered = Point.over(members).of(lambda f: f.rates.offered)
        found.append(
            WorkersGroup(
                work=first.work,
                load=first.load.label,
                offered=offered.value if offered else first.load.rate,
                relative=first.load.relative,
                reference=_reference(members),
                cpus=first.box.cpus,
                deadline=first.deadline,
                series=series,
            )
        )
    return sorted(found, key=lambda g: (not g.cpu_bound, g.work.task, g.offered))


def part_groups(figures: Sequence[Figures], shows: str) -> list[PartGroup]:
    """One group for each part, burst size and work of the parts that show this."""
    groups: dict[tuple[str, int, str], list[Figures]] = {}
    for f in figures:
        if f.trial.shows == shows and f.ledger.arrivals:
            key = (f.trial.part, f.trial.load.size, _work_key(f.trial.work))
            groups.setdefault(key, []).append(f)
    return [
        PartGroup(
            name=members[0].trial.part,
            work=members[0].trial.work,
            size=members[0].trial.load.size,
            series=_series(members, members[0].trial.work, key=lambda _: 0.0),
        )
        for members in groups.values()
    ]


def service_time_groups(figures: Sequence[Figures]) -> list[PartGroup]:
    """The trials that show waiting against the service time, over all their parts: one group a burst size.

    Bursts and closed users of the same size in other parts lend nothing: their deadline differs.
    """
    sizes: dict[tuple[str, int], list[Figures]] = {}
    for f in figures:
        if f.trial.shows == "service_time" and f.ledger.arrivals:
            sizes.setdefault((f.trial.work.task, f.trial.load.size), []).append(f)
    return [
        PartGroup(
            name="service_time",
            work=members[0].trial.work,
            size=members[0].trial.load.size,
            series=_series(members, None, key=lambda f: round(f.trial.work.service_time, 3)),
        )
        for members in sizes.values()
    ]


def work_words(work: Work, other: Work | None) -> str:
    """What sets this work apart from the main one of its group, in two words; empty where nothing does."""
    if other is None or work == other or work.holds_gil == other.holds_gil:
        return ""
    return "GIL held" if work.holds_gil else "GIL released"


def _work_key(work: Work) -> str:
    return json.dumps([work.task, work.input], sort_keys=True, default=str)


def _sweep_key(trial: Trial) -> tuple[str, str, str, float]:
    return _work_key(trial.work), trial.load.label, str(trial.box), round(trial.load.relative, 4)


def _together(a: Trial, b: Trial) -> bool:
    """Whether two trials' offered loads mean the same and can share an axis: same work, box and clients.

    Above capacity a figure is one of its window, so the same load with another window is another load.
    """
    same_work = _work_key(a.work) == _work_key(b.work)
    near = abs(a.work.service_time / b.work.service_time - 1) <= _ALIKE
    gil_only = a.work.task == b.work.task and a.work.holds_gil != b.work.holds_gil and near
    same_load = a.load.label != b.load.label or math.isclose(a.load.window, b.load.window)
    return a.box == b.box and same_load and _same_clients(a, b) and (same_work or gil_only)


def _same_clients(a: Trial, b: Trial) -> bool:
    """Whether users wait as long, and try again in the same way. Limits in multiples of S are near enough."""
    limits = ((a.deadline, b.deadline), (a.gateway_timeout, b.gateway_timeout))
    ways = [(t.retry.policy, t.retry.attempts, t.retry.budget) for t in (a, b)]
    return ways[0] == ways[1] and all(math.isclose(x, y, rel_tol=_ALIKE) for x, y in limits)


def _main_part(members: Sequence[Figures]) -> str:
    """The part with the most systems; the first of equals."""
    systems: dict[str, set[str]] = {}
    for f in members:
        systems.setdefault(f.trial.part, set()).add(f.trial.system.name)
    return max(systems, key=lambda part: len(systems[part]))


def _reference(members: Iterable[Figures]) -> float:
    """C; what a service can sustain that somebody else runs, nobody knows."""
    ours = [f.trial for f in members if f.trial.system.kind != "external"]
    found = [t.load.rate / t.load.relative for t in ours if t.load.relative > 0]
    return found[0] if found else math.nan


def _series(
    members: Sequence[Figures],
    main: Work | None,
    key: Callable[[Figures], float],
    *,
    by_workers: bool = False,
) -> tuple[Series, ...]:
    """Sort trials into series by system (and what sets its work apart), and repeats into points."""
    grouped: dict[tuple[str, int, str], list[Figures]] = {}
    for f in members:
        words = work_words(f.trial.work, main)
        workers = 0 if by_workers else f.trial.system.workers
        grouped.setdefault((f.trial.system.name, workers, words), []).append(f)
    counts: dict[tuple[str, str], int] = {}
    for name, _, words in grouped:
        counts[name, words] = counts.get((name, words), 0) + 1
    found = []
    for (name, workers, words), own in grouped.items():
        label = name if counts[name, words] == 1 else f"{name} ×{workers}"
        points: dict[float, list[Figures]] = {}
        for f in own:
            points.setdefault(key(f), []).append(f)
        found.append(
            Series(
                label=f"{label}, {words}" if words else label,
                name=name,
                kind=own[0].trial.system.kind,
                variant=words,
                points=tuple(Point.over(points[x]) for x in sorted(points)),
            )
        )
    return tuple(sorted(found, key=lambda s: (ORDER.index(s.kind), len(s.label), s.label)))
