"""What happened inside: jobs in flight, queue depth, CPU and memory of one trial a system, with deaths."""

from collections.abc import Mapping, Sequence

import numpy as np

from bench.analysis.across.findings.load import offered
from bench.analysis.across.findings.parts import job_memory
from bench.analysis.across.groups import LoadGroup, PartGroup, Point, Series
from bench.analysis.tables import Floats
from bench.analysis.trial.figures import Figures
from bench.analysis.trial.timeline import Timeline
from bench.analysis.words import count, figure, listing, percent, rate, seconds, size, times
from bench.charts.chart import Chart, Context
from bench.charts.palette import ALARM, GRID, MUTED, Look
from bench.charts.scales import few_ticks, round_ticks, whole_numbers
from bench.charts.style import Axes, Canvas, Panel

STRIP, GAP, FOOT, HEAD = 0.92, 0.27, 0.5, 0.44
"""Inches: a strip's height, the gap between strips, below the lowest, above the highest."""


def overload_timeline(group: LoadGroup, timelines: Mapping[str, Timeline]) -> Chart | None:
    """One overloaded trial for each system."""
    rows = [(s, s.points[-1]) for s in group.series if s.points[-1].trial.id in timelines]
    if not rows:
        return None
    where = rate(offered(rows[0][1]))
    how = (
        "One trial each, from the first arrival until the last job ended (the grey edge: no more "
        "arrivals). In flight: users who wait; in the queue: jobs that the broker holds. Dashed: the box's "
        "caps. Work that goes on after the users have gone is wasted."
    )
    title = _overload_title([(s, p) for s, p in rows if not p.hollow], where)
    return _chart("timeline-overload", title, how, rows, timelines)


def memory_timeline(group: PartGroup, timelines: Mapping[str, Timeline]) -> Chart | None:
    """The memory failure of each system."""
    rows = [(s, s.points[0]) for s in group.series if s.points[0].trial.id in timelines]
    if not rows:
        return None
    killed = [(s, p.total(lambda f: f.usage.oom_kills)) for s, p in rows if not p.hollow]
    dead = [f"{s.label} is killed {times(n)}" for s, n in killed if n]
    safe = [s.label for s, n in killed if not n]
    fate = listing(dead) or ("nobody is killed" if killed else "every trial is INVALID")
    spared = f"; {listing(safe)} {'stay' if len(safe) > 1 else 'stays'} up" if dead and safe else ""
    title = f"{group.size} jobs{job_memory(group.work)}: {fate}{spared}"
    how = (
        "The same jobs at once in the same memory. Where the dashed cap is reached the kernel kills the "
        "process (red), and every job in it is gone; a queue holds the jobs that do not fit yet."
    )
    return _chart(f"timeline-{group.name}", title, how, rows, timelines)


def _chart(
    name: str,
    title: str,
    how: str,
    rows: Sequence[tuple[Series, Point]],
    timelines: Mapping[str, Timeline],
) -> Chart:
    shown = {s.label: timelines[p.trial.id] for s, p in rows}
    strips = [
        which
        for which in ("jobs", "cpu", "memory")
        if any(getattr(t, {"jobs": "in_flight"}.get(which, which)) for t in shown.values())
    ]
    height = HEAD + FOOT + len(strips) * STRIP + (len(strips) - 1) * GAP
    end = max(max(t.settled, t.last_arrival) for t in shown.values()) * 1.04 + 0.05

    def draw(context: Context) -> Canvas:
        canvas = Canvas.make(name, title, len(rows), height, stamp=context.stamp)
        roofs = _roofs(rows, shown)
        for series, point in rows:
            panel = canvas.panel(f"t-{series.name}", f"timeline of {series.label}")
            _panel(canvas, panel, series, point.repeats[0], shown[series.label], strips, roofs, end, context)
        return canvas

    return Chart(name, title, how, draw)


def _roofs(rows: Sequence[tuple[Series, Point]], shown: Mapping[str, Timeline]) -> dict[str, float]:
    """Common scales, so that the systems can be compared."""

    def highest(*lines: str) -> float:
        values = [
            float(np.max(line.value))
            for t in shown.values()
            for name in lines
            if len((line := getattr(t, name)).value)
        ]
        return max(values, default=1.0)

    box = rows[0][1].trial.box
    return {
        "jobs": 1.12 * highest("in_flight", "depth"),
        "cpu": 1.18 * max(box.cpus, highest("cpu")),
        "memory": 1.18 * max(float(box.memory), highest("memory")),
    }


