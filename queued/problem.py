"""Errors as clients get them: problem details (RFC 9457)."""

from dataclasses import dataclass
from typing import Any

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Problem:
    """What went wrong, for a client. Never holds a traceback or a secret."""

    status: int
    """HTTP status that it is answered with."""
    kind: str
    """Stable name for programs, e.g. `job-failed`."""
    title: str
    """The same for every problem of this kind."""
    detail: str
    """What happened this time, in one line."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, as RFC 9457 names them."""
        return {
            "type": f"urn:queued:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }

    @staticmethod
    def from_json(data: Any) -> "Problem":
        """Invert `to_json`. Raises ValueError when the data is no problem of ours."""
        match data:
            case {"type": str(kind), "title": str(title), "status": int(status), "detail": str(detail)} if (
                status in range(400, 600)  # anything else can't be answered, or would not say that it failed
            ):
                return Problem(status, kind.removeprefix("urn:queued:"), title, detail)
        raise ValueError("not problem details with type, title, status and detail")


def job_failed(detail: str) -> Problem:
    """The task raised, or gave something that can't be sent."""
    return Problem(500, "job-failed", "The job failed", detail)


def attempt_died(detail: str) -> Problem:
    """The process that ran the job died under it."""
    return Problem(500, "attempt-died", "The process that ran the job died", detail)


def not_enqueued(detail: str) -> Problem:
    """The broker did not confirm the job in time, so it was not accepted."""
    return Problem(503, "not-enqueued", "The job could not be queued", detail)


def unavailable(detail: str) -> Problem:
    """A part that this answer needs can't be reached now."""
    return Problem(503, "unavailable", "Temporarily unavailable", detail)


def invalid_input(detail: str) -> Problem:
    """The client sent something that this service does not take."""
    return Problem(400, "invalid-input", "The input is not valid", detail)


def unauthorized(detail: str) -> Problem:
    """The client did not show what this route asks for."""
    return Problem(401, "unauthorized", "Unauthorized", detail)


def key_reused(detail: str) -> Problem:
    """An Idempotency-Key that was used before, for another input."""
    return Problem(422, "key-reused", "The Idempotency-Key was used for another submission", detail)


def too_long_a_wait(detail: str) -> Problem:
    """The job would wait longer than this service lets one wait."""
    return Problem(429, "too-long-a-wait", "The wait would be too long", detail)


def queue_full(detail: str) -> Problem:
    """As many jobs wait as may."""
    return Problem(429, "queue-full", "The queue is full", detail)


def too_many_requests(detail: str) -> Problem:
    """This client has submitted more than its share."""
    return Problem(429, "too-many-requests", "Too many requests", detail)


def too_many_waiters(detail: str) -> Problem:
    """As many clients wait by push as this process takes."""
    return Problem(503, "too-many-waiters", "Too many clients wait", detail)


def not_finished(detail: str) -> Problem:
    """The result was asked for, and there is none yet."""
    return Problem(409, "not-finished", "The job is not finished", detail)


def ended_without_result(state: str, stored: Problem | None) -> Problem:
    """Tell why an ended job has no result: its own problem if it failed, else cancelled or too late.

    `stored` may be an earlier attempt's where the job did not end by failing.
    """
    if state == "failed" and stored is not None:
        return stored
    return Problem(410, f"job-{state}", f"The job is {state}", "it has no result")
