"""Where a system stops keeping its promise: which rate to try next, and where the edge lies. Pure.

The edge is bracketed by steps of a fixed factor and then bisected, on a logarithmic scale, for what matters
is the ratio of two rates. A rung is one trial at one rate; near the edge chance decides, so the two rungs
that enclose it are tried twice, a third time where the two disagree, and the majority holds (the plain form
of a noisy bisection; Waeber, Frazier & Henderson, Bisection Search with Noisy Responses, 2013, weigh each).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

STEP = 1.5
"""Factor between two rates while the edge is not bracketed yet."""
MOST_RUNGS = 24
"""Trials of one search at most."""
CONFIRMED, DECIDED = 2, 3
"""Trials that agree, or trials in all, after which a rate at the edge is settled."""


@dataclass(frozen=True)
class Rung:
    """One trial of a search."""

    rate: float
    """Jobs per second that were asked for."""
    passed: bool | None
    """Whether the promise was kept; None where the trial must not be believed."""


@dataclass(frozen=True)
class Bounds:
    """Where to look, in jobs per second."""

    start: float
    lowest: float
    highest: float
    precision: float = 0.1
    """The search ends where the two rates that enclose the edge differ by less than this."""


@dataclass(frozen=True)
class Edge:
    """What was found, in jobs per second."""

    low: float
    """The highest rate at which, and below which, the promise was kept; 0 where it never was."""
    high: float
    """The lowest rate above it at which it was not; infinity where it always was."""
    blind: float = math.inf
    """The lowest rate between the two that could not be measured, however often it was tried."""

    @property
    def hidden(self) -> bool:
        """Whether the edge lies where nothing could be measured."""
        return math.isfinite(self.blind)

    @property
    def middle(self) -> float:
        """The geometric mean of both; the one that there is where there is one only."""
        if self.low <= 0:
            return self.high
        return math.sqrt(self.low * self.high) if math.isfinite(self.high) else self.low


def believed(rungs: Sequence[Rung]) -> bool:
    """Whether they say anything at all."""
    return any(rung.passed is not None for rung in rungs)


def edge(rungs: Sequence[Rung]) -> Edge:
    """Where the edge lies by these rungs."""
    verdicts = _verdicts(rungs)
    failed = [rate for rate, passed in verdicts.items() if not passed]
    high = min(failed, default=math.inf)
    low = max((rate for rate, passed in verdicts.items() if passed and rate < high), default=0.0)
    tries = Counter(rung.rate for rung in rungs if rung.rate not in verdicts)
    blind = [rate for rate, times in tries.items() if times >= DECIDED and low < rate < high]
    return Edge(low, high, min(blind, default=math.inf))


def next_rate(rungs: Sequence[Rung], bounds: Bounds) -> float | None:
    """The rate to try next; None where the search is over."""
    if not believed(rungs):
        return bounds.start if len(rungs) < DECIDED else None
    if len(rungs) >= MOST_RUNGS:
        return None
    found = edge(rungs)
    top = min(found.high, found.blind)
    if top == math.inf and found.low < bounds.highest:
        return min(bounds.highest, found.low * STEP)
    if found.low == 0 and top > bounds.lowest:
        return max(bounds.lowest, top / STEP)
    if found.low > 0 and 1 + bounds.precision < top / found.low < math.inf:
        return math.sqrt(found.low * top)
    return next((r for r in (found.low, found.high) if 0 < r < math.inf and not _settled(rungs, r)), None)


def _verdicts(rungs: Sequence[Rung]) -> dict[float, bool]:
    """By rate, whether most of its trials kept the promise; a tie is not kept."""
    counts: dict[float, list[bool]] = {}
    for rung in rungs:
        if rung.passed is not None:
            counts.setdefault(rung.rate, []).append(rung.passed)
    return {rate: 2 * sum(passed) > len(passed) for rate, passed in counts.items()}


def _settled(rungs: Sequence[Rung], rate: float) -> bool:
    own = [rung for rung in rungs if rung.rate == rate]
    believed = [rung.passed for rung in own if rung.passed is not None]
    agreed = len(believed) >= CONFIRMED and len(set(believed)) == 1
    return agreed or len(own) >= DECIDED
