"""The latency percentile curve: the whole distribution, its tail stretched."""

import math
from collections.abc import Sequence

import numpy as np

from bench.analysis import CurveGroup
from bench.analysis.across.findings.load import offered, window_words
from bench.analysis.across.groups import LoadGroup, Series
from bench.analysis.tables import Floats
from bench.analysis.trial.latency import Curve
from bench.analysis.words import percent, rate, seconds
from bench.charts.chart import Chart, Context
from bench.charts.labels import fold
from bench.charts.marks import guide, legend, mark, plot, swatch
from bench.charts.scales import time_axis
from bench.charts.style import Axes, Canvas

TICKS = (0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999)


def curve_chart(groups: Sequence[CurveGroup], load: LoadGroup) -> Chart | None:
    """All systems' curves, below and above capacity."""
    shown = [g for g in groups if any(len(c.p) for _, c in g.curves)]
    if not shown:
        return None
    by_label = {s.label: s for s in load.series}
    told = [left for g in shown if (left := g.believable()) is not None]
    title = _title(told, load.series) if told else "How long users wait: every trial is INVALID"

    def draw(context: Context) -> Canvas:
        canvas = Canvas.make("percentile-curve", title, len(shown), 3.1, stamp=context.stamp)
        values = [v for g in shown for _, c in g.curves for v in c.value if v > 0]
        low, high = min(values) / 1.5, max(values) * 1.5
        for n, group in enumerate(shown):
            load_words = rate(offered(group.point))
            panel = canvas.panel(f"load{n}", f"percentile curve of the response time at {load_words}")
            longest = max(len(line) for name, c in group.curves for line in _label(by_label[name], c))
            axes = canvas.axes(panel, right=0.42 + 0.066 * longest)
            _panel(axes, group, by_label, context, (low, high))
            guide(axes, load.deadline, f"D {seconds(load.deadline)}", right=True)
            canvas.heading(axes, f"at {load_words}", f"window {window_words(group.point)}")
        return canvas

    return Chart(
        "percentile-curve",
        title,
        "Read across: the share of users who had their result by then; the axis stretches towards the "
        "slowest. A line ends where too few jobs are left to say more, or (with a cross) where the rest "
        "never got a result.",
        draw,
    )


def _label(series: Series, curve: Curve) -> list[str]:
    return [*fold(series.label), *([f"{percent(curve.never)} never"] if curve.never else [])]


def _ranked(group: CurveGroup) -> list[tuple[str, Curve]]:
    """The worst first, as the curves stand."""
    return sorted(group.curves, key=lambda entry: -entry[1].never)


def percentile_axis(axes: Axes, far: float) -> None:
    """An x axis of percentiles up to the share `far`, its tail stretched."""
    axes.set_xlim(0, float(stretch(np.array([far]))[0]) * 1.05)
    ticks = [t for t in TICKS if t <= far + 1e-9]
    if 0.95 in ticks and far >= 0.99:
        ticks.remove(0.95)
    axes.set_xticks(list(stretch(np.array(ticks))), [f"{t * 100:g}" for t in ticks])
    axes.set_xlabel("percentile")


def stretch(p: Floats) -> Floats:
    """Where on that axis a share stands: by the decades of what is left beyond it."""
    return -np.log10(np.maximum(1 - p, 1e-9))


def _panel(
    axes: Axes,
    group: CurveGroup,
    by_label: dict[str, Series],
    context: Context,
    limits: tuple[float, float],
) -> None:
    time_axis(axes, *limits)
    percentile_axis(axes, max((float(c.p[-1]) for _, c in group.curves if len(c.p)), default=0.9))
    for name, curve in group.curves:
        series = by_label[name]
        look = context.look(series)
        if not len(curve.p):
            continue
        x, y = list(stretch(curve.p)), list(curve.value)
        plot(axes, x, y, look, markers=False)
        every = max(1, len(x) // 5)
        at = slice(every // 2, None, every)
        mark(axes, x[at], y[at], look, hollow=name in group.hollow, size=4.2)
        if curve.never and math.isclose(curve.p[-1], 1 - curve.never, abs_tol=0.06):
            axes.plot(
                [x[-1]], [y[-1]], marker="x", markersize=6, markeredgewidth=1.6, color=look.light, zorder=5
            )
    legend(
        axes,
        [swatch(context.look(by_label[n]), "\n".join(_label(by_label[n], c))) for n, c in _ranked(group)],
    )


def _title(groups: Sequence[CurveGroup], series: Sequence[Series]) -> str:
    group = groups[-1]
    worst = max(group.curves, key=lambda entry: entry[1].never)
    load = rate(offered(group.point))
    if worst[1].never:
        whole = [name for name, c in group.curves if not c.never]
        queued = [s.label for s in series if s.kind == "queued" and s.label in whole] or whole[-1:]
        tail = f"; every user of {queued[0]} does in the end" if queued else ""
        return f"At {load}, {percent(worst[1].never)} of {worst[0]}'s users never get a result{tail}"
    slow = max(group.curves, key=lambda entry: float(entry[1].value[-1]) if len(entry[1].value) else 0.0)
    wait = seconds(float(slow[1].value[-1]))
    return f"At {load} everybody gets a result; the slowest wait {wait}, with {slow[0]}"
