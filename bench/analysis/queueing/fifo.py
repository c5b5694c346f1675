"""Queues whose waits are exponential: exactly (M/M/c), or nearly (M/G/c)."""

import math
from dataclasses import dataclass

from bench.analysis.queueing.erlang import erlang_c
from bench.analysis.queueing.queue import Queue


@dataclass(frozen=True)
class MMc(Queue):
    """Exponential service times (M/M/c), exact.

    Source: Cooper, Introduction to Queueing Theory, 2nd ed., 1981, chapter 3.
    """

    @property
    def must_wait(self) -> float:
        """Erlang's C."""
        return erlang_c(self.servers, self.load)

    @property
    def mean_wait(self) -> float:
        """C / (c/S - λ)."""
        return self.must_wait / self._drain if self.utilisation < 1 else math.inf

    @property
    def mean_in_system(self) -> float:
        """Mean jobs waiting and served, by Little's law."""
        return self.rate * self.mean_response

    def waits_longer(self, seconds: float) -> float:
        """P(W > t) = C·exp(-(c/S - λ)·t)."""
        if self.utilisation >= 1 or seconds < 0:
            return 1.0
        return self.must_wait * math.exp(-self._drain * seconds)

    def wait_percentile(self, p: float) -> float:
        """The inverse of `waits_longer`."""
        if self.utilisation >= 1:
            return math.inf
        beyond = self.must_wait / (1 - p)
        return math.log(beyond) / self._drain if beyond > 1 else 0.0

    @property
    def _drain(self) -> float:
        """Jobs per second by which the queue shrinks while all servers are busy and it is left in peace."""
        return self.servers / self.service_time - self.rate


@dataclass(frozen=True)
class MGc(MMc):
    """Service times of any kind (M/G/c), by the Allen-Cunneen approximation.

    W(M/G/c) ≈ W(M/M/c)·(1 + v²)/2, v the coefficient of variation of the service times; exact for c = 1
    (Pollaczek-Khinchine) and for v = 1. Who waits is taken to wait exponentially long, with that mean.
    Source: A. O. Allen, Probability, Statistics, and Queueing Theory, 2nd ed., 1990; how good it is:
    W. Whitt, "Approximations for the GI/G/m queue", Production and Operations Management 2(2), 1993.
    """

    variation: float
    """v = standard deviation over mean of the service times; 0: all alike, 1: as if exponential."""

    @property
    def _drain(self) -> float:
        return super()._drain * 2 / (1 + self.variation**2)
