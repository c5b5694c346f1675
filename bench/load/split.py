"""One load, divided among several processes: who has which part of it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """The part of one process."""

    index: int = 0
    of: int = 1

    def arrivals(self, schedule: Sequence[float]) -> list[float]:
        """Its arrivals, in order: every `of`-th, so that each process has the whole load in small.

        The parts of all processes are the schedule, each arrival in one of them.
        """
        return list(schedule[self.index :: self.of])

    def amount(self, whole: int) -> int:
        """Its share of a number; the shares add up to the whole and differ by one at most."""
        return whole // self.of + (self.index < whole % self.of)


WHOLE = Part()
"""All of it, in one process."""
