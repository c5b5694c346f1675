"""Waiting per user against the processing time, beside a straight and an exponential guide."""

import math

import numpy as np

from bench.analysis.across.findings.parts import growth_shape, waits
from bench.analysis.across.groups import PartGroup, Series
from bench.charts.chart import Chart, Context, titled
from bench.charts.labels import Label, label_ends, label_margin
from bench.charts.marks import plot
from bench.charts.palette import MUTED
from bench.charts.style import SMALL, Axes, Canvas


def waiting_chart(group: PartGroup) -> Chart | None:
    """Mean time to result of N users at once, over the service time."""
    rows = [(s, *waits(s)) for s in group.series]
    rows = [(s, x, y) for s, x, y in rows if len(x) > 1]
    if not rows:
        return None
    title = titled(group, _title, "Waiting per user against the processing time")

    def draw(context: Context) -> Canvas:
        canvas = Canvas.make("waiting-per-user", title, 1, 3.4, stamp=context.stamp)
        panel = canvas.panel("waiting", f"mean time to result of {group.size} users over the service time")
        axes = canvas.axes(panel, right=label_margin([s.label for s, _, _ in rows] + ["exponential"]))
        top_x, top_y = max(x[-1] for _, x, _ in rows), max(max(y) for _, _, y in rows)
        axes.set_xlim(0, top_x * 1.05)
        axes.set_ylim(0, top_y * 1.25)
        _guides(axes, rows[0][1], rows[0][2])
        labels = []
        for series, x, y in rows:
            look = context.look(series)
            plot(axes, x, y, look, hollow=_hollow(series, x))
            labels.append(Label(x[-1], y[-1], series.label, look.light))
        label_ends(axes, labels, SMALL)
        axes.set_xlabel("processing time S of one job, seconds")
        axes.set_ylabel("mean wait per user, seconds")
        canvas.heading(axes, f"{group.size} users at once")
        return canvas

    return Chart(
        "waiting-per-user",
        title,
        f"{group.size} users ask at once; how long they wait on average when a job takes longer. The dotted "
        "guides start from the first system's two smallest jobs: one goes on straight, one exponentially, "
        "as the blog post has it.",
        draw,
    )


def _hollow(series: Series, shown: list[float]) -> list[bool]:
    """Which of the shown service times belong to points that can't be believed."""
    at = {p.trial.work.service_time: p.hollow for p in series.points}
    return [at[x] for x in shown]


def _title(group: PartGroup) -> str:
    shapes = {growth_shape(*waits(s)).split(" (")[0] for s in group.series} - {""}
    if len(shapes) != 1:
        return "Waiting per user against the processing time"
    return f"Waiting grows {shapes.pop()} with the processing time"


def _guides(axes: Axes, x: list[float], y: list[float]) -> None:
    """Both through the first two points."""
    grid = np.linspace(0, axes.get_xlim()[1], 120)
    slope = (y[1] - y[0]) / (x[1] - x[0])
    straight = y[0] + slope * (grid - x[0])
    rise = math.log(max(y[1], 1e-9) / max(y[0], 1e-9)) / (x[1] - x[0])
    exponential = y[0] * np.exp(rise * (grid - x[0]))
    for name, line in (("linear", straight), ("exponential", exponential)):
        inside = (line >= 0) & (line <= axes.get_ylim()[1])
        axes.plot(grid[inside], line[inside], color=MUTED, linewidth=0.9, linestyle=":", zorder=1)
        at = np.flatnonzero(inside)[
            int((0.93 if name == "exponential" else 0.6) * (np.count_nonzero(inside) - 1))
        ]
        axes.annotate(
            name,
            (float(grid[at]), float(line[at])),
            xytext=(-4, 3) if name == "exponential" else (3, -9),
            textcoords="offset points",
            ha="right" if name == "exponential" else "left",
            size=6.8,
            color=MUTED,
        )
