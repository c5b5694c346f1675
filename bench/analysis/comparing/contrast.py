"""Two runs, or the two systems of one run, set side by side: trials, figures, verdicts, limits. Pure."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.analysis.comparing.comparison import Comparison, Scale, compare_paired, compare_unpaired
from bench.analysis.trial.figures import Figures
from bench.analysis.words import figure, listing, percent, seconds, size
from bench.limits import Limit, Margin
from bench.plan import Trial


@dataclass(frozen=True)
class Metric:
    """One figure of a trial that can be compared."""

    name: str
    """In options, e.g. `p95`."""
    label: str
    value: Callable[[Figures], float | None]
    show: Callable[[float], str]
    lower_is_better: bool = True
    scale: Scale = "ratio"


def _per_delivered(f: Figures) -> float | None:
    """CPU seconds of the box for each result that reached a client; infinite where none did."""
    if math.isnan(f.usage.cpu) or math.isnan(f.rates.throughput):
        return None
    return f.usage.cpu / f.rates.throughput if f.rates.throughput > 0 else math.inf


def _rate(value: float) -> str:
    return f"{figure(value)}/s"


METRICS = (
    Metric("p50", "response time p50", lambda f: f.response[0.5], seconds),
    Metric("p90", "response time p90", lambda f: f.response[0.9], seconds),
    Metric("p95", "response time p95", lambda f: f.response[0.95], seconds),
    Metric("p99", "response time p99", lambda f: f.response[0.99], seconds),
    Metric("mean", "mean of the delivered", lambda f: f.mean_response, seconds),
    Metric("accept", "accept time p50", lambda f: f.accept[0.5], seconds),
    Metric("goodput", "goodput", lambda f: f.rates.goodput, _rate, lower_is_better=False),
    Metric("throughput", "throughput", lambda f: f.rates.throughput, _rate, lower_is_better=False),
    Metric("timeouts", "no result in time", lambda f: f.ledger.timeout_share, percent, scale="difference"),
    Metric(
        "errors",
        "errors",
        lambda f: f.ledger.share(f.ledger.error + f.ledger.wrong),
        percent,
        scale="difference",
    ),
    Metric("wasted", "wasted work", lambda f: f.waste.wasted_share, percent, scale="difference"),
    Metric("cpu", "CPU per delivered job", _per_delivered, seconds),
    Metric("memory", "memory peak", lambda f: f.usage.memory_peak, size),
)
"""In the order of tables. `errors`: failures other than time-outs, and wrong results."""


@dataclass(frozen=True)
class Row:
    """One metric of one pair of points."""

    point: str
    """Part, system, workers and load, as far as they set it apart."""
    metric: Metric
    a: tuple[float, ...]
    """Each trial's value, NaN where it has none; for pairs in the order of `b`."""
    b: tuple[float, ...]
    comparison: Comparison

    @property
    def told(self) -> bool:
        """Whether both sides have a value at all."""
        return self.comparison.pairs > 0


@dataclass(frozen=True)
class Contrast:
    """B set beside A."""

    a: str
    b: str
    paired: bool
    rows: tuple[Row, ...]
    margin: Margin
    trials: tuple[int, int]
    """How many trials of A and of B take part."""
    unbelievable: tuple[str, ...] = ()
    """Trials left out by the validity gate, each with its first reason."""
    unmatched: tuple[str, ...] = ()
    """Points that only one side has."""
    idle: tuple[str, ...] = ()
    """Points where one side finished no job at all."""
    unsteady: tuple[str, ...] = ()
    """Points where a side was saturated: honest figures, which belong to their window."""

    @property
    def empty(self) -> bool:
        """Whether nothing at all can be set side by side."""
        return not any(row.told for row in self.rows)


def between_runs(
    a: Sequence[Figures],
    b: Sequence[Figures],
    names: tuple[str, str],
    metrics: Sequence[Metric],
    margin: Margin,
) -> Contrast:
    """Compare the same points of two runs, unpaired: they were not measured side by side."""
    left, right = _by_point(a), _by_point(b)
    both = [key for key in left if key in right]
    points = [(_name(left[key][0].trial, both), left[key], right[key]) for key in both]
    return Contrast(
        *names,
        paired=False,
        rows=tuple(
            _row(point, metric, x, y, margin, paired=False) for point, x, y in points for metric in metrics
        ),
        margin=margin,
        trials=(sum(len(left[k]) for k in both), sum(len(right[k]) for k in both)),
        unbelievable=_unbelievable([*a, *b]),
        unmatched=tuple(
            [f"{_name(left[k][0].trial, [])} is in A only" for k in left if k not in right]
            + [f"{_name(right[k][0].trial, [])} is in B only" for k in right if k not in left]
        ),
        idle=tuple(_idle(points)),
        unsteady=tuple(_unsteady(points)),
    )


def between_parts(
    figures: Sequence[Figures],
    parts: tuple[str, str],
    names: tuple[str, str],
    metrics: Sequence[Metric],
    margin: Margin,
) -> Contrast:
    """Compare two parts of one run, paired: trials under one load and of one repeat ran side by side."""
    usable = [f for f in figures if _usable(f)]
    first = {_pair_key(f.trial): f for f in usable if f.trial.part == parts[0]}
    second = {_pair_key(f.trial): f for f in usable if f.trial.part == parts[1]}
    pairs = [(first[key], second[key]) for key in first if key in second]
    loads = list(dict.fromkeys(x.trial.load.label for x, _ in pairs))
    points = []
    for load in loads:
        own = [p for p in pairs if p[0].trial.load.label == load]
        points.append((f"at {load}", [x for x, _ in own], [y for _, y in own]))
    return Contrast(
        *names,
        paired=True,
        rows=tuple(
            _row(point, metric, x, y, margin, paired=True) for point, x, y in points for metric in metrics
        ),
        margin=margin,
        trials=(len(pairs), len(pairs)),
        unbelievable=_unbelievable(figures),
        unmatched=tuple(
            f"{f.trial.id} has no partner"
            for side, other in ((first, second), (second, first))
            for key, f in side.items()
            if key not in other
        ),
        idle=tuple(_idle(points)),
        unsteady=tuple(_unsteady(points)),
    )


