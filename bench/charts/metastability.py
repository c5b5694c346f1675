"""A short overload and what remains of it: goodput over time under a pulse, hysteresis over stairs."""

import math
from collections.abc import Sequence

import numpy as np

from bench.analysis.across.findings.metastability import SAME, pulse_words
from bench.analysis.across.shaped import Climbed, Pulsed
from bench.analysis.trial.metastability import Recovery, Stair
from bench.analysis.words import figure, percent, seconds, sentence
from bench.charts.chart import Chart, Context
from bench.charts.marks import guide, plot
from bench.charts.palette import ALARM, INK, MUTED, SHADE, Look
from bench.charts.scales import few_ticks, round_ticks
from bench.charts.style import Axes, Canvas, Panel

GOODPUT, ATTEMPTS, GAP, FOOT, HEAD = 1.15, 0.55, 0.3, 0.5, 0.62
"""Inches: the strips of goodput and of attempts, between them, below the lower, above the upper."""


def pulse_chart(trials: Sequence[Pulsed]) -> Chart | None:
    """Goodput and attempts over time, one panel for each system and kind of clients."""
    if not trials:
        return None
    title = f"{sentence(pulse_words(trials))}: {_outcome(trials)}"
    how = (
        "Dashed: jobs that arrived per second. Filled: of them, those that got a correct result within D; "
        "where the two are apart, users go away with nothing. Shaded: the pulse; a dotted line marks when "
        "goodput was back. Below: how often each job was submitted; above 1, retries load the system beyond "
        "what its users ask for, and that is what can keep it down when the pulse is long over."
    )
    height = FOOT + ATTEMPTS + GAP + GOODPUT + HEAD

    def draw(context: Context) -> Canvas:
        canvas = Canvas.make("metastability", title, len(trials), height, stamp=context.stamp)
        tries = max(1.2, *(_highest(t.recoveries[0]) for t in trials))
        for trial in trials:
            panel = canvas.panel(
                f"m-{trial.series.points[0].trial.id}", f"goodput over time of {trial.series.label}"
            )
            _pulse_panel(canvas, panel, trial, tries, context)
        return canvas

    return Chart("metastability", title, how, draw)


def _outcome(trials: Sequence[Pulsed]) -> str:
    """Counts: the panels say who, and the verdict says the rest."""
    down = sum(t.state == "metastable" for t in trials)
    back = sum(t.state == "recovered" for t in trials)
    parts = [f"{down} of {len(trials)} {'stays' if down == 1 else 'stay'} down"] if down else []
    parts += [f"{back} {'comes' if back == 1 else 'come'} back"] if back else []
    return ", ".join(parts) or "nothing can be told"


def _highest(r: Recovery) -> float:
    known = r.course.attempts[np.isfinite(r.course.attempts)]
    return float(known.max()) if len(known) else 1.0


def _pulse_panel(canvas: Canvas, panel: Panel, trial: Pulsed, tries: float, context: Context) -> None:
    r, plan = trial.recoveries[0], trial.series.points[0].trial
    look, course = context.look(trial.series), r.course
    edges, stop = course.edges, float(course.edges[-1])
    top = canvas.axes(panel, bottom=FOOT + ATTEMPTS + GAP, height=GOODPUT)
    low = canvas.axes(panel, bottom=FOOT, height=ATTEMPTS)
    for axes in (top, low):
        axes.set_xlim(0, stop)
        axes.axvspan(*r.pulse, color=SHADE, linewidth=0, zorder=0)
        round_ticks(axes)
        few_ticks(axes)
    top.set_ylim(0, 1.12 * float(course.offered.max()))
    top.stairs(course.goodput, edges, fill=True, color=look.light, alpha=0.25, zorder=2)
    top.stairs(course.goodput, edges, baseline=None, color=look.light, linewidth=1.3, zorder=3)
    top.stairs(
        course.offered, edges, baseline=None, color=INK, linewidth=0.9, linestyle=(0, (3, 1.5)), zorder=2.5
    )
    if plan.system.kind != "external":
        guide(top, plan.capacity, f"capacity {figure(plan.capacity)}/s", right=True)
    if trial.state == "recovered" and r.time > 0:
        x = r.pulse[1] + r.time
        top.axvline(x, color=look.light, linewidth=1.1, linestyle=(0, (1, 1)), zorder=3.5)
        _note(top, x, f"back after {seconds(r.time)}", look)
    top.tick_params(labelbottom=False)
    top.set_ylabel("jobs/s")
    low.set_ylim(0, 1.12 * tries)
    low.axhline(1, color=MUTED, linewidth=0.8, linestyle="--", zorder=1)
    low.stairs(np.nan_to_num(course.attempts), edges, fill=True, color=look.light, alpha=0.25, zorder=2)
    low.stairs(course.attempts, edges, baseline=None, color=look.light, linewidth=1.1, zorder=3)
    low.set_ylabel("attempts\na job")
    low.set_xlabel("seconds; the pulse is shaded")
    for axes in (top, low):
        axes.yaxis.set_label_coords(-0.085, 0.5)
    canvas.heading(top, trial.series.label, color=look.light)
    _verdict(top, trial)


