"""The machine's own speed beside each trial, and where it was another than beside the neighbours. Pure.

The canary is a short fixed loop, timed in its own CPU time: a wall clock would tell how busy the machine was,
and reject exactly the overloaded trials.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.tables import TrialRecords
from bench.analysis.trial.resources import samples
from bench.plan import Work

FACTOR = 2.0
"""Slower or faster than the neighbours by this: another machine."""
NEIGHBOURS = 2
"""Trials before, and as many after, whose median a trial is held against. With one of each, the trial beside
an odd one would look odd itself."""


@dataclass(frozen=True)
class Canary:
    """What the loop took beside one trial."""

    loop: float = math.nan
    """CPU seconds, the median over the window (the whole trial where none fell into it); NaN: not sampled."""
    t: float = math.nan
    """When the trial's load began, Unix time: the order in which trials really ran."""


def canary(records: TrialRecords) -> Canary:
    """Look at one trial."""
    t, loop = samples(records, "canary", "loop")
    loop = np.where(loop > 0, loop, np.nan)
    t, loop = t[np.isfinite(loop)], loop[np.isfinite(loop)]
    if not len(t):
        return Canary()
    start, end = records.span
    inside = (t >= start) & (t <= end)
    return Canary(float(np.median(loop[inside] if inside.any() else loop)), float(t[0]))


def slowness(seen: Sequence[Canary]) -> list[float]:
    """Each trial's loop over the median of its neighbours in running order: 2 is half as fast as they.

    NaN for a trial without samples, or without a neighbour that has some. In the order of `seen`. With few
    neighbours, one that was slow makes all others look fast: then no trial is called faster than they.
    """
    ran = sorted((n for n, c in enumerate(seen) if math.isfinite(c.loop)), key=lambda n: seen[n].t)
    found = [math.nan] * len(seen)
    for place, n in enumerate(ran):
        beside = ran[max(0, place - NEIGHBOURS) : place] + ran[place + 1 : place + 1 + NEIGHBOURS]
        if beside:
            slow = seen[n].loop / float(np.median([seen[m].loop for m in beside]))
            found[n] = slow if len(beside) >= 2 * NEIGHBOURS else max(slow, 1.0)
    return found


def feels_speed(work: Work) -> bool:
    """Whether a job takes longer on a slower machine.

    `spin` burns a given CPU time by its own CPU clock, whatever the speed; what mostly waits, waits as long.
    """
    return work.task != "spin" and work.cpu_time >= 0.5 * work.service_time
