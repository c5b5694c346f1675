"""Measures a service that already runs: one job at a time, through its URL.

`python -m bench.load.measure` takes {"url", "task", "input", "budget"} on standard input and prints a
`bench.plan.Calibration`; `bench.load.external` calls it.
"""

import json
import sys
import time
import uuid
from dataclasses import asdict
from math import isnan, nan
from statistics import median
from typing import Any

import gevent

from bench.load.answers import Answer
from bench.load.clients import Job, Manner, RequestKind, client_for
from bench.load.clock import Clock
from bench.load.errors import LoadError
from bench.load.exchange import Connection, origin_of
from bench.load.faces import find_face
from bench.load.verifier import Verifier
from bench.plan import Calibration

POLL = 0.05
"""Seconds between polls while measuring: finer than under load, where S is the question."""
PATIENCE = 600.0
"""Seconds to wait for one job of an idle service before giving up."""
MAX_REPEATS = 20


def measure(url: str, task: str, value: Any, budget: float) -> Calibration:
    """See `bench.load.external.measure_url`."""
    origin = origin_of(url)
    client = client_for(find_face(origin))
    clock = Clock()
    manner = Manner(value, PATIENCE, POLL, Verifier(task, value), origin.prefix)
    samples: list[float] = []
    began = time.monotonic()
    while not samples or (time.monotonic() - began < budget and len(samples) < MAX_REPEATS):
        job = Job(f"probe-{uuid.uuid4().hex}", "warmup", clock.now())
        ask = _Plain(job, Connection(origin, clock))
        try:
            with gevent.Timeout(PATIENCE):
                outcome = client(job, ask, manner)
        except gevent.Timeout:
            last = f"the last answer was {job.status}" if job.status else job.error or "no answer came"
            raise LoadError(f"{url} gave no result within {PATIENCE:g} s; {last}") from None
        finally:
            ask.connection.close()
        if outcome != "ok":
            raise LoadError(f"{url} does not do the job: {outcome}{': ' + job.error if job.error else ''}")
        samples.append(job.done - job.arrival if isnan(job.run) else job.run)
    return Calibration(
        task, median(samples), 0.0, len(samples), holds_gil=False, two_threads_ratio=nan, samples=samples
    )


class _Plain:
    """A `bench.load.clients.Ask` that records nothing."""

    def __init__(self, job: Job, connection: Connection) -> None:
        self.job = job
        self.connection = connection

    def __call__(
        self,
        kind: RequestKind,  # noqa: ARG002 - part of the protocol
        method: str,
        path: str,
        name: str,  # noqa: ARG002 - likewise
        body: bytes = b"",
    ) -> Answer:
        """Send one request."""
        answer = self.connection.exchange(method, path, PATIENCE, body, {"X-Request-ID": self.job.id})
        self.job.done, self.job.status = answer.done, answer.status
        return answer

    def pause(self, seconds: float) -> None:
        """Wait between polls."""
        gevent.sleep(seconds)


def main() -> None:
    """Entry point."""
    asked = json.load(sys.stdin)
    try:
        found = measure(asked["url"], asked["task"], asked["input"], asked["budget"])
    except LoadError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the harness reads it
        sys.exit(1)
    print(json.dumps(asdict(found)))  # noqa: T201 - likewise


if __name__ == "__main__":
    main()
