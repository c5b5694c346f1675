"""How many workers a load needs, and what its users then see."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.queueing.deterministic import MDc
from bench.analysis.queueing.erlang import erlang_c
from bench.analysis.queueing.simulation import fifo_starts
from bench.analysis.tables import Floats

PERCENTILES = (0.5, 0.95, 0.99)
SIMULATED = 400_000
"""Jobs in a simulation. The first tenth is left out: the queue starts empty."""
SEED = 20
MOST = 100_000
"""Workers beyond which nobody is sent looking."""


@dataclass(frozen=True)
class Demand:
    """What comes, and what a job is. Poisson arrivals, one queue in order of arrival."""

    rate: float
    """λ, jobs per second."""
    service_time: float
    """S, seconds that a job takes on a worker with the cores it needs."""
    variation: float = 0.0
    """Standard deviation over mean of the service times: 0 for jobs all alike, 1 as if exponential."""
    overhead: float = 0.0
    """Seconds that every job pays besides waiting and service: accepting, handing over, fetching."""

    @property
    def load(self) -> float:
        """Workers that are busy on average, λ·S."""
        return self.rate * self.service_time


@dataclass(frozen=True)
class Prediction:
    """A number of workers, and the response times with them."""

    workers: int
    utilisation: float
    """Share of the time that a worker is busy; from 1 on the queue grows for ever."""
    must_wait: float
    """Share of the jobs that find all workers busy."""
    mean: float
    """Mean response time, seconds; infinite without a steady state, like the percentiles."""
    percentiles: Mapping[float, float]
    """p → seconds."""
    simulated: bool
    """Whether it comes from a simulation; else it is exact."""

    def value(self, metric: str) -> float:
        """Seconds of a metric as objectives name it: `mean`, `p95`. Raises KeyError."""
        return self.mean if metric == "mean" else self.percentiles[share_of(metric)]


def share_of(metric: str) -> float:
    """The share that a percentile's name stands for: 0.95 for `p95`."""
    return round(float(metric[1:]) / 100, 9)


def shares_of(metrics: Iterable[str]) -> list[float]:
    """The percentiles to tell of: the usual ones, and those that are named."""
    return sorted({*PERCENTILES, *(share_of(metric) for metric in metrics if metric != "mean")})


def predict(demand: Demand, workers: int, percentiles: Sequence[float] = PERCENTILES) -> Prediction:
    """What users see with so many workers: exact for jobs all alike (M/D/c), else simulated (M/G/c)."""
    utilisation = demand.load / workers
    if utilisation >= 1:
        never = dict.fromkeys(percentiles, math.inf)
        return Prediction(workers, utilisation, 1.0, math.inf, never, simulated=False)
    if demand.variation == 0:
        exact = MDc(demand.rate, demand.service_time, workers)
        fixed = demand.service_time + demand.overhead
        found = {p: exact.wait_percentile(p) + fixed for p in percentiles}
        mean = exact.mean_wait + fixed
        return Prediction(workers, utilisation, exact.must_wait, mean, found, simulated=False)
    arrivals, work = _drawn(demand)
    starts = fifo_starts(arrivals, work, workers)
    response = (starts + work - arrivals + demand.overhead)[SIMULATED // 10 :]
    found = {p: _quantile(response, p) for p in percentiles}
    must_wait = erlang_c(workers, demand.load)
    return Prediction(workers, utilisation, must_wait, float(response.mean()), found, simulated=True)


def workers_for(demand: Demand, limits: Mapping[str, float]) -> Prediction | None:
    """The fewest workers with which each metric (`mean`, `p95`, …) is at most its limit, in seconds.

    None where no number is enough: the jobs themselves take too long.
    """
    if not possible(demand, limits):
        return None
    shares = shares_of(limits)

    def enough(workers: int) -> Prediction | None:
        found = predict(demand, workers, shares)
        return found if all(found.value(metric) <= limit for metric, limit in limits.items()) else None

    few = many = math.floor(demand.load) + 1
    while (best := enough(many)) is None:
        if many >= MOST:
            return None
        few, many = many + 1, min(2 * many, MOST)
    while few < many:
        middle = (few + many) // 2
        found = enough(middle)
        few, many, best = (few, middle, found) if found is not None else (middle + 1, many, best)
    return best


def possible(demand: Demand, limits: Mapping[str, float]) -> bool:
    """Whether the limits are met where nobody ever waits."""
    work = np.full(1, demand.service_time) if demand.variation == 0 else _drawn(demand)[1]
    alone = {m: float(work.mean()) if m == "mean" else _quantile(work, share_of(m)) for m in limits}
    return all(alone[metric] + demand.overhead <= limit for metric, limit in limits.items())


def _quantile(times: Floats, p: float) -> float:
    return float(np.quantile(times, p, method="inverted_cdf"))


def _drawn(demand: Demand) -> tuple[Floats, Floats]:
    """Arrivals and gamma-distributed service times, the same for every number of workers."""
    random = np.random.default_rng(SEED)
    arrivals = np.cumsum(random.exponential(1 / demand.rate, SIMULATED))
    shape = 1 / demand.variation**2
    return arrivals, random.gamma(shape, demand.service_time / shape, SIMULATED)
