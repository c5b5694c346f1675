"""What a chart is before it is drawn, and what all charts are given."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.analysis.groups import Series
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
