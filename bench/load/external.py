"""Measures the service time of a service that already runs: one job at a time, through its URL."""

import time
import uuid
from math import nan
from statistics import median
from typing import Any

import gevent

from bench.load.clients import Job, Manner, RequestKind, client_for
from bench.load.clock import Clock
from bench.load.errors import LoadError
from bench.load.exchange import Answer, Connection, origin_of
from bench.load.faces import find_face
from bench.load.verifier import Verifier
from bench.plan import Calibration

POLL = 0.05
"""Seconds between polls while measuring: finer than under load, where S is the question."""
PATIENCE = 600.0
"""Seconds to wait for one job of an idle service before giving up."""
MAX_REPEATS = 20


def measure_url(url: str, task: str, value: Any, budget: float) -> Calibration:
    """Send jobs one after another for `budget` seconds, one at least, and take their median response time.

    That is S as a user of the idle service sees it, gateway and network included; its CPU part is not known
    and given as 0. Raises LoadError when the service does not answer or does not do the job.
    """
    origin = origin_of(url)
    client = client_for(find_face(origin))
    clock = Clock()
    manner = Manner(value, PATIENCE, POLL, Verifier(task, value))
    samples: list[float] = []
    began = time.monotonic()
    while not samples or (time.monotonic() - began < budget and len(samples) < MAX_REPEATS):
        ask = _Plain(Connection(origin, clock))
        job = Job(f"probe-{uuid.uuid4().hex}", "warmup", clock.now())
        try:
            outcome = client(job, ask, manner)
        finally:
            ask.connection.close()
        if outcome != "ok":
            raise LoadError(f"{url} does not do the job: {outcome}{': ' + job.error if job.error else ''}")
        samples.append(ask.last.done - ask.first.sent)
    return Calibration(
        task, median(samples), 0.0, len(samples), holds_gil=False, two_threads_ratio=nan, samples=samples
    )


class _Plain:
    """A `bench.load.clients.Ask` that keeps the first and the last answer and nothing else."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.first = self.last = Answer(nan, nan)

    def __call__(
        self,
        kind: RequestKind,  # noqa: ARG002 - part of the protocol; nothing is recorded here
        method: str,
        path: str,
        name: str,  # noqa: ARG002 - likewise
        body: bytes = b"",
    ) -> Answer:
        """Send one request."""
        started = self.last.sent == self.last.sent  # not NaN
        self.last = self.connection.exchange(
            method, path, PATIENCE, body, {"X-Request-ID": "probe-calibration"}
        )
        if not started:
            self.first = self.last
        return self.last

    def pause(self, seconds: float) -> None:
        """Wait between polls."""
        gevent.sleep(seconds)
