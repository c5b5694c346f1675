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

    The schedule spans warm-up and window; a burst comes whole at the window's start. Two rates under one seed
    give the same pattern, stretched. Raises ValueError for a closed load: its arrivals depend on the system.
    """
    length = load.warmup + load.window
    match load.arrivals:
        case "constant":
            return _constant(load.rate, length)
        case "poisson":
            return _poisson(load.rate, length, seed)
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


def _poisson(rate: float, length: float, seed: int) -> list[float]:
    """Exponential gaps, by inversion written out: Python promises the same `random()` for ever, no more."""
    draw = random.Random(seed)
    arrivals = []
    unit = -math.log(1.0 - draw.random())
    while unit < rate * length:
        arrivals.append(unit / rate)
        unit -= math.log(1.0 - draw.random())
    return arrivals
