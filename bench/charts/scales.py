"""Axes that people can read: durations on a log scale, shares, offered loads, whole numbers."""

from collections.abc import Sequence

from bench.analysis.words import figure as figure_words
from bench.analysis.words import seconds as seconds_words
from bench.charts.palette import MUTED, SHADE
from bench.charts.style import (
    Axes,
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullLocator,
)


def time_axis(axes: Axes, low: float, high: float, *, never: float | None = None) -> None:
    """A logarithmic y axis of durations with ticks that people read: 10 ms, 100 ms, 1 s …

    `never`: where the place of what was not reached begins, above all durations; it gets a tick of its own.
    """
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    top = high if never is None else never
    decades = [m * 10.0**d for d in range(-4, 6) for m in (1, 2, 5)]
    shown = [t for t in decades if low <= t <= top]
    if len(shown) > 7:
        shown = [t for t in shown if f"{t:e}"[0] == "1"]
    names = [seconds_words(t) for t in shown]
    if never is not None:
        axes.axhspan(never, high, color=SHADE, linewidth=0, zorder=0.5)
        axes.axhline(never, color=MUTED, linewidth=0.6, zorder=1)
        shown, names = [*shown, (never * high) ** 0.5], [*names, "never"]
    axes.yaxis.set_major_locator(FixedLocator(shown))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FixedFormatter(names))


def duration_ticks(axes: Axes) -> None:
    """A few ticks on a linear x axis of durations from 0."""
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds_words(value) if value else "0"))


def percent_axis(axes: Axes) -> None:
    """A y axis of shares from 0 to 100 %."""
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1.0]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:.0f} %"))


def load_axis(axes: Axes, loads: Sequence[float]) -> None:
    """An x axis of offered loads in jobs per second, a tick at each load that was measured."""
    top = max(loads)
    axes.set_xlim(0, top * 1.04)
    ticks: list[float] = []
    for load in sorted(loads):
        if not ticks or load - ticks[-1] > 0.075 * top:
            ticks.append(load)
    axes.xaxis.set_major_locator(FixedLocator([0.0, *ticks]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: figure_words(value) if value else "0"))
    axes.set_xlabel("offered load, jobs/s")


def whole_numbers(axes: Axes, most: int = 9) -> None:
    """Ticks of the y axis at whole numbers only."""
    axes.yaxis.set_major_locator(MaxNLocator(most, integer=True))


def round_ticks(axes: Axes) -> None:
    """Ticks of the x axis at numbers that are easy to read."""
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))


def few_ticks(axes: Axes) -> None:
    """At most three steps on the y axis."""
    axes.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
