"""Lines over offered load or worker count, with a place for what was never reached."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from bench.analysis.across.groups import LoadGroup, Point, Series
from bench.analysis.intervals import Estimate
from bench.analysis.trial.figures import Figures
from bench.charts.chart import Context
from bench.charts.labels import Label, label_ends
from bench.charts.marks import interval, mark, plot
from bench.charts.scales import time_axis
from bench.charts.style import SMALL, Axes

Figure = Callable[[Figures], float | None]
Across = Callable[[Point], float]


@dataclass(frozen=True)
class Drawn:
    """A series' points as they go into a chart: where, and how much."""

    series: Series
    x: list[float]
    y: list[Estimate]
    hollow: list[bool]
    """Which points can't be believed."""


def gather(series: Sequence[Series], across: Across, figure: Figure) -> list[Drawn]:
    """The points of each series that have this figure."""
    found = []
    for s in series:
        points = [(across(p), e, p.hollow) for p in s.points if (e := p.of(figure)) is not None]
        points = sorted((entry for entry in points if math.isfinite(entry[0])), key=lambda entry: entry[0])
        if points:
            found.append(Drawn(s, [p[0] for p in points], [p[1] for p in points], [p[2] for p in points]))
    return found


def span(drawn: Sequence[Drawn], *also: float) -> tuple[float, float]:
    """A logarithmic range that holds all finite values, with air."""
    values = [e.value for d in drawn for e in d.y if math.isfinite(e.value) and e.value > 0]
    values += [v for v in also if math.isfinite(v) and v > 0]
    return (min(values) / 1.6, max(values) * 1.5) if values else (0.01, 1.0)


def times(axes: Axes, drawn: Sequence[Drawn], context: Context, low: float, high: float) -> None:
    """Durations on a log axis; infinite ones stand in a band at the top, named "never"."""
    never = any(math.isinf(e.value) for d in drawn for e in d.y)
    roof = high * (high / low) ** 0.16 if never else high
    time_axis(axes, low, roof, never=high if never else None)
    band = math.sqrt(high * roof)
    labels = []
    crowd = _crowd(drawn)
    for d in drawn:
        look = context.look(d.series)
        shown = [e.value if math.isfinite(e.value) else band for e in d.y]
        finite = [n for n, e in enumerate(d.y) if math.isfinite(e.value)]
        hollow = [d.hollow[n] for n in finite]
        plot(axes, [d.x[n] for n in finite], [shown[n] for n in finite], look, hollow=hollow)
        for n, e in enumerate(d.y):
            if math.isinf(e.value):
                side = crowd[d.series.label, d.x[n]]
                step = side * (axes.get_xlim()[1] - axes.get_xlim()[0]) * 0.03
                mark(axes, [d.x[n] + step], [band], look, hollow=d.hollow[n])
                if n and math.isfinite(d.y[n - 1].value):
                    axes.plot(
                        [d.x[n - 1], d.x[n]], [shown[n - 1], band], color=look.light, linewidth=0.8,
                        linestyle=(0, (1, 2)), zorder=2,
                    )  # fmt: skip
            if e.low is not None and e.high is not None:
                interval(axes, d.x[n], min(e.low, band), min(e.high, band), look)
        labels.append(Label(d.x[-1], shown[-1], d.series.label, look.light))
    label_ends(axes, labels, SMALL)


def _crowd(drawn: Sequence[Drawn]) -> dict[tuple[str, float], float]:
    """Sideways steps for markers that share a place in the band, so that each is seen."""
    at: dict[float, list[str]] = {}
    for d in drawn:
        for x, e in zip(d.x, d.y, strict=True):
            if math.isinf(e.value):
                at.setdefault(round(x, 3), []).append(d.series.label)
    return {
        (d.series.label, x): _step(at[round(x, 3)], d.series.label)
        for d in drawn
        for x, e in zip(d.x, d.y, strict=True)
        if math.isinf(e.value)
    }


def _step(labels: list[str], label: str) -> float:
    return labels.index(label) - (len(labels) - 1) / 2


def theory(axes: Axes, series: Sequence[Series], group: LoadGroup, p: float, context: Context) -> bool:
    """What queueing theory expects, thin and in the systems' colours, as far as the axes go; whether any."""
    drawn = False
    _, roof = axes.get_ylim()
    for s in series:
        line = group.theory.get(s.label)
        if line is None:
            continue
        # From where the gateway cuts that share of the users off there is no time to draw.
        shown = list(takewhile(lambda at: at[1] <= roof, zip(line.rates, line.seconds[p], strict=True)))
        if len(shown) > 1:
            look = context.look(s)
            plot(axes, [x for x, _ in shown], [y for _, y in shown], look, markers=False, width=0.8)
            drawn = True
    return drawn


def amounts(axes: Axes, drawn: Sequence[Drawn], context: Context) -> None:
    """Rates or shares on a linear axis that is set already."""
    labels = []
    for d in drawn:
        look = context.look(d.series)
        values = [e.value for e in d.y]
        plot(axes, d.x, values, look, hollow=d.hollow)
        for x, e in zip(d.x, d.y, strict=True):
            if e.low is not None and e.high is not None:
                interval(axes, x, e.low, e.high, look)
        labels.append(Label(d.x[-1], values[-1], d.series.label, look.light))
    label_ends(axes, labels, SMALL)
