"""The one module that owns matplotlib: figures, axes and marks in the house style.

A chart is a grid of panels. Every panel stands by itself (own axes, own labels), so that the page can set the
panels side by side on a desk and one below the other on a phone.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from bench.analysis.words import figure as figure_words
from bench.analysis.words import seconds as seconds_words
from bench.charts.palette import ALARM, EDGE, FATE_LOOKS, GRID, INK, MUTED, PAPER, SHADE, Look

__all__ = ["Axes", "Canvas", "Label", "Panel"]

PANEL_WIDTH = 4.7
"""Inches; text in points is sized against this, so that it stays readable on a phone's width."""
TEXT, SMALL = 8.6, 7.4

_SETTINGS = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": TEXT,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": SMALL,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "hatch.linewidth": 0.7,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "figure.facecolor": PAPER,
}


@contextmanager
def drawing(name: str) -> Iterator[None]:
    """Within this, matplotlib has the house style; ids in the SVG derive from `name`, so files are stable."""
    settings: Any = {**_SETTINGS, "svg.hashsalt": name}  # matplotlib types its keys one by one
    with mpl.rc_context(settings):
        yield


@dataclass(frozen=True)
class Panel:
    """One cell of a chart. Lengths in inches, the origin at the figure's lower left corner."""

    name: str
    x: float
    y: float
    width: float
    height: float
    description: str
    """The panel in one sentence, for who cannot see it."""


