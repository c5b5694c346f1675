"""The one module that owns matplotlib: figures, axes and marks in the house style.

A chart is a grid of panels. Every panel stands by itself (own axes, own labels), so that the page can set the
panels side by side on a desk and one below the other on a phone.
"""

from collections.abc import Iterator
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

from bench.charts.palette import ALARM, GRID, INK, MUTED, PAPER

__all__ = [
    "Axes",
    "Canvas",
    "FixedFormatter",
    "FixedLocator",
    "FuncFormatter",
    "Line2D",
    "MaxNLocator",
    "NullLocator",
    "Panel",
    "Patch",
]

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


def inches(axes: Axes) -> tuple[float, float]:
    """Width and height of axes."""
    box = axes.get_window_extent()
    return box.width / axes.figure.dpi, box.height / axes.figure.dpi
