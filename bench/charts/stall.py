"""One stall, seen by an open and by a closed load: what coordinated omission hides.

The effect and its name are Gil Tene's (How NOT to Measure Latency, Strange Loop 2015).
"""

from dataclasses import dataclass

from bench.analysis.trial.latency import Curve
from bench.analysis.words import seconds
from bench.charts.chart import Chart, Context
from bench.charts.curve import percentile_axis, stretch
from bench.charts.marks import guide, legend, plot, swatch
from bench.charts.palette import Look, Palette
from bench.charts.scales import time_axis
from bench.charts.style import Canvas

MARGIN = 1.9
"""Inches for the key."""


@dataclass(frozen=True)
class Stall:
    """A stall of `length` seconds, and the response times beside it."""

    length: float
    p: float
    """The percentile that the title speaks of."""
    at_p: tuple[float, float]
    """Open and closed there, seconds."""
    truth: Curve
    open: Curve
    closed: Curve


def palette() -> Palette:
    """The looks of the three curves, for the page's colours as well."""
    return Palette.of([("truth", "external"), ("open", "queued"), ("closed", "blocking")])


def stall_chart(stall: Stall) -> Chart:
    """Three percentile curves of the same minute of the same server."""
    open_, closed = stall.at_p
    title = (
        f"One stall of {seconds(stall.length)}: p{stall.p * 100:g} is {seconds(open_)} from the arrival on, "
        f"and {seconds(closed)} for users who wait with their next job"
    )

    def draw(context: Context) -> Canvas:
        canvas = Canvas.make("stall", title, 1, 3.4, stamp=context.stamp)
        panel = canvas.panel("stall", "percentile curves of the response time: truth, open and closed load")
        axes = canvas.axes(panel, right=MARGIN)
        shown = (
            ("truth", "truth, from the\nserver's log", stall.truth, 3.6),
            ("open", "open load, from\nthe arrival", stall.open, 1.5),
            ("closed", "closed users, one\njob at a time", stall.closed, 1.5),
        )
        values = [float(v) for _, _, curve, _ in shown for v in curve.value]
        time_axis(axes, min(values) / 1.5, max(values) * 1.6)
        percentile_axis(axes, max(float(curve.p[-1]) for _, _, curve, _ in shown))
        guide(axes, stall.length, f"the stall, {seconds(stall.length)}")
        for key, _, curve, width in shown:
            plot(
                axes,
                list(stretch(curve.p)),
                list(curve.value),
                _look(context, key),
                markers=False,
                width=width,
            )
        legend(axes, [swatch(_look(context, key), text) for key, text, _, _ in shown])
        canvas.heading(axes, "response time")
        return canvas

    return Chart(
        "stall",
        title,
        "Both loads met the same server at the same time. A closed user who hangs in the stall submits "
        "nothing meanwhile, so the stall spoils one job of each; jobs that come by schedule all wait, as "
        "people would. Read across: the share of jobs that had their result by then.",
        draw,
    )


def _look(context: Context, key: str) -> Look:
    return context.palette[key]
