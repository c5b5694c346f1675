"""Estimates over repeats: the middle of the trials, and an interval once there are enough of them. Pure.

The unit is the trial, never the request: requests of one trial share its machine, its minute and its queue,
so that resampling them would claim far too much (the usual advice for clustered data; Davison & Hinkley,
Bootstrap Methods and their Application, 1997, section 3.8).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from bench.analysis import student

ENOUGH_REPEATS = 5
LEVEL = 0.95


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
    """Bootstrap interval of the median at LEVEL; infinities are ordinary, large values.

    Nothing is drawn: a resample's median is at most the k-th of n trials when the middle one of n draws falls
    on the first k, which is a binomial probability (Efron, Bootstrap methods: another look at the jackknife,
    Annals of Statistics 7, 1979, section 3). The percentiles are the expanded ones of Hesterberg (see
    `comparison`), and of an even number of trials the lower end is that of the lower of the middle two, the
    upper end that of the upper. Without both, the interval over 6 or 7 trials would hold the true median in
    88 % of all cases; with them it does in 93.8 % (5 trials) to 99.2 % (8), whatever the distribution.
    """
    n = len(ordered)
    t = student.quantile((1 + LEVEL) / 2, n - 1)
    tail = NormalDist().cdf(-math.sqrt(n / (n - 1)) * t)
    middle = (n + 1) // 2
    inside = next(k for k in range(1, n + 1) if _at_least(middle, n, k / n) >= tail)
    return float(ordered[inside - 1]), float(ordered[n - inside])


def _at_least(successes: int, n: int, p: float) -> float:
    """P(Bin(n, p) ≥ successes)."""
    return math.fsum(math.comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(successes, n + 1))


def _middle(ordered: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
    """The median; of an even number of trials the mean of the middle two, infinite if the upper one is."""
    n = len(ordered)
    below, above = ordered[(n - 1) // 2], ordered[n // 2]
    return float(below if below == above else (below + above) / 2)
