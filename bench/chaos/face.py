"""How a user speaks to a system: what to send, what the answers mean. Pure."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from bench.chaos.client import Reply, Request

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Seen:
    """What one look at a job showed."""

    state: str
    stamp: float | None = None
    """When it ended, by the service's word."""
    problem: str = ""


@dataclass(frozen=True)
class Given:
    """A result."""

    output: Any
    digest: str


class Face(Protocol):
    """The routes of one sort of system."""

    def submission(self, value: Any, request: str, key: str | None) -> Request:
        """Ask for a job to be done."""

    def accepted(self, reply: Reply) -> str | None:
        """Its id, where the answer means that it was accepted."""

    def look(self, job: str, wait: float) -> Request:
        """Ask how a job is; `wait` > 0: answer when that changes, or after so many seconds."""

    def seen(self, reply: Reply) -> Seen | None:
        """Its state; None where the answer says nothing of it."""

    def fetch(self, job: str) -> Request:
        """Ask for its result."""

    def given(self, reply: Reply) -> Given | None:
        """Its result; None where the answer holds none."""


class JobsFace:
    """`POST /jobs` and what follows."""

    def submission(self, value: Any, request: str, key: str | None) -> Request:
        """See Face."""
        headers = {**JSON, "X-Request-ID": request, **({"Idempotency-Key": key} if key else {})}
        return Request("POST", "/jobs", json.dumps({"input": value}).encode(), headers)

    def accepted(self, reply: Reply) -> str | None:
        """See Face."""
        told = _json(reply) if reply.status in (200, 201, 202) else None
        return str(told["id"]) if isinstance(told, dict) and told.get("id") else None

    def look(self, job: str, wait: float) -> Request:
        """See Face."""
        headers = {"Prefer": f"wait={round(wait)}"} if wait > 0 else {}
        return Request("GET", f"/jobs/{quote(job, safe='')}", headers=headers)

    def seen(self, reply: Reply) -> Seen | None:
        """See Face."""
        told = _json(reply) if reply.status == 200 else None
        if not isinstance(told, dict) or not isinstance(told.get("state"), str):
            return None
        problem = told.get("problem")
        stamp = told.get("finished")
        return Seen(
            told["state"],
            float(stamp) if isinstance(stamp, int | float) else None,
            json.dumps(problem) if problem else "",
        )

    def fetch(self, job: str) -> Request:
        """See Face."""
        return Request("GET", f"/jobs/{quote(job, safe='')}/result")

    def given(self, reply: Reply) -> Given | None:
        """See Face."""
        told = _json(reply) if reply.status == 200 else None
        return _given(told["output"]) if isinstance(told, dict) and "output" in told else None


class PublishedFace:
    """The blog post's `GET /factorial`; it knows no key."""

    def submission(self, value: Any, request: str, key: str | None) -> Request:  # noqa: ARG002 - see Face
        """See Face."""
        return Request("GET", f"/factorial?no={quote(json.dumps(value))}", headers={"X-Request-ID": request})

    def accepted(self, reply: Reply) -> str | None:
        """See Face."""
        told = _json(reply) if 200 <= reply.status < 300 else None
        return str(told["id"]) if isinstance(told, dict) and told.get("id") else None

    def look(self, job: str, wait: float) -> Request:  # noqa: ARG002 - it knows no waiting
        """See Face."""
        return self.fetch(job)

    def seen(self, reply: Reply) -> Seen | None:
        """See Face."""
        told = _json(reply) if reply.status == 200 else None
        if not isinstance(told, dict) or not isinstance(told.get("status"), str):
            return None
        return Seen(told["status"])

    def fetch(self, job: str) -> Request:
        """See Face."""
        return Request("GET", f"/factorial/result?id={quote(job, safe='')}")

    def given(self, reply: Reply) -> Given | None:
        """See Face."""
        told = _json(reply) if reply.status == 200 else None
        if not isinstance(told, dict) or told.get("status") != "done":
            return None
        return _given(told.get("output"))


def face_of(kind: str) -> Face:
    """The face of a kind of system."""
    return PublishedFace() if kind == "as_published" else JobsFace()


def _given(output: Any) -> Given:
    return Given(output, hashlib.sha256(json.dumps(output, sort_keys=True).encode()).hexdigest()[:16])


def _json(reply: Reply) -> Any:
    try:
        return json.loads(reply.body)
    except ValueError:
        return None
