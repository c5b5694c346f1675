"""When jobs arrive: schedules computed before the trial, so that nothing the system does can change them.

Pure, and the same for every system at the same load and seed. A leaf beside `bench.plan`.
"""

import math
import random
from typing import Literal

from bench.plan import Load

Phase = Literal["warmup", "window"]


def schedule(load: Load, seed: int) -> list[float]:
    """Seconds from the start of the load at which each job is due, in order.

    Warm-up and window, and each step of a pulse or stairs, hold rate × length arrivals; a burst comes whole
    at the window's start. Raises ValueError for a closed load: its arrivals depend on the system.
    """
    length = load.warmup + load.window
    match load.arrivals:
        case "constant":
            return _constant(load.rate, length)
        case "poisson":
            draw = random.Random(seed)
            warming = _poisson(load.rate, 0.0, load.warmup, draw)
            return warming + _poisson(load.rate, load.warmup, load.window, draw)
        case "pulse" | "stairs":
            draw = random.Random(seed)
            offsets = _poisson(load.rate, 0.0, load.warmup, draw)
            start = load.warmup
            for step in load.steps:
                offsets += _poisson(step.rate, start, step.seconds, draw)
                start += step.seconds
            return offsets
        case "burst":
            return [load.warmup] * load.size
        case "closed":
            raise ValueError("a closed load has no schedule: each user's next job waits for the last result")


def phase_of(load: Load, offset: float) -> Phase:
    """Whether a job that arrives `offset` seconds after the start of the load is counted or warms up."""
    return "warmup" if offset < load.warmup else "window"


def _constant(rate: float, length: float) -> list[float]:
    """Each job in the middle of its interval, so that rounding never moves one over a phase's border."""
    return [(n + 0.5) / rate for n in range(math.floor(rate * length + 0.5))]


def _poisson(rate: float, start: float, length: float, draw: random.Random) -> list[float]:
    """A Poisson process given its count: rate × length arrivals, as far apart as chance has it.

    Given how many arrivals of a Poisson process fall into an interval, they lie there like that many
    independent uniform draws (Ross, Introduction to Probability Models, section 5.3.5). Fixing the count
    at its mean keeps the bursts and takes the luck out of the rate: with 60 arrivals its standard
    deviation would be 13 %, and many a load meant to be below capacity would be above it. Uniform draws
    in order are normalised sums of exponential gaps; these by inversion, since Python promises the same
    `random()` for ever and no more.
    """
    count = math.floor(rate * length + 0.5)
    if count == 0:
        return []
    sums, total = [], 0.0
    for _ in range(count):
        total -= math.log(1.0 - draw.random())
        sums.append(total)
    total -= math.log(1.0 - draw.random())
    return [start + length * s / total for s in sums]
