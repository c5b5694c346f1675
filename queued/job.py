"""A job: what travels through the broker, the states it passes and how one may follow another."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from queued.errors import QueuedError
from queued.problem import Problem

FORMAT = 1
"""Version of the message. A worker refuses a later one."""

MAX_OUTPUT = 256 << 20
"""Bytes of the longest output that is stored. (Redis itself takes 512 MiB.)"""


class State(StrEnum):
    """Where a job is. The first final state wins."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


FINAL = frozenset({State.DONE, State.FAILED})

FOLLOWS: Mapping[State, frozenset[State]] = {
    State.QUEUED: frozenset(),
    # running → running: the broker delivers a job again when its worker was lost
    State.RUNNING: frozenset({State.QUEUED, State.RUNNING}),
    # queued → done: a consumer of the post's kind tells of the end only
    State.DONE: frozenset({State.QUEUED, State.RUNNING}),
    State.FAILED: frozenset({State.QUEUED, State.RUNNING}),
}
"""Which states each may follow. The store enforces it atomically."""


class BadMessage(QueuedError):
    """What the broker delivered is not a job that this version can read."""


@dataclass(frozen=True)
class Job:
    """One piece of work, as the message carries it."""

    id: str
    """The server's own and unguessable: who has it may read the result."""
    task: str
    input: Any
    """JSON, as `Task.check` returned it."""
    created: float
    """Unix time in seconds."""
    request_id: str | None = None
    """The client's X-Request-ID, for records and journal; never a key to anything."""

    @property
    def trace(self) -> str:
        """What journal and logs call the job: the client's name for it, else ours."""
        return self.request_id or self.id

    def encode(self) -> bytes:
        """As a message body."""
        body = {
            "v": FORMAT,
            "id": self.id,
            "task": self.task,
            "input": self.input,
            "created": self.created,
            "request_id": self.request_id,
        }
        return json.dumps(body, separators=(",", ":")).encode()

    @staticmethod
    def decode(body: bytes) -> "Job":
        """Invert `encode`. Raises BadMessage with one clear line."""
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            raise BadMessage("the message is not JSON") from None
        match data:
            case {
                "v": int(version),
                "id": str(job_id),
                "task": str(task),
                "input": job_input,
                "created": int(created) | float(created),
                "request_id": None | str() as request_id,
            }:
                if version != FORMAT:
                    raise BadMessage(f"the message has format {version}, and this version reads {FORMAT}")
                return Job(job_id, task, job_input, float(created), request_id)
        raise BadMessage("the message is not a job: a field is missing or of the wrong type")


def new_id() -> str:
    """Return a fresh id with 128 random bits."""
    return secrets.token_hex(16)


@dataclass(frozen=True)
class Done:
    """The job ended well."""

    output: bytes
    """JSON text, ready to be sent: a result of megabytes is encoded once and never decoded on its way."""
    run: float | None
    """Seconds the task took; None where a foreign consumer did not say."""

    state = State.DONE


@dataclass(frozen=True)
class Failed:
    """The job ended, and not well."""

    problem: Problem
    run: float | None = None
    """Seconds the task took; None where it can't be known."""

    state = State.FAILED


Outcome = Done | Failed


@dataclass(frozen=True)
class Record:
    """What the store knows of a job, without its output."""

    id: str
    state: State
    task: str
    input: bytes
    """JSON text."""
    created: float
    """Unix time in seconds, as are the others."""
    started: float | None
    """Of the last attempt."""
    finished: float | None
    run: float | None
    """Seconds the task took."""
    problem: Problem | None

    @property
    def wait(self) -> float | None:
        """Seconds from submission to the start of the last attempt."""
        return None if self.started is None else self.started - self.created
