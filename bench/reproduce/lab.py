"""What an experiment is that no trial of a sweep can be: a lab has figures, one of each for every repeat."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.plan import Box
from bench.stack.services import Services


@dataclass(frozen=True)
class Place:
    """Where a lab works."""

    services: Services
    box: Box
    folder: Path
    """Takes logs and journals."""
    say: Callable[[str], None]
    """Shows how it goes."""


Figures = Mapping[str, float]
"""By name; NaN where a figure could not be had."""


@dataclass(frozen=True)
class Lab:
    """One such experiment."""

    name: str
    title: str
    figures: tuple[str, ...]
    """Names of what it measures."""
    run: Callable[[Place], Figures]
    """Carries it out once. Raises StackError."""
    seconds: float
    """About how long one repeat takes, for the ETA."""
    repeats: int = 3


def rows(found: Sequence[Figures]) -> list[dict[str, float | int]]:
    """The figures as `bench.analysis.comparing.claims` takes them: a row for each repeat."""
    return [{"repeat": n, **figures} for n, figures in enumerate(found, start=1)]