def _note(axes: Axes, x: float, text: str, look: Look) -> None:
    low, high = axes.get_xlim()
    left = (x - low) / (high - low) > 0.6
    axes.annotate(
        text, (x, 0.9), xycoords=("data", "axes fraction"), xytext=(-3 if left else 3, 0),
        textcoords="offset points", ha="right" if left else "left", va="center", size=6.8, color=look.light,
        weight="bold",
    )  # fmt: skip


def _verdict(axes: Axes, trial: Pulsed) -> None:
    """The state in words, under the panel's heading."""
    down = trial.state == "metastable"
    words = {
        "metastable": f"METASTABLE: {percent(trial.recoveries[0].tail.share)} in time long after the pulse",
        "recovered": f"recovered; {percent(trial.recoveries[0].during.share)} in time during the pulse",
        "can't tell": f"can't tell: {trial.why}",
    }[trial.state]
    axes.annotate(
        words, (0, 1), xycoords="axes fraction", xytext=(0, 3), textcoords="offset points", size=7.0,
        color=ALARM if down else MUTED, weight="bold" if down else "normal", annotation_clip=False,
    )  # fmt: skip


def hysteresis_chart(trials: Sequence[Climbed]) -> Chart | None:
    """Goodput over offered load, up and down the stairs, one panel for each system and kind of clients."""
    if not trials:
        return None
    parts = [f"{t.series.label} {_gap(t)}" for t in trials]
    title = f"The same load, before and after an overload: {'; '.join(parts)}"
    how = (
        "The offered load goes up in stairs and down again. Filled marks: goodput on the way up; hollow "
        "ones: on the way down, at the same loads. Thin line: all that was offered. The coloured area is "
        "what the overload left behind: a backlog that takes its time, or retries that never end."
    )
    most = max(s.rate for t in trials for s in t.courses[0].up)

    def draw(context: Context) -> Canvas:
        canvas = Canvas.make("hysteresis", title, len(trials), 3.0, stamp=context.stamp)
        for trial in trials:
            panel = canvas.panel(
                f"h-{trial.series.points[0].trial.id}",
                f"goodput up and down the stairs of {trial.series.label}",
            )
            _stairs_panel(canvas, panel, trial, most, context)
        return canvas

    return Chart("hysteresis", title, how, draw)


def _gap(trial: Climbed) -> str:
    if math.isnan(trial.gap):
        return "did not carry the lowest load to begin with"
    return (
        "comes down as it went up" if trial.gap < SAME else f"is {percent(trial.gap)} short on the way down"
    )


def _stairs_panel(canvas: Canvas, panel: Panel, trial: Climbed, most: float, context: Context) -> None:
    look, course = context.look(trial.series), trial.courses[0]
    plan = trial.series.points[0].trial
    axes = canvas.axes(panel)
    axes.set_xlim(0, 1.04 * most)
    axes.set_ylim(0, 1.04 * most)
    axes.plot([0, most], [0, most], color=MUTED, linewidth=0.8, zorder=1)
    if plan.system.kind != "external":
        axes.axvline(plan.capacity, color=MUTED, linewidth=0.8, linestyle="--", zorder=1)
        axes.annotate(
            f"capacity {figure(plan.capacity)}/s", (plan.capacity, 0), xytext=(3, 3),
            textcoords="offset points", size=6.8, color=MUTED,
        )  # fmt: skip
    up_x, up_y = _line(course.up)
    down_x, down_y = _line(course.down)
    axes.fill(
        [*up_x, *reversed(down_x)], [*up_y, *reversed(down_y)], color=look.light, alpha=0.14, zorder=1.5
    )
    plot(axes, up_x, up_y, look)
    plot(axes, down_x, down_y, look, hollow=[True] * len(down_x))
    ways = [(up_x, up_y, "up", True), (down_x, down_y, "down", False)]
    if abs(trial.gap) < SAME:
        ways = [(up_x, up_y, "up and down", True)]
    for x, y, text, above in ways:
        axes.annotate(
            text, (x[1], y[1]), xytext=(-6 if above else 7, 6),
            textcoords="offset points", ha="right" if above else "left", size=7.4, color=look.light,
            weight="bold",
        )  # fmt: skip
    axes.set_xlabel("offered load, jobs/s")
    axes.set_ylabel("goodput, jobs/s")
    round_ticks(axes)
    canvas.heading(
        axes,
        trial.series.label,
        "" if math.isnan(trial.gap) else f"gap {percent(max(0.0, trial.gap))}",
        look.light,
    )


def _line(stairs: Sequence[Stair]) -> tuple[list[float], list[float]]:
    return [s.rate for s in stairs], [s.goodput for s in stairs]