Outcome = Literal["broken", "held", "unclear"]


@dataclass(frozen=True)
class Check:
    """One limit on one row."""

    limit: Limit
    row: Row | None
    """None where no row has the limit's metric."""
    outcome: Outcome


def checks(contrast: Contrast, limits: Sequence[Limit]) -> tuple[Check, ...]:
    """Hold the rows against limits. Broken: the value is beyond the limit, and the interval leaves out that
    nothing changed. Held: the whole interval is within the limit. Else unclear.
    """
    found = []
    for limit in limits:
        rows = [r for r in contrast.rows if r.metric.name == limit.metric]
        found += [Check(limit, row, _outcome(limit, row.comparison)) for row in rows]
        if not rows:
            found.append(Check(limit, None, "unclear"))
    return tuple(found)


def check_limits(limits: Sequence[Limit]) -> None:
    """Refuse limits that no metric has. Raises ValueError."""
    known = {m.name: m for m in METRICS}
    for limit in limits:
        metric = known.get(limit.metric)
        if metric is None:
            raise ValueError(
                f"{limit.text}: there is no metric {limit.metric}; choose from {', '.join(known)}"
            )
        if metric.lower_is_better != (limit.sign == ">"):
            less, sign = ("less", ">+") if metric.lower_is_better else ("more", "<-")
            raise ValueError(f"{limit.text}: {less} is no worse; write {metric.name}{sign}…")
        if limit.points != (metric.scale == "difference"):
            unit = "percentage points, as in +1pp" if metric.scale == "difference" else "per cent, as in 10%"
            raise ValueError(f"{limit.text}: {metric.name} changes in {unit}")


def chosen(names: Iterable[str]) -> tuple[Metric, ...]:
    """Metrics by name, in their own order; all without a name. Raises ValueError for an unknown one."""
    wanted = set(names)
    if strange := wanted - {m.name for m in METRICS}:
        known = ", ".join(m.name for m in METRICS)
        raise ValueError(f"there is no metric {', '.join(sorted(strange))}; choose from {known}")
    return tuple(m for m in METRICS if not wanted or m.name in wanted)


def _outcome(limit: Limit, found: Comparison) -> Outcome:
    edge = limit.amount if found.scale == "difference" else 1 + limit.amount
    upwards = limit.sign == ">"
    beyond = found.value > edge if upwards else found.value < edge
    if beyond and found.differs:
        return "broken"
    held = found.high <= edge if upwards else found.low >= edge
    return "held" if held else "unclear"


def _row(
    point: str, metric: Metric, a: Sequence[Figures], b: Sequence[Figures], margin: Margin, *, paired: bool
) -> Row:
    x, y = ([_value(metric, f) for f in side] for side in (a, b))
    compare = compare_paired if paired else compare_unpaired
    comparison = compare(
        x,
        y,
        lower_is_better=metric.lower_is_better,
        margin=margin.points if metric.scale == "difference" else margin.ratio,
        scale=metric.scale,
    )
    return Row(point, metric, tuple(x), tuple(y), comparison)


def _value(metric: Metric, f: Figures) -> float:
    value = metric.value(f) if f.ledger.arrivals else None
    return math.nan if value is None else float(value)


def _usable(f: Figures) -> bool:
    return f.result.status == "done" and f.validity.believable


def _by_point(figures: Sequence[Figures]) -> dict[tuple[str, str, int, str], list[Figures]]:
    found: dict[tuple[str, str, int, str], list[Figures]] = {}
    for f in figures:
        if _usable(f):
            trial = f.trial
            key = (trial.part, trial.system.name, trial.system.workers, trial.load.label)
            found.setdefault(key, []).append(f)
    return found


def _pair_key(trial: Trial) -> tuple[str, int]:
    return trial.load.label, trial.repeat


def _name(trial: Trial, among: Sequence[tuple[str, str, int, str]]) -> str:
    """`queued ×2 at 0.8C`; with its part in front where several parts are compared."""
    several = len({part for part, *_ in among}) > 1
    own = f"{trial.system.name} ×{trial.system.workers} at {trial.load.label}"
    return f"{trial.part}: {own}" if several else own


def _unbelievable(figures: Sequence[Figures]) -> tuple[str, ...]:
    return tuple(
        f"{f.trial.id}: {next(r.text for r in f.validity.reasons if r.grade == 'INVALID')}"
        for f in figures
        if f.result.status == "done" and not f.validity.believable
    )


def _idle(points: Iterable[tuple[str, Sequence[Figures], Sequence[Figures]]]) -> Iterable[str]:
    for point, a, b in points:
        for name, side in (("A", a), ("B", b)):
            if any(f.ledger.arrivals for f in side) and not any(f.ledger.delivered for f in side):
                yield f"{point}: no job was finished in {name}"


def _unsteady(points: Iterable[tuple[str, Sequence[Figures], Sequence[Figures]]]) -> Iterable[str]:
    for point, a, b in points:
        sides = [
            name for name, side in (("A", a), ("B", b)) if any(f.validity.grade != "VALID" for f in side)
        ]
        if sides:
            yield f"{point}: not steady in {listing(sides)}"
