"""Does the measured window still begin with a warm-up? Pure.

The warm-up that is cut is the plan's: a fixed time, the same for every system, decided before anything was
seen. What stands here only checks it: MSER-5 (White, An effective truncation heuristic for bias reduction in
simulation output, Simulation 69, 1997; batches of five by White, Cobb and Spratt, A comparison of five
steady-state truncation heuristics for simulation, Winter Simulation Conference 2000) finds how much more
would have to go for what is left to have the least standard error. Of one trial this says little: response
times of a queue come in long waves, and of simulated M/M/1 and M/D/1 queues in steady state (ρ from 0.5 to
0.9, 100 to 500 jobs) a third looked as if they began with something else. So only several repeats that agree
are told.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.tables import Floats, TrialRecords

BATCH = 5
LEAST = 20
"""Batches. Below, the rule follows noise."""
SHIFTED = 0.25
"""What is cut must lie this far, as a share, below or above what is left."""
MUCH = 0.1
"""A cut of less of the window is not worth a word."""
REPEATS = 3
AGREEING = 0.8
"""Of at least three repeats this share must begin differently in the same direction: with a third of all
trials looking so by chance, half of them each way, that is less than one point in fifty.
"""


@dataclass(frozen=True)
class Warming:
    """What MSER-5 would cut off the measured window."""

    jobs: int
    seconds: float
    """Of the window."""
    share: float
    """Of the window's jobs."""
    shift: float
    """Mean response time of what is cut over that of the rest; 1 where nothing is cut."""

    @property
    def direction(self) -> int:
        """-1 or 1 where the window seems to begin with shorter or longer response times than it goes on, else
        0.
        """
        if self.share < MUCH or not abs(self.shift - 1) >= SHIFTED:
            return 0
        return 1 if self.shift > 1 else -1


def still_warming(repeats: Sequence[Warming | None]) -> float | None:
    """Seconds of the window that look like warming up, the middle of the repeats that agree; None where too
    few do.
    """
    given = [w for w in repeats if w is not None]
    for way in (-1, 1):
        agreeing = [w.seconds for w in given if w.direction == way]
        if len(given) >= REPEATS and len(agreeing) >= AGREEING * len(given):
            return float(np.median(agreeing))
    return None


def mser5(values: Floats) -> int:
    """How many of the first values to cut, a multiple of five, at most half: where the squared deviations
    of the batches that stay, over the square of their number, are least.
    """
    batches = len(values) // BATCH
    if batches < LEAST:
        return 0
    means = values[: batches * BATCH].reshape(batches, BATCH).mean(axis=1)
    left = np.arange(batches, 0, -1)
    # Around the overall mean, so that the difference of two large sums stays exact.
    centred = means - means.mean()
    sums, squares = np.cumsum(centred[::-1])[::-1], np.cumsum(centred[::-1] ** 2)[::-1]
    error = ((squares - sums**2 / left) / left.astype(float) ** 2)[: batches // 2 + 1]
    within_rounding = error <= error.min() + 1e-12 * float(error.max())
    return BATCH * int(np.argmax(within_rounding))


def warming(records: TrialRecords) -> Warming | None:
    """Check one trial by the response times of its delivered jobs, in order of arrival.

    None where no steady state is to be expected (a burst, closed users, a load at or above capacity, nobody
    knows the capacity) and where there are fewer than 100 jobs.
    """
    trial, jobs = records.trial, records.jobs
    steady = trial.load.arrivals in ("poisson", "constant") and trial.load.rate < trial.capacity
    if not steady or trial.system.kind == "external":
        return None
    counted = jobs.window & jobs.is_("ok")
    arrival, times = jobs.arrival[counted], (jobs.done - jobs.arrival)[counted]
    if len(times) < BATCH * LEAST:
        return None
    cut = mser5(times)
    rest = float(times[cut:].mean())
    return Warming(
        jobs=cut,
        seconds=float(arrival[cut] - records.window[0]) if cut else 0.0,
        share=cut / len(times),
        shift=float(times[:cut].mean()) / rest if cut and rest > 0 else math.nan if cut else 1.0,
    )
