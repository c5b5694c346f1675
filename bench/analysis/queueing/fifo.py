"""One queue in order of arrival before c alike servers: a broker with c workers of prefetch 1."""

import math
from dataclasses import dataclass

from bench.analysis.queueing.erlang import erlang_c


@dataclass(frozen=True)
class MMc:
    """Exponential service times (M/M/c), exact.

    Source: Cooper, Introduction to Queueing Theory, 2nd ed., 1981, chapter 3.
    """

    rate: float
    """λ, arrivals per second."""
    service_time: float
    """S, seconds, the mean."""
    servers: int

    @property
    def utilisation(self) -> float:
        """ρ = λ·S / c; there is a steady state below 1 only."""
        return self.rate * self.service_time / self.servers

    @property
    def must_wait(self) -> float:
        """Share of arrivals that find all servers busy."""
        return erlang_c(self.servers, self.rate * self.service_time)

    @property
    def mean_wait(self) -> float:
        """Mean seconds in the queue; infinite from ρ = 1 on."""
        return self.must_wait / self._drain if self.utilisation < 1 else math.inf

    @property
    def mean_response(self) -> float:
        """Mean seconds from arrival to end."""
        return self.mean_wait + self.service_time

    @property
    def mean_in_system(self) -> float:
        """Mean jobs waiting and served, by Little's law."""
        return self.rate * self.mean_response

    def waits_longer(self, seconds: float) -> float:
        """P(W > t) = C·exp(-(c/S - λ)·t)."""
        if self.utilisation >= 1:
            return 1.0
        return self.must_wait * math.exp(-self._drain * max(0.0, seconds)) if seconds >= 0 else 1.0

    def wait_percentile(self, p: float) -> float:
        """Seconds that the share p of the arrivals does not wait longer than; infinite from ρ = 1 on."""
        if self.utilisation >= 1:
            return math.inf
        beyond = self.must_wait / (1 - p)
        return math.log(beyond) / self._drain if beyond > 1 else 0.0

    @property
    def _drain(self) -> float:
        return self.servers / self.service_time - self.rate


@dataclass(frozen=True)
class MGc:
    """Service times of any kind (M/G/c), by the Allen-Cunneen approximation.

    W(M/G/c) ≈ W(M/M/c)·(1 + v²)/2, v the coefficient of variation of the service times; exact for c = 1
    (Pollaczek-Khinchine) and for v = 1. Who waits is taken to wait exponentially long, with that mean.
    Source: A. O. Allen, Probability, Statistics, and Queueing Theory, 2nd ed., 1990; how
    good it is: W. Whitt, "Approximations for the GI/G/m queue", Production and Operations Management
    2(2), 1993.
    """

    rate: float
    service_time: float
    servers: int
    variation: float
    """v = standard deviation over mean of the service times; 0: all alike, 1: as if exponential."""

    @property
    def utilisation(self) -> float:
        """ρ = λ·S / c."""
        return self.rate * self.service_time / self.servers

    @property
    def must_wait(self) -> float:
        """Share of arrivals that wait, as with exponential times."""
        return erlang_c(self.servers, self.rate * self.service_time)

    @property
    def mean_wait(self) -> float:
        """Mean seconds in the queue; infinite from ρ = 1 on."""
        exponential = MMc(self.rate, self.service_time, self.servers).mean_wait
        return exponential * (1 + self.variation**2) / 2

    @property
    def mean_response(self) -> float:
        """Mean seconds from arrival to end."""
        return self.mean_wait + self.service_time

    def wait_percentile(self, p: float) -> float:
        """Seconds that the share p of the arrivals does not wait longer than; infinite from ρ = 1 on."""
        beyond = self.must_wait / (1 - p)
        if self.utilisation >= 1:
            return math.inf
        return math.log(beyond) * self.mean_wait / self.must_wait if beyond > 1 else 0.0