def _panel(
    canvas: Canvas,
    panel: Panel,
    series: Series,
    f: Figures,
    line: Timeline,
    strips: Sequence[str],
    roofs: Mapping[str, float],
    end: float,
    context: Context,
) -> None:
    look = context.look(series)
    box = f.trial.box
    for n, which in enumerate(reversed(strips)):
        axes = canvas.axes(panel, left=0.66, right=0.72, bottom=FOOT + n * (STRIP + GAP), height=STRIP)
        axes.set_xlim(0, end)
        axes.set_ylim(0, roofs[which])
        _arrivals(axes, line)
        if which == "jobs":
            _jobs(axes, line, look)
            _name(axes, "jobs")
        elif which == "cpu":
            _area(axes, line.cpu.t, line.cpu.value, look)
            _cap(axes, box.cpus, f"{figure(box.cpus)} vCPU")
            _name(axes, "cores in use")
        else:
            _area(axes, line.memory.t, line.memory.value / 2**30, look)
            axes.set_ylim(0, roofs[which] / 2**30)
            _cap(axes, box.memory / 2**30, size(box.memory))
            _name(axes, "memory, GiB")
        whole_numbers(axes, 3) if which == "jobs" else few_ticks(axes)
        _deaths(axes, line, named=n == len(strips) - 1)
        round_ticks(axes)
        if n:
            axes.tick_params(labelbottom=False)
        else:
            axes.set_xlabel("seconds since the first arrival")
    canvas.heading(canvas.figure.axes[-1], series.label, _heading(f), look.light)


def _heading(f: Figures) -> str:
    never = f.ledger.never
    words = f"{f.ledger.in_time} in time, {f.ledger.late} late, {never} never"
    words = f"{words}, {f.ledger.rejected} refused" if f.ledger.rejected else words
    return words if f.validity.believable else f"INVALID: {words}"


def _arrivals(axes: Axes, line: Timeline) -> None:
    if line.last_arrival > 0.02 * axes.get_xlim()[1]:
        axes.axvspan(0, line.last_arrival, color=GRID, alpha=0.35, linewidth=0, zorder=0)
        axes.axvline(line.last_arrival, color=MUTED, linewidth=0.6, zorder=1)


def _jobs(axes: Axes, line: Timeline, look: Look) -> None:
    _area(axes, line.in_flight.t, line.in_flight.value, look, step=True)
    if line.depth:
        axes.plot(
            line.depth.t, line.depth.value, color=MUTED, linewidth=1.2, linestyle=(0, (2, 1.2)), zorder=4
        )
    peak = int(np.argmax(line.in_flight.value)) if line.in_flight else 0
    if line.in_flight:
        _right(axes, "in flight", 0.82, look.light)
        if line.depth:
            _right(axes, "in queue", 0.52, MUTED)
        late = line.in_flight.t[peak] > 0.1 * axes.get_xlim()[1]
        axes.annotate(
            f"{line.in_flight.value[peak]:.0f}",
            (line.in_flight.t[peak], line.in_flight.value[peak]),
            xytext=(-2 if late else 2, 2), textcoords="offset points", ha="right" if late else "left",
            size=6.8, color=look.light, weight="bold",
        )  # fmt: skip


def _right(axes: Axes, text: str, y: float, color: str) -> None:
    axes.annotate(
        text, (1, y), xycoords="axes fraction", xytext=(4, 0), textcoords="offset points", va="center",
        size=6.8, color=color, weight="bold", annotation_clip=False,
    )  # fmt: skip


def _area(axes: Axes, t: Floats, value: Floats, look: Look, *, step: bool = False) -> None:
    if len(t) < 2:
        _right(axes, "not sampled", 0.5, MUTED)
        return
    style = "steps-post" if step else "default"
    axes.plot(t, value, color=look.light, linewidth=1.1, drawstyle=style, zorder=3)
    axes.fill_between(
        t, value, 0, color=look.light, alpha=0.18, linewidth=0, step="post" if step else None, zorder=2
    )


def _cap(axes: Axes, value: float, text: str) -> None:
    axes.axhline(value, color=MUTED, linewidth=0.9, linestyle="--", zorder=1.5)
    _right(axes, text, value / axes.get_ylim()[1], MUTED)


def _name(axes: Axes, text: str) -> None:
    axes.set_ylabel(text, labelpad=3)
    axes.yaxis.set_label_coords(-0.13, 0.5)


def _deaths(axes: Axes, line: Timeline, *, named: bool) -> None:
    for n, (instants, text) in enumerate(((line.kills, "OOM kill"), (line.deaths, "process died"))):
        for k, t in enumerate(instants):
            axes.axvline(t, color=ALARM, linewidth=1.3, linestyle="-" if n == 0 else "--", zorder=3.5)
            if named and k == 0:
                axes.annotate(
                    text if len(instants) == 1 else f"{text} ×{len(instants)}",
                    (t, 1), xycoords=("data", "axes fraction"), xytext=(2, 1.5), textcoords="offset points",
                    size=7.0, weight="bold", color=ALARM, annotation_clip=False,
                )  # fmt: skip


def _overload_title(rows: Sequence[tuple[Series, Point]], where: str) -> str:
    queue = next(((s, p) for s, p in rows if s.kind == "queued"), None)
    blocking = next(((s, p) for s, p in rows if s.kind in ("gunicorn", "blocking")), None)
    parts = []
    if blocking:
        s, p = blocking
        f = p.repeats[0]
        parts.append(f"{s.label} computes {percent(f.waste.share(f.waste.never_delivered))} for nobody")
    if queue:
        s, p = queue
        f = p.repeats[0]
        parts.append(
            f"{s.label} works off its backlog for {seconds(f.drain.seconds)}"
            if f.drain.complete
            else f"{s.label} is cut off with {count(f.ledger.unfinished + f.ledger.lost, 'job')} open"
        )
    return f"Inside an overload of {where}: {'; '.join(parts)}" if parts else f"Inside an overload of {where}"
