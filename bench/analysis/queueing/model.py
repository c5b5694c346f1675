"""A service as queueing theory sees it: slots that share cores, and what every job pays beside."""

import math
from dataclasses import dataclass, field

import numpy as np

from bench.analysis.queueing.limited_sharing import Service, serve
from bench.analysis.tables import Floats


@dataclass(frozen=True)
class Overhead:
    """What every job pays besides waiting and service, seconds."""

    before: float = 0.0
    """From the arrival until a worker could begin, with nobody before it."""
    after: float = 0.0
    """From the end of the work until the client has the result; of one that is polled: from the poll on."""
    accepted: float = 0.0
    """From the arrival until the submission is answered: the client's polls start there."""
    poll: float = 0.0
    """Between two polls; 0: the result is sent as soon as it is there."""
    held: float = 0.0
    """From the end of a job until its worker begins the next one that waits: it is held, and does no work."""
    cpu: float = 0.0
    """CPU seconds of the box that a job costs outside its own work: web, broker, store, polls."""

    @property
    def least(self) -> float:
        """The fixed part of it."""
        return self.before + self.after

    def response(self, served: Floats) -> Floats:
        """Response times, given how long each job waited and was worked on.

        A polled result is seen at the next poll: `poll` seconds apart, the first that long after `accepted`.
        """
        ready = served + self.before
        if not self.poll > 1e-9:  # nobody polls so often: quotients would overflow
            return np.asarray(ready + self.after)
        polls = np.maximum(1.0, np.ceil((ready - self.accepted) / self.poll - 1e-9))
        return np.asarray(self.accepted + polls * self.poll + self.after)


@dataclass(frozen=True)
class Model:
    """Jobs in order of arrival, slots to work on them, cores that the slots share, and the way back."""

    slots: int | None
    """Jobs that are worked on at once: workers, processes; None: all that are there (threads)."""
    cores: float
    """What the slots share; infinite: each has the cores it needs."""
    service_time: float
    """S, seconds that a job takes alone."""
    cpu: float
    """CPU seconds of these; the rest is waiting for others. Above S: the job uses several cores at once."""
    overhead: Overhead = field(default_factory=Overhead)
    most: float = math.inf
    """Cores that all slots together can use: 1 where threads hold Python's lock, whatever the box has."""
    limit: float = math.inf
    """Seconds after which the client is sent away without a result, while the work goes on: a gateway's."""

    def cores_left(self, rate: float) -> float:
        """Cores for the jobs themselves at this rate, after everybody else has had theirs."""
        return min(self.most, self.cores - rate * self.overhead.cpu)

    def utilisation(self, rate: float) -> float:
        """The busier of slots and cores; from 1 on there is no steady state."""
        slots = 0.0 if self.slots is None else rate * (self.service_time + self.overhead.held) / self.slots
        left = self.cores_left(rate)
        cores = rate * self.cpu / left if left > 0 else math.inf
        return max(slots, cores)

    def limited(self, rate: float) -> bool:
        """Whether the cores are ever too few for the slots."""
        needed = math.inf if self.slots is None else self.slots * self.cpu / self.service_time
        return self.cores_left(rate) < needed and self.cpu > 0

    def responses(self, arrivals: Floats, rate: float, factors: Floats | None = None) -> Floats:
        """Response time of each job; infinite for those that were sent away.

        `factors`: each job's size as a multiple of the service time; None: all alike. Raises ValueError where
        nothing is left of the cores.
        """
        # A job on several cores at once is one core's job in a box with so many times fewer.
        width = max(1.0, self.cpu / self.service_time)
        sizes = np.ones(len(arrivals)) if factors is None else factors
        service = Service(self.slots, min(self.cores_left(rate) / width, 1e9))
        cpu, held = min(self.cpu, self.service_time), self.overhead.held if self.slots is not None else 0.0
        # Held first and not last, and taken off again: all that computes is later by it, and nothing else.
        served = serve(arrivals, sizes * cpu, sizes * (self.service_time - cpu) + held, service)
        found = self.overhead.response(served.ends - held - arrivals)
        return np.where(found > self.limit, math.inf, found)
