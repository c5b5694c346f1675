"""How many workers a load needs, and what its users then see."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from bench.analysis.queueing.deterministic import MDc
from bench.analysis.queueing.fifo import MGc
from bench.analysis.queueing.model import Model, Overhead
from bench.analysis.tables import Floats

PERCENTILES = (0.5, 0.95, 0.99)
SIMULATED, AT_MOST = 400_000, 2_000_000
"""Jobs in a simulation, at least and at most. The first tenth is left out: the queue starts empty."""
RELAXED = 500
"""Relaxation times that a simulation lasts at least, so that it has seen the queue long and short."""
Method = Literal["exact", "simulation", "approximation"]
SEED = 20
FINE = 0.02
"""Poll intervals below this share of the service time: on average a result lies there for half of one."""
EXACT = 500
"""Workers up to which the exact distribution is worked out; that of more takes seconds to minutes."""
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
    overhead: Overhead = field(default_factory=Overhead)
    """What every job pays besides waiting and service: accepting, handing over, fetching."""
    cpu: float | None = None
    """CPU seconds of a job; None: all of its service time."""
    cores: float = math.inf
    """What all workers share, and all around them; infinite: as many as they need."""

    @property
    def load(self) -> float:
        """Workers that are busy on average: λ·S, and what they need between two jobs."""
        return self.rate * self.occupied

    @property
    def occupied(self) -> float:
        """Seconds that a job takes a worker away."""
        return self.service_time + self.overhead.held

    @property
    def cpu_time(self) -> float:
        """CPU seconds of a job."""
        return self.service_time if self.cpu is None else self.cpu

    def model(self, workers: int | None) -> Model:
        """The service with so many workers; None: with as many as there are jobs."""
        return Model(workers, self.cores, self.service_time, self.cpu_time, self.overhead)


@dataclass(frozen=True)
class Prediction:
    """A number of workers, and the response times with them."""

    workers: int
    utilisation: float
    """Share of the time that a worker (or the cores, where they are scarcer) is busy; from 1 on the queue
    grows for ever."""
    must_wait: float
    """Share of the jobs that find all workers busy; NaN where workers share cores, for a slot is not all."""
    mean: float
    """Mean response time, seconds; infinite without a steady state, like the percentiles."""
    percentiles: Mapping[float, float]
    """p → seconds."""
    method: Method

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
    """What users see with so many workers.

    Jobs all alike on workers that share nothing: exact (M/D/c), up to EXACT of them. Else simulated; but
    where workers are so many and so busy that a simulation would take millions of jobs to see the queue come
    and go, by Allen and Cunneen's approximation, which is good just there: the waits of a busy queue are
    exponential (J. Köllerström, "Heavy traffic theory for queues with several servers I", Journal of Applied
    Probability 11, 1974).
    """
    model = demand.model(workers)
    utilisation = model.utilisation(demand.rate)
    if utilisation >= 1:
        never = dict.fromkeys(percentiles, math.inf)
        return Prediction(workers, utilisation, 1.0, math.inf, never, "exact")
    limited = model.limited(demand.rate)
    if demand.variation == 0 and workers <= EXACT and not limited:
        return _exact(demand, workers, utilisation, percentiles)
    count = max(SIMULATED, math.ceil(RELAXED * demand.rate * _relaxation(demand, utilisation)))
    if count > AT_MOST and not limited:
        return _approximated(demand, workers, utilisation, percentiles)
    arrivals, factors = _drawn(demand, min(count, AT_MOST))
    later = len(arrivals) // 10
    response = model.responses(arrivals, demand.rate, factors)[later:]
    waited = math.nan
    if not limited:
        alone = demand.overhead.response(factors * demand.service_time)[later:]
        waited = float(np.mean(response > alone + 1e-9 * demand.service_time))
    return _told(workers, utilisation, waited, response, percentiles, "simulation")


def _relaxation(demand: Demand, utilisation: float) -> float:
    """Seconds in which the queue forgets where it was: of M/M/c, S / (√c - √a)² (E. A. van Doorn,
    "Conditions for exponential ergodicity and bounds for the decay parameter of a birth-death process",
    Advances in Applied Probability 17, 1985), longer or shorter with the variation.
    """
    busy = demand.load
    gap = math.sqrt(busy / utilisation) - math.sqrt(busy)
    return demand.occupied / gap**2 * (1 + demand.variation**2) / 2


def _approximated(
    demand: Demand, workers: int, utilisation: float, percentiles: Sequence[float]
) -> Prediction:
    variation = demand.variation * demand.service_time / demand.occupied
    queue = MGc(demand.rate, demand.occupied, workers, variation)
    _, factors = _drawn(demand, SIMULATED)
    # A job's wait and its own work have nothing to do with one another: drawn apart, and added.
    draws = np.random.default_rng(SEED + 1).random(len(factors))
    busy = draws < queue.must_wait
    waits = np.zeros(len(factors))
    waits[busy] = -np.log(draws[busy] / queue.must_wait) * queue.mean_wait / queue.must_wait
    response = demand.overhead.response(waits + factors * demand.service_time)
    return _told(workers, utilisation, queue.must_wait, response, percentiles, "approximation")


def _told(
    workers: int,
    utilisation: float,
    must_wait: float,
    response: Floats,
    percentiles: Sequence[float],
    method: Method,
) -> Prediction:
    found = {p: _quantile(response, p) for p in percentiles}
    return Prediction(workers, utilisation, must_wait, float(response.mean()), found, method)


def _exact(demand: Demand, workers: int, utilisation: float, percentiles: Sequence[float]) -> Prediction:
    queue = MDc(demand.rate, demand.occupied, workers)
    overhead, work = demand.overhead, demand.service_time
    # The response is a rising function of the wait, so a percentile of the one is that of the other.
    found = {p: float(overhead.response(np.array([queue.wait_percentile(p) + work]))[0]) for p in percentiles}
    mean = queue.mean_wait + work + overhead.least
    if overhead.poll > FINE * work:
        mean = overhead.accepted + _polls(queue, overhead, work) * overhead.poll + overhead.after
    elif overhead.poll > 0:
        mean += overhead.poll / 2
    return Prediction(workers, utilisation, queue.must_wait, mean, found, "exact")


def _polls(queue: MDc, overhead: Overhead, work: float) -> float:
    """Polls that a job takes on average: E[N] = Σ P(N > n); far out each is rarer than the one before by a
    constant factor, so the rest is a geometric series.
    """
    ready = work + overhead.before - overhead.accepted
    polls, n, last, beyond = 1.0, 1, 1.0, 1.0
    while beyond > 1e-4 or n * overhead.poll < ready:
        last, beyond = beyond, queue.waits_longer(n * overhead.poll - ready)
        polls, n = polls + beyond, n + 1
    factor = beyond / last
    return polls + (beyond * factor / (1 - factor) if factor < 1 else 0.0)


def workers_for(demand: Demand, limits: Mapping[str, float]) -> Prediction | None:
    """The fewest workers with which each metric (`mean`, `p95`, …) is at most its limit, in seconds.

    None where no number is enough: the jobs themselves take too long, or the cores are too few.
    """
    if not possible(demand, limits) or demand.model(None).utilisation(demand.rate) >= 1:
        return None
    shares = shares_of(limits)

    def enough(workers: int) -> Prediction | None:
        found = predict(demand, workers, shares)
        return found if all(found.value(metric) <= limit for metric, limit in limits.items()) else None

    few = many = math.floor(demand.load) + 1
    most = max(few, min(MOST, useful(demand)))
    # Steps of the square root of the load: what a large service needs as reserve is of that order (S. Halfin
    # and W. Whitt, "Heavy-traffic limits for queues with many exponential servers", 1981).
    step = max(1, math.isqrt(few))
    while (best := enough(many)) is None:
        if many >= most:
            return None
        few, many, step = many + 1, min(many + step, most), 2 * step
    while few < many:
        middle = (few + many) // 2
        found = enough(middle)
        few, many, best = (few, middle, found) if found is not None else (middle + 1, many, best)
    return best


def useful(demand: Demand) -> int:
    """Workers that all find cores to compute on; with more, each is only slower."""
    left = demand.cores - demand.rate * demand.overhead.cpu
    if math.isinf(left) or demand.cpu_time <= 0:
        return MOST
    return min(MOST, math.ceil(left * demand.service_time / demand.cpu_time))


def possible(demand: Demand, limits: Mapping[str, float]) -> bool:
    """Whether the limits are met where nobody ever waits."""
    work = np.full(1, 1.0) if demand.variation == 0 else _drawn(demand, SIMULATED)[1]
    times = demand.overhead.response(work * demand.service_time)
    alone = {m: float(times.mean()) if m == "mean" else _quantile(times, share_of(m)) for m in limits}
    return all(alone[metric] <= limit for metric, limit in limits.items())


def _quantile(times: Floats, p: float) -> float:
    return float(np.quantile(times, p, method="inverted_cdf"))


def _drawn(demand: Demand, count: int) -> tuple[Floats, Floats]:
    """Arrivals, and gamma-distributed sizes with mean 1, the same for every number of workers."""
    random = np.random.default_rng(SEED)
    arrivals = np.cumsum(random.exponential(1 / demand.rate, count))
    if demand.variation == 0:
        return arrivals, np.ones(count)
    shape = 1 / demand.variation**2
    return arrivals, random.gamma(shape, 1 / shape, count)
