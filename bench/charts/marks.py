"""What stands inside axes: systems' lines, intervals, guides, the shaded overload, keys."""

from collections.abc import Sequence

from bench.analysis.words import figure as figure_words
from bench.charts.palette import EDGE, FATE_LOOKS, MUTED, PAPER, SHADE, Look, PartLook
from bench.charts.style import SMALL, Axes, Line2D, Patch


def plot(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    look: Look,
    *,
    hollow: Sequence[bool] = (),
    markers: bool = True,
    width: float = 1.6,
) -> None:
    """A system's line. `hollow`: which of its points can't be believed."""
    axes.plot(
        x,
        y,
        color=look.light,
        linestyle=look.dashes,
        linewidth=width,
        marker=look.marker if markers else "",
        markersize=5.2,
        markeredgecolor=look.light,
        markeredgewidth=1.1,
        zorder=3,
        clip_on=False,
    )
    empty = [n for n, each in enumerate(hollow) if each]
    mark(axes, [x[n] for n in empty], [y[n] for n in empty], look, hollow=True)


def mark(
    axes: Axes, x: Sequence[float], y: Sequence[float], look: Look, *, hollow: bool, size: float = 5.2
) -> None:
    """A system's markers without a line; hollow where they can't be believed."""
    axes.plot(
        x,
        y,
        linestyle="",
        marker=look.marker,
        markersize=size,
        markerfacecolor=PAPER if hollow else look.light,
        markeredgecolor=look.light,
        markeredgewidth=1.1,
        zorder=3.2,
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
    return part_patch(FATE_LOOKS[fate])


def part_patch(look: PartLook) -> Patch:
    """The swatch of a bar's part."""
    return Patch(facecolor=look.light, edgecolor=EDGE, hatch=look.hatch, label=look.words, linewidth=0.5)


def swatch(look: Look, text: str) -> Line2D:
    """A system's sample for a key."""
    return Line2D(
        [],
        [],
        color=look.light,
        linestyle=look.dashes,
        marker=look.marker,
        markersize=5,
        label=text,
    )
