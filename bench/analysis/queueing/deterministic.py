"""One queue in order of arrival before c alike servers, every job the same work (M/D/c): exact."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.analysis.queueing.queue import Queue
from bench.analysis.tables import Floats

BEYOND = 1e-14
"""Probability of longer queues than are reckoned with."""
NEARLY_FULL = 1e-5
"""Within this of full load a job waits for tens of thousands of service times, and the chain has millions of
states: that is taken for a wait without end."""


@dataclass(frozen=True)
class MDc(Queue):
    """Constant service times (M/D/c), exact.

    Looked at every S seconds, the number of jobs in the system is a Markov chain, for all that were
    served then are gone: n' = max(n - c, 0) + Poisson(λ·S). From its stationary distribution follow the
    mean wait, by Little's law, and the distribution of the wait. Sources: C. D. Crommelin, "Delay
    probability formulae when the holding times are constant", P.O. Electrical Engineers' Journal 25,
    1932, for the generating function and its roots; G. J. Franx, "A simple solution for the M/D/c
    waiting time distribution", Operations Research Letters 29, 2001.
    """

    @property
    def _full(self) -> bool:
        return self.utilisation >= 1 - NEARLY_FULL

    @property
    def must_wait(self) -> float:
        """Share of arrivals that find all servers busy."""
        if self._full:
            return 1.0
        return 1 - float(self._in_system[: self.servers].sum())

    @property
    def mean_wait(self) -> float:
        """Mean seconds in the queue; infinite at full load."""
        if self._full:
            return math.inf
        if self.rate == 0:
            return 0.0
        queue = np.arange(len(self._waiting))
        return float(queue @ self._waiting) / self.rate

    def waits_longer(self, seconds: float) -> float:
        """P(W > t), by Franx' formula: a finite sum of positive terms."""
        if self._full or seconds < 0:
            return 1.0
        periods = math.floor(seconds / self.service_time) + 1
        left = self.rate * (periods * self.service_time - seconds)
        most = periods * self.servers - 1
        queue = np.minimum(np.arange(most, -1, -1), len(self._at_most) - 1)
        return max(0.0, 1 - float(_poisson(left, most) @ self._at_most[queue]))

    def wait_percentile(self, p: float) -> float:
        """Seconds that the share p of the arrivals does not wait longer than; infinite at full load."""
        if self._full:
            return math.inf
        if self.waits_longer(0.0) <= 1 - p:
            return 0.0
        high = self.service_time
        while self.waits_longer(high) > 1 - p:
            high *= 2
        low = 0.0
        while high - low > 1e-9 * self.service_time:
            middle = (low + high) / 2
            low, high = (middle, high) if self.waits_longer(middle) > 1 - p else (low, middle)
        return high

    @cached_property
    def _in_system(self) -> Floats:
        """Stationary probability of 0, 1, 2, … jobs in the system: a Fourier inversion of the generating
        function

        P(z) = (c - a)·(z - 1)·Π (z - z_k)/(1 - z_k) / (z^c·exp(a·(1 - z)) - 1), z_k its c - 1 zeros in
        the unit disk.
        """
        load, servers = self.load, self.servers
        size = _states(load, servers)
        z = np.exp(2j * np.pi * np.arange(1, size) / size)
        # By logarithms, and with numerator and denominator over the power: with many servers each is beyond
        # a double's range while their quotient is a probability.
        power = servers * np.log(z) + load * (1 - z)
        factor = sum((np.log((z - zero) / (1 - zero)) for zero in _zeros(load, servers)), -power)
        value = (servers - load) * (z - 1) * np.exp(factor) / (1 - np.exp(-power))
        found = np.fft.fft(np.concatenate(([1.0], value))).real / size
        probabilities: Floats = np.maximum(found, 0.0)
        return probabilities

    @cached_property
    def _waiting(self) -> Floats:
        """Stationary probability of 0, 1, 2, … jobs in the queue."""
        states = self._in_system
        return np.concatenate(([states[: self.servers + 1].sum()], states[self.servers + 1 :]))

    @cached_property
    def _at_most(self) -> Floats:
        """Stationary probability of at most 0, 1, 2, … jobs in the queue."""
        return np.cumsum(self._waiting)


def _zeros(load: float, servers: int) -> "np.ndarray[tuple[int], np.dtype[np.complex128]]":
    """Solutions of z^c = exp(a·(z - 1)) in the unit disk, apart from 1: of z = w·exp(ρ·(z - 1)), w^c = 1."""
    unity = np.exp(2j * np.pi * np.arange(1, servers) / servers)
    share = load / servers
    zeros = np.zeros(servers - 1, dtype=complex)
    for _ in range(200):  # Newton: a handful is enough
        image = unity * np.exp(share * (zeros - 1))
        step = (zeros - image) / (1 - share * image)
        zeros = zeros - step
        if not len(step) or np.abs(step).max() < 1e-15:
            break
    return zeros


def _states(load: float, servers: int) -> int:
    """How many states to reckon with: far out each is rarer than the one before by a constant factor σ > 1,

    c·ln σ = a·(σ - 1).
    """
    low, high = 1.0 + 1e-12, 2.0
    if load == 0:
        return 2 * servers + 2
    while servers * math.log(high) > load * (high - 1):
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if servers * math.log(middle) > load * (middle - 1) else (low, middle)
    needed = servers + load - math.log(BEYOND) / math.log(low)
    return 1 << math.ceil(math.log2(needed + 2))


def _poisson(mean: float, most: int) -> Floats:
    """Probabilities of 0 to `most` events."""
    n = np.arange(most + 1)
    if mean <= 0:
        return np.where(n == 0, 1.0, 0.0)
    factorial = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, most + 1)))))
    probabilities: Floats = np.exp(n * math.log(mean) - mean - factorial)
    return probabilities
