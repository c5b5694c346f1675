"""Against the worker count: time to result, throughput with its ideal, timeouts by cause, for each load."""

import math
from collections.abc import Sequence

import numpy as np

from bench.analysis.across.findings.load import in_time
from bench.analysis.across.findings.workers import enough, law_words, main_series, throughput, workers_of
from bench.analysis.across.groups import Point, Series, WorkersGroup
from bench.analysis.across.scalability import Scalability, scalability
from bench.analysis.trial.latency import arrivals_needed
from bench.analysis.words import count, figure, of_capacity, percent, rate, seconds
from bench.charts.chart import Chart, Context
from bench.charts.labels import label_margin
from bench.charts.lines import Drawn, amounts, gather, span, times
from bench.charts.load import CAUSES, bars, fate_count, response_at
from bench.charts.marks import fate_patch, guide, legend, plot, remark
from bench.charts.palette import MUTED
from bench.charts.scales import percent_axis
from bench.charts.style import Axes, Canvas, Panel

Figures = list[Drawn]


def worker_charts(groups: Sequence[WorkersGroup]) -> list[Chart]:
    """One chart for CPU-bound work and one for work that waits."""
    found = []
    for bound, name in ((True, "workers-cpu"), (False, "workers-io")):
        own = [g for g in groups if g.cpu_bound is bound]
        if own:
            found.append(workers(name, own))
    return found


def workers(name: str, groups: Sequence[WorkersGroup]) -> Chart:
    """Four figures against the worker count; the loads side by side."""
    told = [left for g in groups if (left := g.believable()) is not None]
    title = _title(told) if told else "Against the number of workers: every trial is INVALID"
    percentiles = [p for p in (0.5, 0.95) if any(_times(g, p) for g in groups)]
    kind = "CPU-bound work" if groups[0].cpu_bound else "work that waits (I/O)"

    def draw(context: Context) -> Canvas:
        rows = len(percentiles) + 2
        canvas = Canvas.make(
            name, title, rows * len(groups), 2.6, stamp=context.stamp, columns=min(2, max(2, len(groups)))
        )
        low, high = span([d for g in groups for p in percentiles for d in _times(g, p)])
        for p in percentiles:
            for n, group in enumerate(groups):
                panel = canvas.panel(f"p{p * 100:.0f}-{n}", f"p{p * 100:g} of the time to result by workers")
                axes = _frame(canvas, panel, group)
                drawn = _times(group, p)
                times(axes, drawn, context, low, high)
                if not drawn:
                    remark(axes, f"too few arrivals: p{p * 100:g} takes {arrivals_needed(p)} a trial")
                if drawn and low < group.deadline < high:
                    guide(axes, group.deadline, f"D {seconds(group.deadline)}")
                canvas.heading(axes, f"p{p * 100:g} time to result", _load(group))
        roof = max(_roof(g) for g in groups)
        for n, group in enumerate(groups):
            panel = canvas.panel(f"throughput-{n}", "results per second by workers, with the ideal")
            _throughput(_frame(canvas, panel, group), group, context, roof)
            thin = "; thin: scalability law" if _laws(group) else ""
            canvas.heading(canvas.figure.axes[-1], "throughput", _load(group) + thin)
        for n, group in enumerate(groups):
            panel = canvas.panel(
                f"timeouts-{n}", "share of jobs without a result in time by workers and cause"
            )
            _timeouts(canvas, panel, group, context)
        return canvas

    return Chart(
        name,
        title,
        f"The same load on more and more workers, {kind}: gunicorn's processes and the queue's consumers. "
        "The dashed line is what so many workers could deliver in this box. Where the line stays flat "
        f"another worker is idle money.{_law_words(groups)}",
        draw,
    )


def _law_words(groups: Sequence[WorkersGroup]) -> str:
    """What the law says of the main system at the first load that shows it, or that none does."""
    found = [(g, s) for g in groups if (s := main_series(g)) is not None]
    each = [scalability(g, s) for g, s in found]
    known = [e for e in each if e.law is not None]
    if known:
        return f" {law_words(known[0])}"
    return " How it scales this sweep can't tell: see the findings." if each else ""


def _load(group: WorkersGroup) -> str:
    words = of_capacity(group.offered / group.reference)
    return f"at {rate(group.offered)}" + (f" = {words}" if words else "")


def _counts(group: WorkersGroup) -> list[int]:
    return sorted({workers_of(p) for s in group.series for p in s.points})


def _times(group: WorkersGroup, p: float) -> Figures:
    counts = _counts(group)
    return gather(group.series, lambda q: float(counts.index(workers_of(q))), response_at(p))


