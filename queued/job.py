"""A job: what travels through the broker, the states it passes and how one may follow another."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn

from queued.compact import compact
from queued.errors import QueuedError
from queued.problem import Problem

FORMAT = 2
"""Version of the message. A worker refuses every other."""

NO_JOB = "the message is not a job: a field is missing, unknown or of the wrong type"

MAX_OUTPUT = 256 << 20
"""Bytes of the longest output that can be stored, whatever the settings say. (Redis itself takes 512 MiB.)"""


class State(StrEnum):
    """Where a job is. The first final state wins."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


FINAL = frozenset({State.DONE, State.FAILED, State.CANCELLED, State.EXPIRED})

FOLLOWS: Mapping[State, frozenset[State]] = {
    # running → queued: a retry, a job that its worker gave back, and one whose worker was lost
    State.QUEUED: frozenset({State.RUNNING}),
    # running → running: delivered again after its worker was lost
    State.RUNNING: frozenset({State.QUEUED, State.RUNNING}),
    # queued → done: a consumer of the post's kind tells of the end only, and what a worker that was thought
    # lost has computed is as good as any
    State.DONE: frozenset({State.QUEUED, State.RUNNING}),
    State.FAILED: frozenset({State.QUEUED, State.RUNNING}),
    State.CANCELLED: frozenset({State.QUEUED, State.RUNNING}),
    # running → expired: its worker was lost, and when it is delivered again it is too late
    State.EXPIRED: frozenset({State.QUEUED, State.RUNNING}),
}
"""Which states each may follow. The store enforces it atomically. Only an operator can do more:
`Store.revive` brings a failed job back.
"""


class Priority(StrEnum):
    """How urgent a job is: one work queue each."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


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
    queue: str = ""
    """Full name of its work queue."""
    deadline: float | None = None
    """Unix time in seconds after which nobody wants the result."""
    callback: str | None = None
    """URL that is told of the end."""
    owner: str | None = None
    """Name of the API key that submitted it."""

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
            "queue": self.queue,
            "deadline": self.deadline,
            "callback": self.callback,
            "owner": self.owner,
        }
        return compact(body).encode()

    @staticmethod
    def decode(body: bytes) -> "Job":
        """Invert `encode`. Raises BadMessage with one clear line."""
        try:
            data = _DECODER.decode(body.decode())
        except (ValueError, RecursionError):
            raise BadMessage("the message is not JSON") from None
        try:
            return Job._read(data)
        except OverflowError:  # a time of hundreds of digits
            raise BadMessage(NO_JOB) from None

    @staticmethod
    def _read(data: Any) -> "Job":
        match data:
            case {"v": int(version)} if version != FORMAT:
                raise BadMessage(f"the message has format {version}, and this version reads {FORMAT}")
            case {
                "v": int(),
                "id": str(job_id),
                "task": str(task),
                "input": job_input,
                "created": int(created) | float(created),
                "request_id": None | str() as request_id,
                "queue": str(queue),
                "deadline": None | int() | float() as deadline,
                "callback": None | str() as callback,
                "owner": None | str() as owner,
                **unknown,
            } if not unknown:
                # What no store and no log could take would fail there again and again.
                texts = (job_id, task, request_id or "", queue, callback or "", owner or "")
                try:
                    "".join(texts).encode()
                    began, due = float(created), None if deadline is None else float(deadline)
                except (UnicodeEncodeError, OverflowError):
                    raise BadMessage("the message holds text or a number that can't be used") from None
                return Job(job_id, task, job_input, began, request_id, queue, due, callback, owner)
        raise BadMessage(NO_JOB)


def new_id() -> str:
    """Return a fresh id with 128 random bits."""
    return secrets.token_hex(16)


@dataclass(frozen=True)
class Done:
    """The attempt ended well."""

    output: bytes
    """JSON text, ready to be sent: a result of megabytes is encoded once and never decoded on its way."""
    run: float | None
    """Seconds the task took; None where a foreign consumer did not say."""

    state = State.DONE


@dataclass(frozen=True)
class Failed:
    """The attempt ended, and not well."""

    problem: Problem
    run: float | None = None
    """Seconds the task took; None where it can't be known."""
    retry: bool = False
    """Another attempt may help: an exception, a crash, a time limit; never an input that is not valid."""

    state = State.FAILED


Outcome = Done | Failed


class Verdict(StrEnum):
    """What a worker is to do with a delivery."""

    RUN = "run"
    """Begun: run it."""
    DROP = "drop"
    """It has ended already, or was cancelled, or is too late: acknowledge."""
    LEASED = "leased"
    """Another attempt lives, or a retry is not due yet: acknowledge. The keeper brings it back in time."""
    BURY = "bury"
    """Its workers were lost too often, or its attempts are used up: reject, to the dead letters."""


@dataclass(frozen=True)
class Begun:
    """What the store says to the beginning of an attempt."""

    verdict: Verdict
    state: State
    attempt: int
    """Number of the attempt that runs now, or that ran last: 1, 2, …"""


class Ending(StrEnum):
    """What became of an outcome that a worker told."""

    FINAL = "final"
    """Stored, or there was a final state before: acknowledge."""
    RETRY = "retry"
    """Queued again, to run later: acknowledge. The keeper publishes it when it is due."""
    BURY = "bury"
    """Attempts used up, and stored as failed: reject, to the dead letters."""
    STALE = "stale"
    """The failure of an attempt that is not the current one; nothing was changed: acknowledge."""


@dataclass(frozen=True)
class Held:
    """An attempt that a worker has in hand."""

    job_id: str
    queue: str
    attempt: int
    progress: float | None = None
    """From 0 to 1; None: the task has not said."""
    note: str | None = None
    """One line of the task's own, for people."""


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
    """Of the last attempt that failed; that of the job once it is failed."""
    queue: str = ""
    attempt: int = 0
    """How often an attempt has begun."""
    owner: str | None = None
    deadline: float | None = None
    progress: float | None = None
    """From 0 to 1, of the attempt that runs; None where none does, as is the note."""
    note: str | None = None
    ahead: int | None = None
    """Jobs before it in its queue; None unless it waits there."""
    expected_wait: float | None = None
    """Seconds until it is begun, as far as can be told; None: not queued, or nobody knows."""
    service_time: float | None = None
    """Seconds that jobs of its queue take, a running mean; None: none has ended yet."""
    elapsed: float | None = None
    """Seconds since the attempt that runs was begun, by the store's clock; None unless running."""

    @property
    def wait(self) -> float | None:
        """Seconds from submission to the start of the last attempt."""
        return None if self.started is None else self.started - self.created


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_number)  # `json.loads` would make one for each message