@dataclass
class Canvas:
    """A chart while it is drawn."""

    name: str
    title: str
    figure: Figure
    band: float
    """Height of the title band in inches."""
    panels: list[Panel] = field(default_factory=list)
    _cells: Iterator[tuple[float, float]] = field(default_factory=lambda: iter(()))
    _cell: tuple[float, float] = (PANEL_WIDTH, 3.0)

    @staticmethod
    def make(
        name: str, title: str, panels: int, height: float = 3.0, *, stamp: str = "", columns: int = 2
    ) -> "Canvas":
        """A figure with room for so many panels of this height in inches. `stamp`: e.g. "not capped"."""
        columns = min(columns, panels)
        rows = -(-panels // columns)
        width = PANEL_WIDTH * columns
        lines = wrap(title, int(width * 11.6))
        band = 0.20 * len(lines) + 0.22 + (0.17 if stamp else 0.0)
        total = band + rows * height
        figure = Figure(figsize=(width, total))
        for n, line in enumerate(lines):
            figure.text(
                0.14 / width,
                1 - (0.24 + 0.20 * n) / total,
                line,
                size=10.2,
                weight="bold",
                va="center",
                gid=f"title-{n}",
            )
        if stamp:
            figure.text(
                0.14 / width,
                1 - (0.22 + 0.20 * len(lines)) / total,
                stamp.upper(),
                size=SMALL,
                weight="bold",
                color=ALARM,
                va="center",
                gid="title-stamp",
            )
        cells = (
            (PANEL_WIDTH * (n % columns), total - band - height * (n // columns + 1)) for n in range(panels)
        )
        return Canvas(name, title, figure, band, [], cells, (PANEL_WIDTH, height))

    def panel(self, name: str, description: str) -> Panel:
        """Take the next cell."""
        x, y = next(self._cells)
        panel = Panel(name, x, y, *self._cell, description)
        self.panels.append(panel)
        return panel

    def axes(
        self,
        panel: Panel,
        *,
        left: float = 0.62,
        right: float = 0.2,
        bottom: float = 0.5,
        top: float = 0.42,
        height: float | None = None,
    ) -> Axes:
        """Axes inside a panel with these margins in inches; `height`: so high, from `bottom` on."""
        width, total = self.figure.get_size_inches()
        inner = panel.height - bottom - top if height is None else height
        box = (
            (panel.x + left) / width,
            (panel.y + bottom) / total,
            (panel.width - left - right) / width,
            inner / total,
        )
        axes = self.figure.add_axes(box)
        axes.set_gid(f"panel-{panel.name}-{len(self.figure.axes)}")
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.grid(True, axis="y", color=GRID, linewidth=0.7)
        return axes

    def _left(self, axes: Axes) -> float:
        """Points from the panel's left edge to the axes."""
        at = float(axes.get_position().x0 * self.figure.get_size_inches()[0])
        return 72 * (at - max(p.x for p in self.panels if p.x <= at + 1e-6))

    def heading(self, axes: Axes, text: str, sub: str = "", color: str = INK) -> None:
        """A panel's own title, above its axes, and a lesser line behind it."""
        axes.annotate(
            text,
            (0, 1),
            xytext=(0.12 * 72 - self._left(axes), 13),
            xycoords="axes fraction",
            textcoords="offset points",
            weight="bold",
            size=TEXT,
            color=color,
            annotation_clip=False,
        )
        if sub:
            axes.annotate(
                sub,
                (1, 1),
                xytext=(0, 13),
                xycoords="axes fraction",
                textcoords="offset points",
                size=SMALL,
                color=MUTED,
                ha="right",
                annotation_clip=False,
            )


@dataclass(frozen=True)
class Label:
    """A text at the right end of a line."""

    x: float
    y: float
    text: str
    color: str


def label_margin(texts: Sequence[str]) -> float:
    """Inches that direct labels need to the right of the axes."""
    longest = max((len(line) for text in texts for line in fold(text)), default=0)
    return 0.26 + 0.068 * longest


def fold(text: str, width: int = 13) -> list[str]:
    """A label in at most two lines, broken at a comma, space or hyphen."""
    if len(text) <= width:
        return [text]
    breaks = [n + 1 for n, char in enumerate(text) if char in ", -" and n + 1 < len(text)]
    if not breaks:
        return [text]
    middle = min(breaks, key=lambda n: max(n, len(text) - n))
    return [text[:middle].strip(), text[middle:].strip()]


def label_ends(axes: Axes, labels: Sequence[Label], size: float = SMALL) -> None:
    """Write labels at the right of the axes at their lines' height, moved apart where they would touch."""
    if not labels:
        return
    wide, height = inches(axes)
    wide, height = wide * 72, height * 72
    folded = [fold(label.text) for label in labels]
    needed = sum(len(lines) * size * 1.22 + 2 for lines in folded)
    if needed > height:
        size *= max(0.72, height / needed)
    heights = [len(lines) * size * 1.22 + 2 for lines in folded]
    low, high = axes.get_ylim()
    place = axes.transData.transform
    floor, roof = place((0.0, low))[1], place((0.0, high))[1]
    to_points = height / (roof - floor)
    wanted = [(place((label.x, label.y))[1] - floor) * to_points for label in labels]
    edge = axes.get_xlim()
    for label, lines, want, at in zip(labels, folded, wanted, spread(wanted, heights, height), strict=True):
        short = (label.x - edge[0]) / (
            edge[1] - edge[0]
        ) < 0.9  # a line that ends early is followed to its end
        axes.annotate(
            "\n".join(lines),
            xy=(label.x, label.y) if short else (1, want / height),
            xycoords="data" if short else "axes fraction",
            xytext=(1 + 11 / wide, at / height),
            textcoords="axes fraction",
            color=label.color,
            size=size,
            weight="bold",
            va="center",
            linespacing=1.05,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": label.color,
                "linewidth": 0.6,
                "shrinkA": 0,
                "shrinkB": 1,
                "relpos": (0, 0.5),
            },
        )


def inches(axes: Axes) -> tuple[float, float]:
    """Width and height of axes."""
    box = axes.get_window_extent()
    return box.width / axes.figure.dpi, box.height / axes.figure.dpi


def whole_numbers(axes: Axes, most: int = 9) -> None:
    """Ticks of the y axis at whole numbers only."""
    axes.yaxis.set_major_locator(MaxNLocator(most, integer=True))


def round_ticks(axes: Axes) -> None:
    """Ticks of the x axis at numbers that are easy to read."""
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))


def few_ticks(axes: Axes) -> None:
    """At most three steps on the y axis."""
    axes.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))


def spread(wanted: Sequence[float], heights: Sequence[float], total: float) -> list[float]:
    """Centres for boxes of these heights, near to where they are wanted, none touching, in order.

    The pool-adjacent-violators idea: boxes that touch move as one block about their common mean. All lengths
    in one unit; within 0 … total as far as there is room.
    """
    order = sorted(range(len(wanted)), key=lambda n: wanted[n])
    blocks: list[tuple[list[int], float]] = []
    for n in order:
        members, centre = [n], wanted[n]
        centre = _inside(centre, heights[n], total)
        while blocks:
            above, low = blocks[-1]
            reach = low + sum(heights[m] for m in above) / 2
            if reach <= centre - sum(heights[m] for m in members) / 2 + 1e-9:
                break
            blocks.pop()
            members = above + members
            whole = sum(heights[m] for m in members)
            offset, ideal = 0.0, 0.0
            for m in members:
                ideal += wanted[m] - (offset + heights[m] / 2)
                offset += heights[m]
            centre = _inside(ideal / len(members) + whole / 2, whole, total)
        blocks.append((members, centre))
    placed = [0.0] * len(wanted)
    for members, centre in blocks:
        edge = centre - sum(heights[m] for m in members) / 2
        for m in members:
            placed[m] = edge + heights[m] / 2
            edge += heights[m]
    return placed


