"""Whether something grows: a robust slope over samples, and what counts as flat. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

Points = Sequence[tuple[float, float]]
"""Pairs of seconds and a value."""
MOST = 240
"""Points that a slope is computed from at most: the pairs of more would say nothing else."""


@dataclass(frozen=True)
class Tolerance:
    """How much may be added over the whole of the samples and still count as nothing."""

    absolute: float
    relative: float
    """Of the median."""


@dataclass(frozen=True)
class Growth:
    """What one series did."""

    median: float
    slope: float
    """Per second."""
    over: float
    """Seconds of the samples."""
    limit: float
    """What `added` may be."""

    @property
    def added(self) -> float:
        """What the slope adds over the samples."""
        return self.slope * self.over

    @property
    def flat(self) -> bool:
        """Whether it does not grow. Shrinking is no growth."""
        return self.added <= self.limit


def theil_sen(points: Points) -> float:
    """The median of the slopes of all pairs, per second; 0 for fewer than two instants.

    Source: P. K. Sen, Estimates of the regression coefficient based on Kendall's tau, JASA 63 (1968). A few
    peaks, as a garbage collector makes them, do not move it.
    """
    if len(points) > MOST:
        step = len(points) / MOST
        points = [points[int(n * step)] for n in range(MOST)]
    slopes = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2) if x2 != x1]
    return statistics.median(slopes) if slopes else 0.0


def growth(points: Points, tolerance: Tolerance) -> Growth:
    """What a series did. Raises ValueError for one without points."""
    if not points:
        raise ValueError("there are no samples")
    middle = statistics.median(y for _, y in points)
    times = [x for x, _ in points]
    return Growth(
        median=middle,
        slope=theil_sen(points),
        over=max(times) - min(times),
        limit=max(tolerance.absolute, tolerance.relative * abs(middle)),
    )


def steady(points: Points, warmup: float) -> list[tuple[float, float]]:
    """The points after the first `warmup` seconds, at least the last half of them."""
    late = [p for p in points if p[0] >= points[0][0] + warmup] if points else []
    return late if len(late) * 2 >= len(points) else list(points[len(points) // 2 :])
