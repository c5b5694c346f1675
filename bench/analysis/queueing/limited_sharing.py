"""Workers that share fewer cores than they are: a box of 1.5 vCPU with two workers, or one with a thread for
each request, job by job.

Jobs wait in order of arrival for one of a number of slots (workers, processes, threads). Whoever has a slot
first pauses, as a job does that asks another service, and then computes; those that compute share the cores
equally, none of them faster than one core. It is the limited processor sharing queue of J. Zhang, J. G. Dai
and B. Zwart, "Law of large number limits of limited processor-sharing queues", Mathematics of Operations
Research 34(4), 2009, and "Diffusion limits of limited processor sharing queues", Annals of Applied
Probability 21(2), 2011; here for any arrivals and any work, where they have limits. Its borders are known
queues: as many cores as slots is G/G/c in order of arrival, slots without end are processor sharing.
"""

import math
from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np

from bench.analysis.queueing.simulation import check_jobs, fifo_starts
from bench.analysis.tables import Floats


@dataclass(frozen=True)
class Service:
    """What serves the jobs."""

    slots: int | None
    """Jobs that are worked on at once; None: all that are there."""
    cores: float
    """What those that compute share."""

    @property
    def enough_cores(self) -> bool:
        """Whether every slot has a core of its own, so that nothing is shared."""
        return self.slots is not None and self.cores >= self.slots


@dataclass(frozen=True)
class Served:
    """When each job began and ended, in seconds, in order of arrival."""

    starts: Floats
    ends: Floats


def serve(arrivals: Floats, computing: Floats, pausing: Floats, service: Service) -> Served:
    """Serve jobs in order of arrival. `arrivals` are instants, `computing` seconds of one core and `pausing`
    seconds without one, of each job.

    All that compute run at the same speed, so what each has had grows alike: a job ends when the work that
    one job was given since the beginning (`given`) reaches what it was when the job began computing, and its
    own. So each job is one entry in a heap, and is not looked at in between.

    Raises ValueError for no slot, no core, arrivals out of order, or lists of different length.
    """
    check_jobs(arrivals, computing)
    check_jobs(arrivals, pausing)
    if service.slots is not None and service.slots < 1:
        raise ValueError(f"a service takes a slot at least, not {service.slots}")
    if not service.cores > 0:
        raise ValueError(f"a service takes some core at least, not {service.cores}")
    if service.slots is not None and (service.enough_cores or not np.any(computing)):
        starts = fifo_starts(arrivals, computing + pausing, service.slots)
        return Served(starts, starts + computing + pausing)
    return _shared(arrivals.tolist(), computing.tolist(), pausing.tolist(), service)


def _shared(  # noqa: PLR0912 - one loop over events, without a call in it: a hundred thousand jobs
    arrivals: list[float], computing: list[float], pausing: list[float], service: Service
) -> Served:
    count, cores = len(arrivals), service.cores
    free = count if service.slots is None else service.slots
    starts, ends = [math.nan] * count, [math.nan] * count
    waiting: deque[int] = deque()
    pauses: list[tuple[float, int]] = []
    running: list[tuple[float, int]] = []
    now, given, speed, arrived = 0.0, 0.0, 1.0, 0
    next_arrival = arrivals[0] if count else math.inf
    next_pause = next_end = math.inf
    while True:
        if next_end <= next_arrival and next_end <= next_pause:
            if next_end == math.inf:
                return Served(np.array(starts), np.array(ends))
            now = next_end
            given, job = heappop(running)
            ends[job] = now
            if waiting:
                job = waiting.popleft()
            else:
                job = -1
                free += 1
        elif next_arrival <= next_pause:
            given += (next_arrival - now) * speed
            now = next_arrival
            job = arrived
            arrived += 1
            next_arrival = arrivals[arrived] if arrived < count else math.inf
            if free:
                free -= 1
            else:
                waiting.append(job)
                continue
        else:
            given += (next_pause - now) * speed
            now = next_pause
            _, job = heappop(pauses)
            next_pause = pauses[0][0] if pauses else math.inf
            heappush(running, (given + computing[job], job))
            job = -1
        if job >= 0:
            starts[job] = now
            if pausing[job] > 0:
                heappush(pauses, (now + pausing[job], job))
                next_pause = pauses[0][0]
            else:
                heappush(running, (given + computing[job], job))
        if running:
            speed = cores / len(running) if len(running) > cores else 1.0
            next_end = now + (running[0][0] - given) / speed
        else:
            given, next_end = 0.0, math.inf
