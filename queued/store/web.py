"""What the web asks of the store."""

import json
from collections.abc import Sequence

from queued.job import Job, Record, State
from queued.problem import Problem
from queued.settings import Settings
from queued.store import fields
from queued.store.client import Client
from queued.store.model import Admission, NewJob

GRAVE = 600.0
"""Seconds for which a message of a job that was deleted is recognised, should it still come: it is not to run
the job once more."""
GROUP = 200
"""Most jobs in one script: Redis does nothing else meanwhile."""


class ForWeb:
    """Submissions, records, results. The methods raise StoreError."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._ttl = milliseconds(settings.result_ttl)
        self._levels = int(settings.priorities)

    def create(self, submissions: Sequence[NewJob]) -> list[Admission]:
        """Record new jobs as queued, unless they would wait too long or were submitted before.

        May be repeated for the same job: it is recorded once.
        """
        settings = self._settings
        longest = "" if settings.max_wait is None else repr(settings.max_wait)
        answers = []
        for start in range(0, len(submissions), GROUP):
            arguments: list[str | float] = []
            for new in submissions[start : start + GROUP]:
                key = "" if new.key is None else fields.hashed(new.job.owner, new.key)
                known = [*fields.of_job(new.job), "key", key, "fingerprint", new.fingerprint]
                known += ["listener", new.listener]
                arguments += (new.job.id, key, *known)
                width = len(known)
            size = sum(len(argument) for argument in arguments if isinstance(argument, str))
            answers += self._client.run(
                "create", settings.max_queued, longest, width, self._levels, *arguments, size=size
            )
        return [
            Admission(
                accepted=bool(accepted),
                job_id=job_id.decode(),
                replayed=bool(replayed),
                conflict=bool(conflict),
                expected_wait=fields.number(wait),
                ahead=ahead,
            )
            for accepted, job_id, replayed, conflict, wait, ahead in answers
        ]

    def refuse(self, job: Job, problem: Problem) -> State:
        """Note that the job was not accepted, and free its Idempotency-Key; gives the state it is in then.

        Anything but FAILED means that it stays: its message got through after all, or it was submitted again
        with its key meanwhile, and whoever did that counts on it.
        """
        told = json.dumps(problem.to_json())
        return State(self._client.run("refuse", job.id, self._ttl, told, *fields.of_job(job)).decode())

    def record(self, job_id: str) -> Record | None:
        """Read what is known of a job, without its output; None: no such job, or it has expired."""
        values = self._client.run("read", job_id, self._levels, *fields.RECORD)
        return None if values is None else fields.to_record(job_id, values)

    def result(self, job_id: str) -> tuple[Record, bytes] | None:
        """As `record`, with the output: JSON text, `null` while there is none."""
        values = self._client.run("read", job_id, self._levels, *fields.RECORD, "output")
        if values is None:
            return None
        output = values.pop(len(fields.RECORD))
        return fields.to_record(job_id, values), output or b"null"

    def fetched(self, job_id: str) -> None:
        """Note that the result was handed out: it is kept for `fetched_ttl` seconds from the first time."""
        if self._settings.fetched_ttl is not None:
            ttl = milliseconds(self._settings.fetched_ttl)
            self._client.run("fetched", job_id, ttl, milliseconds(GRAVE))

    def cancel(self, job_id: str) -> State | None:
        """Cancel a job that has not ended; gives the state it is in then. None: no such job."""
        state = self._client.run("cancel", job_id, self._ttl)
        return State(state.decode()) if state else None

    def delete(self, job_id: str) -> bool:
        """Forget a job that has ended; False: there is none, or it has not ended."""
        return bool(self._client.run("delete", job_id, milliseconds(GRAVE)))


def milliseconds(seconds: float) -> int:
    """Return a duration as Redis takes it: at least one."""
    return max(1, round(seconds * 1000))
