"""Where something stops to hold as a number grows: bracketed by doubling, then bisected. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True)
class Edge:
    """Holds at one number and fails at another; 0 where that was never seen."""

    holds: float
    fails: float


def edge(holds: Callable[[float], bool], first: float, least: float, most: float, width: float = 1.2) -> Edge:
    """Look from `first`, between `least` and `most`, until `fails` is `width` times `holds` at most.

    With a width of 1.2 the middle is known to ±10 %. Assumes that what fails at a number fails at every
    greater one.
    """
    good, bad = 0.0, 0.0
    at = first
    while not bad and at <= most:
        if holds(at):
            good, at = at, 2 * at
        else:
            bad = at
    at = bad / 2
    while bad and not good and at >= least:
        if holds(at):
            good = at
        else:
            bad, at = at, at / 2
    while good and bad and bad > width * good:
        middle = sqrt(good * bad)
        if holds(middle):
            good = middle
        else:
            bad = middle
    return Edge(good, bad)
