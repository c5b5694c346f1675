"""Estimates over repeats: the middle of the trials, and an interval once there are enough of them. Pure.

The unit is the trial, never the request: requests of one trial share its machine, its minute and its queue,
so that resampling them would claim far too much (the usual advice for clustered data; Davison & Hinkley,
Bootstrap Methods and their Application, 1997, section 3.8).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ENOUGH_REPEATS = 5
LEVEL = 0.95
RESAMPLES = 2000
SEED = 20


@dataclass(frozen=True)
class Estimate:
    """The median over repeats, with its interval where there are at least five."""

    value: float
    """May be infinite: "not reached"."""
    low: float | None
    high: float | None
    trials: int
    values: tuple[float, ...]
    """Each trial's own."""


def estimate(values: Sequence[float | None]) -> Estimate | None:
    """Summarise one figure over repeats; None where most trials have too few arrivals for it."""
    given = np.sort(np.array([v for v in values if v is not None and not np.isnan(v)], dtype=float))
    if not len(given) or 2 * len(given) < len(values):
        return None
    low, high = bootstrap(given) if len(given) >= ENOUGH_REPEATS else (None, None)
    return Estimate(_middle(given), low, high, len(given), tuple(float(v) for v in given))


def bootstrap(ordered: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> tuple[float, float]:
    """Percentile bootstrap of the median, seeded; infinities are ordinary, large values."""
    chosen = np.random.default_rng(SEED).integers(0, len(ordered), size=(RESAMPLES, len(ordered)))
    medians = np.sort(np.sort(ordered[chosen], axis=1)[:, (len(ordered) - 1) // 2])
    tail = (1 - LEVEL) / 2
    return float(medians[int(tail * RESAMPLES)]), float(medians[int((1 - tail) * RESAMPLES) - 1])


def _middle(ordered: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
    """The median; of an even number of trials the mean of the middle two, infinite if the upper one is."""
    n = len(ordered)
    below, above = ordered[(n - 1) // 2], ordered[n // 2]
    return float(below if below == above else (below + above) / 2)
