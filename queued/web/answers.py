"""How the web answers: JSON, problem details, what the server spent, and what the client has already."""

import hashlib
import json
import logging
import math
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from queued.compact import compact
from queued.job import Record, State
from queued.problem import MEDIA_TYPE, Problem
from queued.settings import Settings

log = logging.getLogger(__name__)

CHECKED = {"Cache-Control": "private, no-cache"}
"""For what has an ETag: it may be kept by who asked, and is asked for again each time."""


class Answer(Exception):
    """Ends a request with a problem."""

    def __init__(self, what: Problem, headers: dict[str, str] | None = None) -> None:
        super().__init__(what.detail)
        self.problem = what
        self.headers = headers or {}


def register(app: Flask) -> None:
    """Have every error of the application answered with problem details."""
    app.register_error_handler(Answer, lambda error: as_problem(error.problem, error.headers))
    app.register_error_handler(HTTPException, _http_problem)
    app.register_error_handler(Exception, _bug)


def as_they_are(
    body: bytes, headers: dict[str, str], status: int = 200, media_type: str = "application/json"
) -> Response:
    """Answer with bytes that are JSON already."""
    # no-store: the next answer to the same question may be another one
    return Response(body, status, {"Cache-Control": "no-store", **headers}, content_type=media_type)


def as_json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Answer with a value as JSON."""
    return as_they_are(compact(body).encode(), headers or {}, status)


def as_problem(what: Problem, headers: dict[str, str] | None = None) -> Response:
    """Answer with problem details."""
    return as_they_are(json.dumps(what.to_json()).encode(), headers or {}, what.status, MEDIA_TYPE)


def status_of(record: Record) -> dict[str, Any]:
    """Return what a client is told of a job, whatever the size of its result."""
    body = {
        "id": record.id,
        "state": record.state,
        "task": record.task,
        "created": record.created,
        "started": record.started,
        "finished": record.finished,
        "attempt": record.attempt,
        "progress": record.progress,
        "note": record.note,
        "ahead": record.ahead,
        "expected_wait": record.expected_wait,
    }
    if record.problem is not None:
        body["problem"] = record.problem.to_json()
    return body


def timing(record: Record) -> dict[str, str]:
    """Return what was spent on a job, as the Server-Timing header says it (ms)."""
    spent = {"wait": record.wait, "run": record.run}
    parts = [f"{name};dur={1000 * seconds:.3f}" for name, seconds in spent.items() if seconds is not None]
    return {"Server-Timing": ", ".join(parts)} if parts else {}


def ask_again(record: Record, settings: Settings) -> dict[str, str]:
    """Return when to look at an unfinished job again: when it is expected to have changed."""
    expected = record.expected_wait
    if record.state is State.RUNNING and record.service_time is not None and record.elapsed is not None:
        expected = record.service_time - record.elapsed
    return retry_after(expected, settings)


def retry_after(expected: float | None, settings: Settings) -> dict[str, str]:
    """Return when to ask again (whole seconds, rounded down), given the seconds until it is worth while."""
    seconds = max(settings.retry_after, min(expected or 0.0, settings.retry_after_most))
    return {"Retry-After": str(math.floor(seconds))}


def soon(least: float) -> dict[str, str]:
    """Return what a 503 advises: at least a second, whatever the polling."""
    return {"Retry-After": str(max(1, math.floor(least)))}


def status_etag(record: Record) -> str:
    """Return the ETag of a job's status. Weak: an estimate that moved by less than a second is the same."""
    body = status_of(record)
    if record.expected_wait is not None:
        body["expected_wait"] = round(record.expected_wait)
    return f'W/"{hashlib.sha256(json.dumps(body).encode()).hexdigest()[:24]}"'


def result_etag(record: Record) -> str:
    """Return the ETag of an ended job's result, which stays as it is."""
    return f'"{record.state}-{record.attempt}-{record.finished or 0:.6f}"'


def has_already(etag: str) -> bool:
    """Whether the client said by If-None-Match that it has this."""
    return etag in known_tags() or "*" in known_tags()


def known_tags() -> frozenset[str]:
    """Return the ETags that the client has; a tag holds no comma here."""
    given = request.headers.get("If-None-Match", "")
    return frozenset(tag for tag in (part.strip() for part in given.split(",")) if tag)


def _http_problem(error: HTTPException) -> Response:
    """Turn Flask's own errors (404, 405, 413, …) into problem details."""
    code, name = error.code or 500, error.name
    headers = {key: value for key, value in error.get_headers() if key in ("Allow", "Retry-After")}
    return as_problem(Problem(code, name.lower().replace(" ", "-"), name, error.description or name), headers)


def _bug(_error: Exception) -> Response:
    log.exception("%s %s failed", request.method, request.path)
    return as_problem(Problem(500, "internal-error", "Internal error", "the server's log has the reason"))
