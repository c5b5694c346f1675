"""A/A: one load on one server, cut into short trials, compared with itself. Pure.

A comparison that finds a difference here finds one that is not there.
"""

from collections import Counter
from dataclasses import dataclass

from bench.analysis.comparing.comparison import compare_paired
from bench.analysis.tables import Floats
from bench.selftest.catalogue import Same

ALLOWED = 0.05
"""Share of the comparisons that may find a difference."""
LEAST_ALLOWED = 2
"""Of 20 comparisons at 1 % each, two or more find one by chance in 2 of 100 runs, three in 1 of 1,000."""


@dataclass(frozen=True)
class Alike:
    """What came of the comparisons."""

    comparisons: int
    differing: int
    """Verdicts "better" or "worse"."""
    verdicts: dict[str, int]

    @property
    def allowed(self) -> int:
        """How many may differ."""
        return max(LEAST_ALLOWED, int(ALLOWED * self.comparisons))

    @property
    def passed(self) -> bool:
        """Whether the comparisons took place and kept to that."""
        return self.comparisons > 0 and self.differing <= self.allowed


def alike(times: Floats, same: Same) -> Alike:
    """Compare a load's trials, A and B in turn. `times`: response times in order of arrival, seconds."""
    size = len(times) // same.segments
    values = [float(times[n * size : (n + 1) * size].mean()) for n in range(same.segments)] if size else []
    each = 2 * same.pairs
    blocks = [values[n : n + each] for n in range(0, len(values) - each + 1, each)]
    said: Counter[str] = Counter(
        compare_paired(block[0::2], block[1::2], lower_is_better=True).verdict for block in blocks
    )
    return Alike(len(blocks), said["better"] + said["worse"], dict(said))
