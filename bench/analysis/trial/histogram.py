"""Percentiles of very many durations from log-linear buckets, as HDR histograms have them. Pure.

Every power of two is cut into 1,024 equal buckets (as in Gil Tene's HdrHistogram, with binary digits), and a
percentile is the middle of its bucket: off by half a bucket at most, 0.05 % of the value, between 1 µs and 34
years. Infinities are counted beside them. What it saves is the sorted copy: memory does not grow with the
number of values, and the histograms of parts add up to that of the whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.analysis.tables import Floats, Ints

BUCKETS = 1024
"""A power of two is cut into so many."""
RELATIVE_ERROR = 0.5 / BUCKETS
_LOWEST, _HIGHEST = -19, 31
"""Exponents as `numpy.frexp` gives them: from 2⁻²⁰ s, about 1 µs, to 2³⁰ s."""
_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Histogram:
    """Counts of durations. Two are merged by adding up their counts."""

    counts: Ints
    """By bucket, the shortest first."""
    never: int
    """How many were infinite."""

    @property
    def n(self) -> int:
        """All that were counted."""
        return int(self.counts.sum()) + self.never

    def merged(self, other: "Histogram") -> "Histogram":
        """Both together."""
        return Histogram(self.counts + other.counts, self.never + other.never)

    def percentile(self, p: float) -> float:
        """What at least the share p does not exceed, seconds, within RELATIVE_ERROR; infinite where that
        share was never reached. Raises ValueError for an empty histogram.
        """
        if not self.n:
            raise ValueError("an empty histogram has no percentiles")
        rank = max(1, int(np.ceil(self.n * p - 1e-9)))
        reached = np.cumsum(self.counts)
        if rank > reached[-1]:
            return float("inf")
        bucket = int(np.searchsorted(reached, rank))
        exponent, place = bucket // BUCKETS + _LOWEST, bucket % BUCKETS
        return float(np.ldexp(0.5 + (place + 0.5) / (2 * BUCKETS), exponent))


def histogram(values: Floats) -> Histogram:
    """Count durations in seconds, infinity allowed; what is out of range goes into the outermost bucket."""
    counts = np.zeros((_HIGHEST - _LOWEST + 1) * BUCKETS, dtype=np.int64)
    finite = 0
    for some in _pieces(values):
        there = some[np.isfinite(some)]
        mantissa, exponent = np.frexp(np.clip(there, 2.0 ** (_LOWEST - 1), 2.0 ** (_HIGHEST - 1)))
        place = ((mantissa - 0.5) * (2 * BUCKETS)).astype(np.int64)
        counts += np.bincount((exponent - _LOWEST) * BUCKETS + place, minlength=len(counts))
        finite += len(there)
    return Histogram(counts, len(values) - finite)


def _pieces(values: Floats) -> Iterator[Floats]:
    """So many at a time that nothing large is copied."""
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]
