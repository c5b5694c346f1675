"""Wasted work over offered load: the totals, then each system split by how it came to nothing."""

import math

from bench.analysis.across.findings.costs import waste_of
from bench.analysis.across.findings.load import offered
from bench.analysis.across.groups import LoadGroup, Series
from bench.analysis.trial.waste import PARTS
from bench.analysis.words import figure, listing, percent, rate
from bench.charts.bars import standing
from bench.charts.chart import Chart, Context
from bench.charts.lines import amounts, gather
from bench.charts.load import at_top, load_frame, main_pair
from bench.charts.marks import legend, part_patch
from bench.charts.palette import WASTE_LOOKS
from bench.charts.scales import percent_axis
from bench.charts.style import Canvas, Panel


def wasted_chart(group: LoadGroup) -> Chart | None:
    """Share of the executed task seconds that was no use; None where no execution is known."""
    drawn = gather(group.series, offered, lambda f: f.waste.wasted_share)
    if not drawn:
        return None
    title = _title(group)
    known = [s for s in group.series if any(waste_of(p).executed for p in s.points)]
    unit = "CPU time" if drawn[0].series.points[0].repeats[0].waste.in_cpu_seconds else "time"

    def draw(context: Context) -> Canvas:
        canvas = Canvas.make("wasted-work", title, 1 + len(known), 2.5, stamp=context.stamp)
        panel = canvas.panel("all", "share of executed task time that was wasted, over load")
        axes = load_frame(canvas, panel, group)
        percent_axis(axes)
        amounts(axes, drawn, context)
        canvas.heading(axes, "wasted work", f"share of task {unit}")
        for n, series in enumerate(known):
            panel = canvas.panel(f"s{n}", f"how work of {series.label} came to nothing, by offered load")
            _parts(canvas, panel, series, context)
        return canvas

    return Chart(
        "wasted-work",
        title,
        f"Of the task {unit} that was executed for the window's jobs, the share that no user had any use of: "
        "computed for a client who had got a 504 or had gone, delivered after the deadline, or executed "
        "twice or broken off. First all systems, then each one by part.",
        draw,
    )


def _parts(canvas: Canvas, panel: Panel, series: Series, context: Context) -> None:
    points = [(p, waste_of(p)) for p in series.points]
    present = [part for part in PARTS if any(getattr(w, part) for _, w in points)]
    axes = canvas.axes(panel, right=1.12)
    percent_axis(axes)
    for place, (point, wasted) in enumerate(points):
        parts = [(wasted.share(getattr(wasted, part)), WASTE_LOOKS[part]) for part in present]
        standing(axes, place, parts, percent(wasted.wasted_share), hollow=point.hollow)
    axes.set_xlim(-0.6, len(points) - 0.4)
    axes.set_xticks(range(len(points)), [figure(offered(p)) for p, _ in points])
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("offered load, jobs/s")
    if present:
        legend(axes, [part_patch(WASTE_LOOKS[part]) for part in reversed(present)])
    canvas.heading(axes, series.label, color=context.look(series).light)


def _title(group: LoadGroup) -> str:
    rows = at_top(group)
    known = [(s, w) for s, p in rows if not math.isnan((w := waste_of(p)).wasted_share)]
    chosen = main_pair(known)
    if not chosen:
        return "Work that was no use to anybody, over offered load"
    parts = []
    for series, wasted in chosen:
        part = max(PARTS, key=lambda name: getattr(wasted, name))
        mostly = f" (mostly {WASTE_LOOKS[part].words})" if getattr(wasted, part) else ""
        parts.append(f"{percent(wasted.wasted_share)} with {series.label}{mostly}")
    return f"Wasted work at {rate(offered(rows[0][1]))}: {listing(parts)}"
