"""How jobs and records look as fields of a hash."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from queued.compact import compact
from queued.job import Job, Record, State
from queued.problem import Problem

JOB = ("task", "input", "created", "request_id", "queue", "deadline", "callback", "owner")
"""What is known of a job from the start."""
RECORD = (
    "state", "task", "input", "created", "started", "finished", "run", "problem", "queue", "attempt", "owner",
    "deadline", "progress", "note",
)  # fmt: skip

RESULT = (*RECORD, "output")
"""What is told with a job's end."""


def of_job(job: Job) -> list[str | float]:
    """Names and values by turns; "" for what it has not."""
    values = (
        job.task,
        compact(job.input),
        repr(job.created),
        job.request_id or "",
        job.queue,
        "" if job.deadline is None else repr(job.deadline),
        job.callback or "",
        job.owner or "",
    )
    return [part for pair in zip(JOB, values, strict=True) for part in pair]


def to_job(values: Sequence[Any]) -> Job:
    """Invert it: the id, then the values alone."""
    job_id, task, given, created, request_id, queue, deadline, callback, owner = values
    return Job(
        id=job_id.decode(),
        task=task.decode(),
        input=json.loads(given),
        created=float(created),
        request_id=_text(request_id),
        queue=_text(queue) or "",
        deadline=number(deadline),
        callback=_text(callback),
        owner=_text(owner),
    )


def to_record(job_id: str, values: Sequence[Any]) -> Record:
    """Read what the script `read` gives."""
    state, task, given, created, started, finished, run, problem, queue, attempt, owner, deadline = values[
        :12
    ]
    progress, note, ahead, wait, service_time, elapsed = values[12:]
    running = state == b"running"
    return Record(
        id=job_id,
        state=State(state.decode()),
        task=task.decode(),
        input=given,
        created=float(created),
        started=number(started),
        finished=number(finished),
        run=number(run),
        problem=None if problem is None else Problem.from_json(json.loads(problem)),
        queue=_text(queue) or "",
        attempt=int(attempt or 0),
        owner=_text(owner),
        deadline=number(deadline),
        progress=number(progress) if running else None,
        note=_text(note) if running else None,
        ahead=ahead,
        expected_wait=number(wait),
        service_time=number(service_time),
        elapsed=number(elapsed),
    )


def to_result(job_id: str, told: bytes) -> tuple[Record, bytes]:
    """Read what the scripts tell with a job's end. Raises ValueError where it is no text."""
    *values, output = (value.encode() if value else None for value in json.loads(told))
    return to_record(job_id, [*values, None, None, None, None]), output or b"null"


def number(value: bytes | None) -> float | None:
    """Return a number that may be missing."""
    return float(value) if value else None


def hashed(owner: str | None, key: str) -> str:
    """Return the name that an Idempotency-Key goes by: of one length, and each owner's own."""
    return hashlib.sha256(f"{owner or ''}\0{key}".encode(errors="surrogatepass")).hexdigest()


def _text(value: bytes | None) -> str | None:
    return value.decode() if value else None
