"""One job's requests: sent over a connection of its own, recorded, and shown in Locust's table."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

import gevent

from bench.load.answers import Answer
from bench.load.assignment import Assignment
from bench.load.clients import Job, RequestKind
from bench.load.clock import Clock
from bench.load.exchange import Connection, Origin
from bench.load.recorder import Recorder
from bench.load.verifier import Verifier

Report = Callable[[str, str, float, int, str], None]
"""(type, name, response time in seconds, bytes, failure or empty): a line for Locust's table."""


@dataclass(frozen=True)
class Setting:
    """What a session works with."""

    assignment: Assignment
    origin: Origin
    recorder: Recorder
    verifier: Verifier
    report: Report
    clock: Clock = field(default_factory=Clock)


class Asking:
    """A job's requests over its own connection: the `Ask` of `bench.load.clients`."""

    def __init__(self, job: Job, setting: Setting, limit: float, attempt_limit: float = inf) -> None:
        """`limit`: seconds for any answer; `attempt_limit`: for the answer to a submission, where shorter."""
        self._job = job
        self._setting = setting
        self._limit = limit
        self._attempt_limit = min(limit, attempt_limit)
        self._connection = Connection(setting.origin, setting.clock)

    def __call__(self, kind: RequestKind, method: str, path: str, name: str, body: bytes = b"") -> Answer:
        """Send, record, and note in the job what it saw. Also a request that is cut off is recorded."""
        job, began = self._job, self._setting.clock.now()
        headers, limit = {"X-Request-ID": job.attempt_id}, self._limit
        if kind in ("run", "submit"):
            limit = self._attempt_limit
            if job.attempts <= 1:
                job.sent = began
            if self._setting.assignment.retry.policy != "none" and kind == "submit":
                headers["Idempotency-Key"] = job.id  # draft-ietf-httpapi-idempotency-key-header
            self._connection.close()  # over a kept one a lost GET would be sent again, and start a second job
        if kind == "poll":
            job.polls += 1
        try:
            answer = self._connection.exchange(method, path, limit, body, headers)
        except BaseException:
            self._setting.recorder.request(
                job.id, kind, began, self._setting.clock.now() - began, 0, 0, "cut off"
            )
            raise
        job.done, job.status = answer.done, answer.status
        took = answer.done - answer.sent
        self._setting.recorder.request(
            job.id, kind, answer.sent, took, answer.status, len(answer.body), answer.error
        )
        failure = answer.error or (f"HTTP {answer.status}" if answer.status >= 400 else "")
        self._setting.report(method, name, took, len(answer.body), failure)
        return answer

    def pause(self, seconds: float) -> None:
        """Wait between two requests."""
        gevent.sleep(seconds)

    def close(self) -> None:
        """Leave the connection."""
        self._connection.close()
