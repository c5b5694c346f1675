"""How the web answers: JSON that is not to be cached, problem details, and what the server spent."""

import json
import logging
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from queued.job import Record
from queued.problem import MEDIA_TYPE, Problem

log = logging.getLogger(__name__)


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
    return as_they_are(json.dumps(body, separators=(",", ":")).encode(), headers or {}, status)


def as_problem(what: Problem, headers: dict[str, str] | None = None) -> Response:
    """Answer with problem details."""
    return as_they_are(json.dumps(what.to_json()).encode(), headers or {}, what.status, MEDIA_TYPE)


def timing(record: Record) -> dict[str, str]:
    """Return what was spent on a job, as the Server-Timing header says it (ms)."""
    spent = {"wait": record.wait, "run": record.run}
    parts = [f"{name};dur={1000 * seconds:.3f}" for name, seconds in spent.items() if seconds is not None]
    return {"Server-Timing": ", ".join(parts)} if parts else {}


def _http_problem(error: HTTPException) -> Response:
    """Turn Flask's own errors (404, 405, 413, …) into problem details."""
    code, name = error.code or 500, error.name
    headers = {key: value for key, value in error.get_headers() if key in ("Allow", "Retry-After")}
    return as_problem(Problem(code, name.lower().replace(" ", "-"), name, error.description or name), headers)


def _bug(_error: Exception) -> Response:
    log.exception("%s %s failed", request.method, request.path)
    return as_problem(Problem(500, "internal-error", "Internal error", "the server's log has the reason"))