def _inside(centre: float, height: float, total: float) -> float:
    return total / 2 if height >= total else min(max(centre, height / 2), total - height / 2)


def plot(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    look: Look,
    *,
    hollow: bool = False,
    markers: bool = True,
    width: float = 1.6,
) -> None:
    """A system's line."""
    axes.plot(
        x,
        y,
        color=look.light,
        linestyle=look.dashes,
        linewidth=width,
        marker=look.marker if markers else "",
        markersize=5.2,
        markerfacecolor=PAPER if hollow else look.light,
        markeredgecolor=look.light,
        markeredgewidth=1.1,
        zorder=3,
        clip_on=False,
    )


def interval(axes: Axes, x: float, low: float, high: float, look: Look) -> None:
    """A 95 % interval as a thin bar through its point."""
    axes.plot(
        [x, x], [low, high], color=look.light, linewidth=0.9, alpha=0.6, marker="_", markersize=4, zorder=2.5
    )


def shade_above(axes: Axes, capacity: float) -> None:
    """Shade where more is offered than the reference workers can sustain: no steady state there."""
    low, high = axes.get_xlim()
    if not low < capacity < high:
        if capacity <= low:
            axes.axvspan(low, high, color=SHADE, linewidth=0, zorder=0)
        return
    axes.axvspan(capacity, high, color=SHADE, linewidth=0, zorder=0)
    axes.annotate(
        f"over capacity ({figure_words(capacity)}/s)",
        (capacity, 1),
        xycoords=("data", "axes fraction"),
        xytext=(2, 2.5),
        textcoords="offset points",
        size=6.6,
        color=MUTED,
        annotation_clip=False,
    )
    axes.set_xlim(low, high)


def guide(axes: Axes, y: float, text: str, *, right: bool = False) -> None:
    """A horizontal guide with its name at the left, or at the right."""
    axes.axhline(y, color=MUTED, linewidth=0.8, linestyle="--", zorder=1)
    axes.annotate(
        text,
        (1 if right else 0, y),
        xycoords=("axes fraction", "data"),
        xytext=(-2 if right else 3, 2.5),
        textcoords="offset points",
        ha="right" if right else "left",
        va="bottom",
        size=6.8,
        color=MUTED,
        annotation_clip=False,
    )


def upright(
    axes: Axes, x: float, text: str, color: str = MUTED, *, dashes: str = "--", y: float = 1.0
) -> None:
    """A vertical guide with its name above it."""
    axes.axvline(x, color=color, linewidth=0.9, linestyle=dashes, zorder=1.5)
    if text:
        axes.annotate(
            text,
            (x, y),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2.5),
            textcoords="offset points",
            ha="center",
            size=6.8,
            color=color,
            annotation_clip=False,
        )


def remark(axes: Axes, text: str) -> None:
    """A quiet line in the middle of axes that have nothing to show."""
    axes.annotate(
        text,
        (0.5, 0.5),
        xycoords="axes fraction",
        ha="center",
        va="center",
        size=SMALL,
        color=MUTED,
        wrap=True,
    )


def legend(axes: Axes, handles: Sequence[Line2D | Patch]) -> None:
    """A small key at the right of the axes, for bars."""
    axes.legend(
        handles=list(handles),
        loc="upper left",
        bbox_to_anchor=(1.01, 1.02),
        frameon=False,
        fontsize=SMALL,
        handlelength=1.3,
        handleheight=1.2,
        labelspacing=0.35,
        borderaxespad=0.2,
        handletextpad=0.5,
    )


def fate_patch(fate: str) -> Patch:
    """A fate's swatch."""
    look = FATE_LOOKS[fate]
    return Patch(facecolor=look.light, edgecolor=EDGE, hatch=look.hatch, label=look.words, linewidth=0.5)


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


def swatch(look: Look, text: str, *, hollow: bool = False) -> Line2D:
    """A system's sample for a key."""
    return Line2D(
        [],
        [],
        color=look.light,
        linestyle=look.dashes,
        marker=look.marker,
        markersize=5,
        markerfacecolor=PAPER if hollow else look.light,
        label=text,
    )
