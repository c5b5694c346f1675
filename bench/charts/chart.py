"""What a chart is before it is drawn, and what all charts are given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from bench.analysis.across.groups import Series
from bench.charts.palette import Look, Palette
from bench.charts.style import Canvas


@dataclass(frozen=True)
class Context:
    """What every chart of a run shares."""

    palette: Palette
    stamp: str
    """E.g. "not capped"; empty where the caps were in force."""

    def look(self, series: Series) -> Look:
        """A series' look."""
        return self.palette[series.key]


@dataclass(frozen=True)
class Chart:
    """One chart: file name, the finding as its title, two lines on how to read it, and how it is drawn."""

    name: str
    title: str
    how: str
    draw: Callable[[Context], Canvas]


HOLLOW = " What is drawn hollow is INVALID: not to be believed, and no part of what is said here."
"""Added to how a chart is read, in a run that has such trials."""


class Believed(Protocol):
    """A group of trials that can be had without those that the validity gate rejected."""

    def believable(self) -> Self | None:
        """What is left of it; None for nothing."""


G = TypeVar("G", bound=Believed)


def titled(group: G, title: Callable[[G], str], otherwise: str) -> str:
    """What the believable trials of a group say; `otherwise` where there are none."""
    left = group.believable()
    return f"{otherwise}: every trial is INVALID" if left is None else title(left)
