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
            case {"type": str(kind), "title": str(title), "status": int(status), "detail": str(detail)}:
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
