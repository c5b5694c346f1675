"""A queue job by job, where no formula is exact or the load is beyond what can be run: any arrivals, any
work."""

import heapq

import numpy as np

from bench.analysis.tables import Floats


def fifo_starts(arrivals: Floats, service_times: Floats, servers: int) -> Floats:
    """When each job begins, in order of arrival, with so many alike servers. All in seconds.

    With one server Lindley's recursion (D. V. Lindley, "The theory of queues with a single server",
    1952), with more that of J. Kiefer and J. Wolfowitz ("On the theory of queues with many servers",
    1955): whoever is first in the queue goes to the server that is free first. Raises ValueError for no
    server, arrivals out of order, or lists of different length.
    """
    if servers < 1:
        raise ValueError(f"a queue takes a server at least, not {servers}")
    check_jobs(arrivals, service_times)
    if servers == 1:
        # start_i = max(arrival_i, start_(i-1) + S_(i-1)): a running maximum, less the work before it
        done_before = np.concatenate(([0.0], np.cumsum(service_times)[:-1]))
        return np.asarray(np.maximum.accumulate(arrivals - done_before) + done_before, dtype=float)
    if len(arrivals) and np.all(service_times == service_times[0]):
        return _alike(arrivals, float(service_times[0]), servers)
    free = [-np.inf] * servers
    starts = np.empty(len(arrivals))
    for i, (arrival, service_time) in enumerate(zip(arrivals.tolist(), service_times.tolist(), strict=True)):
        start = max(arrival, free[0])
        heapq.heapreplace(free, start + service_time)
        starts[i] = start
    return starts


def _alike(arrivals: Floats, service_time: float, servers: int) -> Floats:
    """Jobs that all take the same time end in the order in which they came, so that the servers take turns:
    each is a queue of its own, and all are reckoned at once.
    """
    rounds = -(-len(arrivals) // servers)
    turns = np.full(rounds * servers, np.inf)
    turns[: len(arrivals)] = arrivals
    done_before = np.arange(rounds)[:, None] * service_time
    starts = np.maximum.accumulate(turns.reshape(rounds, servers) - done_before, axis=0) + done_before
    return np.asarray(starts.ravel()[: len(arrivals)], dtype=float)


def check_jobs(arrivals: Floats, times: Floats) -> None:
    """Raise ValueError for arrivals out of order, or lists of different length."""
    if len(arrivals) != len(times):
        raise ValueError(f"{len(arrivals)} arrivals and {len(times)} service times do not match")
    if np.any(np.diff(arrivals) < 0):
        raise ValueError("arrivals must be in order")
