"""All jobs at once, in equal shares: a server with a thread for each request."""

import math
from dataclasses import dataclass

from bench.analysis.queueing.fifo import MMc


@dataclass(frozen=True)
class ProcessorSharing:
    """M/G/c processor sharing: up to c jobs run at full speed, more share the c cores equally.

    The number of jobs in the system, and so the mean response time, does not depend on the distribution
    of the service times but by its mean (insensitivity), and is that of M/M/c. One core: S / (1 - ρ).
    Sources: L. Kleinrock, Queueing Systems II, 1976, section 4.4; J. W. Cohen, "The multiple phase
    service network with generalized processor sharing", Acta Informatica 12, 1979, for more than one.
    """

    rate: float
    """λ, arrivals per second."""
    service_time: float
    """S, seconds of one core."""
    cores: int
    """What the threads share: 1 where they hold Python's lock, whatever the machine has."""

    @property
    def utilisation(self) -> float:
        """ρ = λ·S / c; there is a steady state below 1 only."""
        return self.rate * self.service_time / self.cores

    @property
    def mean_response(self) -> float:
        """Mean seconds from arrival to end; infinite from ρ = 1 on."""
        return MMc(self.rate, self.service_time, self.cores).mean_response

    def response_of(self, seconds: float) -> float:
        """Mean response time of a job of this size, on one core: proportional to the size, whatever the
        others are.

        Raises ValueError for more than one core, where it is not.
        """
        if self.cores != 1:
            raise ValueError("the response time of one size is known for one core only")
        return seconds / (1 - self.utilisation) if self.utilisation < 1 else math.inf
