"""Bars made of parts: standing, with a word on top; lying, one a system, with a word behind each."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.charts.marks import part_patch
from bench.charts.palette import EDGE, GRID, MUTED, PAPER, PartLook
from bench.charts.scales import duration_ticks
from bench.charts.style import SMALL, Axes, Canvas, Panel

ROW = 0.36
"""Inches that one bar takes."""
_TOP, _BOTTOM = 0.42, 0.57
_LETTER = 0.062
"""Inches of a letter of the names and words, on the wide side."""


@dataclass(frozen=True)
class Bar:
    """One system's bar."""

    label: str
    color: str
    parts: Sequence[tuple[float, PartLook]]
    """Seconds, from the left."""
    words: str
    """Behind it, in one or two lines."""


def standing(
    axes: Axes,
    place: float,
    parts: Sequence[tuple[float, PartLook]],
    words: str,
    width: float = 0.62,
    *,
    hollow: bool = False,
) -> None:
    """One standing bar of parts, with a word on top; a hollow one is of trials that must not be believed."""
    base = 0.0
    for share, look in parts:
        if share > 0:
            fill, edge = (PAPER, look.light) if hollow else (look.light, EDGE)
            axes.bar(
                place, share, width, bottom=base, color=fill, hatch=look.hatch, edgecolor=edge,
                linewidth=0.6, zorder=2,
            )  # fmt: skip
            base += share
    axes.annotate(
        words,
        (place, base),
        xytext=(0, 2),
        textcoords="offset points",
        ha="center",
        size=6.8,
        color=MUTED,
        annotation_clip=False,
    )


def height(bars: int) -> float:
    """Inches of a panel for so many bars."""
    return _TOP + _BOTTOM + ROW * bars


def lying(canvas: Canvas, panel: Panel, bars: Sequence[Bar], key: Sequence[PartLook]) -> Axes:
    """Draw the bars from the top of a panel down, the key below their axis."""
    lines = [line for bar in bars for line in bar.words.split("\n")]
    axes = canvas.axes(
        panel,
        left=0.24 + _LETTER * max(len(bar.label) for bar in bars),
        right=0.2 + _LETTER * max(len(line) for line in lines),
        bottom=panel.height - _TOP - ROW * len(bars),
        height=ROW * len(bars),
    )
    axes.grid(False, axis="y")
    axes.grid(True, axis="x", color=GRID, linewidth=0.7)
    roof = max(sum(length for length, _ in bar.parts) for bar in bars)
    axes.set_xlim(0, roof * 1.02 if roof > 0 else 1.0)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
    axes.tick_params(axis="y", length=0)
    for text, bar in zip(axes.get_yticklabels(), bars, strict=True):
        text.set_color(bar.color)
        text.set_fontweight("bold")
    duration_ticks(axes)
    for row, bar in enumerate(bars):
        _bar(axes, row, bar)
    _key(canvas, panel, axes, key)
    return axes


def _bar(axes: Axes, row: int, bar: Bar) -> None:
    begin = 0.0
    for length, look in bar.parts:
        if length > 0:
            axes.barh(
                row, length, 0.62, left=begin, color=look.light, hatch=look.hatch, edgecolor=EDGE,
                linewidth=0.5, zorder=2,
            )  # fmt: skip
            begin += length
    axes.annotate(
        bar.words,
        (begin, row),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        size=6.8,
        color=MUTED,
        linespacing=1.1,
        annotation_clip=False,
    )


def _key(canvas: Canvas, panel: Panel, axes: Axes, key: Sequence[PartLook]) -> None:
    width, total = canvas.figure.get_size_inches()
    axes.legend(
        handles=[part_patch(look) for look in key],
        loc="lower left",
        bbox_to_anchor=((panel.x + 0.08) / width, axes.get_position().y0 - (_BOTTOM - 0.04) / total),
        bbox_transform=canvas.figure.transFigure,
        ncols=len(key),
        frameon=False,
        fontsize=SMALL,
        handlelength=1.2,
        handleheight=1.1,
        handletextpad=0.45,
        columnspacing=1.1,
        borderaxespad=0.0,
        borderpad=0.0,
    )
