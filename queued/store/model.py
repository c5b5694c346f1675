"""What the store takes and gives, apart from what workers know too (`queued.job`)."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from queued.job import Job, Record, State
from queued.store import fields


@dataclass(frozen=True)
class NewJob:
    """One submission."""

    job: Job
    key: str | None = None
    """The client's Idempotency-Key; keys of different owners never meet."""
    fingerprint: str = ""
    """What was submitted, in short: the same key with another one is a conflict."""
    listener: str = ""
    """Who hears of its end without following it: see `Store.listen`."""


@dataclass(frozen=True)
class Admission:
    """What became of one submission."""

    accepted: bool
    """False: a conflict, or it would wait too long, or too many wait: nothing was written."""
    job_id: str
    """The new job's, or that of the first submission with the same key."""
    replayed: bool
    """The same key and fingerprint were seen before. The job is published again, for its first message may
    never have been sent; its record keeps the second from counting."""
    conflict: bool
    """The same key came with another fingerprint before."""
    expected_wait: float | None
    """Seconds until it is begun; None: unknown, because no worker is there or none has ended a job yet."""
    ahead: int
    """Jobs before it in its queue."""


@dataclass(frozen=True)
class Load:
    """How busy a queue is."""

    waiting: int
    running: int
    due: int
    """Jobs that wait for their next attempt."""
    workers: int
    slots: int
    """Jobs that these workers do at the same time."""
    service_time: float | None
    """Seconds a job takes, a running mean; None: none has ended yet."""
    oldest: float | None
    """Seconds that the job has waited in the queue that waits longest; None: none waits."""
    counters: Mapping[str, int]
    """Events since the store was emptied, by name: see `COUNTERS`."""
    expected_wait: float | None = None
    """Seconds that a job submitted now would wait; None: nobody knows."""


COUNTERS = (
    "accepted",
    "replayed",
    "rejected",  # by admission
    "refused",  # the broker did not take it
    "begun",
    "done",
    "failed",
    "retried",
    "dead",  # failed, and to the dead letters
    "cancelled",
    "expired",
    "lost",  # an attempt's worker was lost
    "returned",  # given back
    "requeued",  # published again by the keeper
    "revived",
)
"""What `Load.counters` counts. One that never happened is 0."""


@dataclass(frozen=True)
class Hook:
    """A webhook that is to be sent."""

    job_id: str
    url: str
    state: State
    """The final one."""
    task: str
    created: float
    """Unix time in seconds."""
    finished: float
    """Unix time in seconds."""
    tries: int
    """How often it was tried in vain."""


@dataclass(frozen=True)
class News:
    """A job has changed."""

    job_id: str
    what: str
    """What it is now: a state, or `progress`."""
    told: bytes = b""
    """What was said of one that has ended, for `result`."""

    @cached_property
    def result(self) -> tuple[Record, bytes] | None:
        """Record and output of one that has ended, where they are small: as `Store.result` gives them."""
        if self.told:
            with suppress(ValueError):  # it is no text, by somebody else's hand: to be read as it is
                return fields.to_result(self.job_id, self.told)
        return None
