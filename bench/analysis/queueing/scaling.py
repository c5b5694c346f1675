"""The Universal Scalability Law: what more workers bring, and when they bring less."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np


@dataclass(frozen=True)
class Scaling:
    """X(n) = γ·n / (1 + α·(n - 1) + β·n·(n - 1)).

    Source: N. J. Gunther, Guerrilla Capacity Planning, 2007.
    """

    per_worker: float
    """γ: jobs per second of one worker alone."""
    contention: float
    """α: share that workers wait for one another."""
    coherency: float
    """β: what each pair of them costs."""
    residual: float
    """Root mean square of measured over fitted throughput, less one."""

    def throughput(self, workers: float) -> float:
        """Jobs per second with so many workers."""
        n = workers
        return self.per_worker * n / (1 + self.contention * (n - 1) + self.coherency * n * (n - 1))

    @property
    def best(self) -> float:
        """The worker count with the highest throughput, sqrt((1 - α)/β); infinite where more never harm."""
        if self.coherency <= 0:
            return math.inf
        return max(1.0, math.sqrt(max(0.0, 1 - self.contention) / self.coherency))


def fit_scaling(workers: Sequence[int], throughput: Sequence[float]) -> Scaling | None:
    """Fit the law by least squares of n/X(n), which is linear in 1/γ, α/γ and β/γ, none of them negative.

    None for fewer than three different worker counts: three coefficients need as many points.
    """
    n, x = np.asarray(workers, dtype=float), np.asarray(throughput, dtype=float)
    usable = np.isfinite(x) & (x > 0) & (n >= 1)
    n, x = n[usable], x[usable]
    if len(set(n)) < 3:
        return None
    # Weighed by X/n, so that relative errors count: a tenth is a tenth at one worker as at eight.
    terms = np.stack([np.ones_like(n), n - 1, n * (n - 1)], axis=1) * (x / n)[:, None]
    best: tuple[float, tuple[float, ...]] | None = None
    for more in range(3):
        for others in combinations((1, 2), more):
            chosen = [0, *others]
            values, *_ = np.linalg.lstsq(terms[:, chosen], np.ones_like(n), rcond=None)
            if np.any(values < 0) or values[0] <= 0:
                continue
            error = float(np.sum((terms[:, chosen] @ values - 1) ** 2))
            if best is None or error < best[0] - 1e-15:
                whole = [0.0, 0.0, 0.0]
                for place, value in zip(chosen, values, strict=True):
                    whole[place] = float(value)
                best = error, tuple(whole)
    if best is None:
        return None
    one, contention, coherency = best[1]
    found = Scaling(1 / one, contention / one, coherency / one, 0.0)
    ratios = x / np.array([found.throughput(k) for k in n])
    residual = float(np.sqrt(np.mean((ratios - 1) ** 2)))
    return Scaling(found.per_worker, found.contention, found.coherency, residual)