def _frame(canvas: Canvas, panel: Panel, group: WorkersGroup) -> Axes:
    axes = canvas.axes(panel, right=label_margin([s.label for s in group.series]))
    counts = _counts(group)
    axes.set_xlim(-0.25, len(counts) - 0.75)
    axes.set_xticks(range(len(counts)), [str(c) for c in counts])
    axes.set_xlabel("workers")
    return axes


def _ideal(group: WorkersGroup) -> list[float]:
    capacity = {workers_of(p): p.trial.capacity for s in group.series for p in s.points}
    return [min(group.offered, capacity[c]) for c in _counts(group)]


def _roof(group: WorkersGroup) -> float:
    values = [throughput(p) for s in group.series for p in s.points]
    return 1.15 * max([v for v in values if math.isfinite(v)] + _ideal(group))


def _throughput(axes: Axes, group: WorkersGroup, context: Context, roof: float) -> None:
    counts = _counts(group)
    axes.set_ylim(0, roof)
    ideal = _ideal(group)
    axes.plot(range(len(counts)), ideal, color=MUTED, linewidth=1.0, linestyle="--", zorder=1)
    axes.annotate(
        "ideal", (0, ideal[0]), xytext=(0, 4), textcoords="offset points", size=6.8, color=MUTED, ha="center"
    )
    drawn = gather(group.series, lambda q: float(counts.index(workers_of(q))), lambda f: f.rates.throughput)
    amounts(axes, drawn, context)
    for found in _laws(group):
        _law(axes, found, counts, context)
    axes.set_ylabel("results, jobs/s")


def _laws(group: WorkersGroup) -> list[Scalability]:
    """Of the systems whose throughput tells how they scale."""
    return [found for s in group.series if (found := scalability(group, s)).law is not None]


def _law(axes: Axes, found: Scalability, counts: Sequence[int], context: Context) -> None:
    """The fitted law, thin, over the worker counts that it was fitted to."""
    if found.law is None:
        return
    low, high = min(found.usable), max(found.usable)
    workers = [low + (high - low) * n / 40 for n in range(41)]
    places = [float(x) for x in np.interp(workers, counts, range(len(counts)))]
    values = [found.law.throughput(n) for n in workers]
    plot(axes, places, values, context.look(found.series), markers=False, width=0.8)


def _timeouts(canvas: Canvas, panel: Panel, group: WorkersGroup, context: Context) -> None:
    points: list[tuple[Series, Point]] = [(s, p) for s in group.series for p in s.points]
    present = [c for c in CAUSES if any(p.total(fate_count(c)) for _, p in points)]
    axes = canvas.axes(panel, right=0.95, bottom=0.56)
    percent_axis(axes)
    places: list[float] = []
    middles: list[tuple[float, Series]] = []
    at = 0.0
    for series in group.series:
        own = [at + n for n in range(len(series.points))]
        places += own
        middles.append((sum(own) / len(own), series))
        at = own[-1] + 1.8
    bars(axes, places, [(p, present) for _, p in points], width=0.7)
    axes.set_xlim(-0.7, places[-1] + 0.7)
    axes.set_xticks(places, [str(workers_of(p)) for _, p in points])
    axes.tick_params(axis="x", length=0)
    for middle, series in middles:
        axes.annotate(
            series.label,
            (middle, 0),
            xycoords=("data", "axes fraction"),
            xytext=(0, -19),
            textcoords="offset points",
            ha="center",
            va="top",
            weight="bold",
            size=7.4,
            color=context.look(series).light,
            annotation_clip=False,
        )
    axes.annotate(
        "workers", (0, 0), xycoords="axes fraction", xytext=(-6, -6), textcoords="offset points",
        ha="right", va="top", size=7.0, color=MUTED, annotation_clip=False,
    )  # fmt: skip
    legend(axes, [fate_patch(c) for c in reversed(present)])
    canvas.heading(axes, "no result in time", _load(group))


def _title(groups: Sequence[WorkersGroup]) -> str:
    group = groups[-1]
    series = main_series(group)
    kind = f"{'CPU-bound' if group.cpu_bound else 'Waiting'} work at {rate(group.offered)}"
    point = enough(series) if series else None
    if series is None or point is None:
        return f"{kind} against the number of workers"
    need = workers_of(point)
    beyond = [workers_of(p) for p in series.points if workers_of(p) > need]
    if beyond:
        more = series.points[[workers_of(p) for p in series.points].index(beyond[-1])]
        return (
            f"{kind}: {count(need, 'worker')} deliver {figure(throughput(point))}/s, {beyond[-1]} deliver "
            f"{figure(throughput(more))}/s"
        )
    least = series.points[0]
    return (
        f"{kind}: every worker helps, from {figure(throughput(least))}/s with {workers_of(least)} to "
        f"{figure(throughput(point))}/s with {need} ({percent(in_time(point))} in time)"
    )
