"""Direct labels at the ends of lines, moved apart where they would touch."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.charts.style import SMALL, Axes, inches


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
