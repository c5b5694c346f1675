"""What all queues before alike servers have in common."""

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True)
class Queue(ABC):
    """One queue in order of arrival before c alike servers: a broker with c workers of prefetch 1."""

    rate: float
    """λ, arrivals per second."""
    service_time: float
    """S, seconds, the mean."""
    servers: int

    @property
    def load(self) -> float:
        """a = λ·S: servers that are busy on average."""
        return self.rate * self.service_time

    @property
    def utilisation(self) -> float:
        """ρ = a / c; there is a steady state below 1 only."""
        return self.load / self.servers

    @property
    @abstractmethod
    def must_wait(self) -> float:
        """Share of arrivals that find all servers busy."""

    @property
    @abstractmethod
    def mean_wait(self) -> float:
        """Mean seconds in the queue; infinite from ρ = 1 on."""

    @property
    def mean_response(self) -> float:
        """Mean seconds from arrival to end."""
        return self.mean_wait + self.service_time

    @abstractmethod
    def waits_longer(self, seconds: float) -> float:
        """Give P(W > t)."""

    @abstractmethod
    def wait_percentile(self, p: float) -> float:
        """Seconds that the share p of the arrivals does not wait longer than; infinite from ρ = 1 on."""
