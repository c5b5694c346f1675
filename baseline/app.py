"""The blocking web application: a request comes in, the task runs, the answer carries the result."""

import json
import logging
import uuid
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from baseline.problem import problem
from workloads import InvalidInput, Task, from_text, parse_json, reason
from workloads.journal import Execution, execute

MAX_BODY = 64 * 1024 * 1024
"""Bytes of a request body; above, 413."""
MAX_ID = 128
"""Characters of a correlation id; a longer or unprintable one is replaced by an id of our own."""

log = logging.getLogger("baseline")


def create_app(task: Task, *, journal: Path | None = None, role: str = "web", alone: bool = False) -> Flask:
    """Make the application that serves one task.

    `journal` and `role` go into the execution journal. `alone` says that the process answers one request at a
    time, so that the CPU of the whole process is the job's.
    """
    app = Flask("baseline", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY

    def work(given: Any) -> Execution:
        return execute(task, task.check(given), _job_id(), journal, role, alone=alone)

    @app.get("/healthz")
    def health() -> Response:
        return _json({"status": "ok", "task": task.name})

    @app.post("/run")
    def run() -> Response:
        done = work(_input_of(request.get_data(), task))
        return _result({"output": done.output}, done)

    @app.get("/factorial")
    def factorial() -> Response:
        if "no" not in request.args:
            raise InvalidInput("the query lacks the input: ask for /factorial?no=5")
        given = from_text(request.args["no"])
        done = work(given)
        return _result({"input": given, "output": done.output}, done)

    @app.after_request
    def name_the_job(response: Response) -> Response:
        response.headers["X-Request-ID"] = _job_id()
        return response

    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(InvalidInput, _invalid_input)
    app.register_error_handler(Exception, _failure)
    return app


def _input_of(body: bytes, task: Task) -> Any:
    """Take the input out of `{"input": …}`; a `task` beside it must be the one served."""
    data = parse_json(body)
    if not isinstance(data, dict) or "input" not in data:
        raise InvalidInput('the body must be a JSON object with the input in it: {"input": …}')
    unknown = data.keys() - {"input", "task"}
    if unknown:
        raise InvalidInput(f"the body has unknown members: {', '.join(map(repr, sorted(unknown)))[:200]}")
    if data.get("task", task.name) != task.name:
        raise InvalidInput(f"this server runs the task {task.name} and no other")
    return data["input"]


def _job_id() -> str:
    """The client's correlation id where it sent a usable one, else one of our own, kept for the request."""
    if "job_id" not in request.environ:
        given = request.headers.get("X-Request-ID", "")
        usable = 0 < len(given) <= MAX_ID and given.isascii() and given.isprintable()
        request.environ["job_id"] = given if usable else uuid.uuid4().hex
    job_id: str = request.environ["job_id"]
    return job_id


def _result(body: dict[str, Any], done: Execution) -> Response:
    try:
        response = _json(body)
    except (TypeError, ValueError, RecursionError) as error:
        log.error("job %s: its output is not JSON: %s", _job_id(), reason(error))
        return problem(500, f"the task's output can't be written as JSON: {reason(error)}")
    response.headers["Server-Timing"] = f"run;dur={done.wall * 1000:.3f}"
    response.headers["Cache-Control"] = "no-store"
    return response


def _json(body: dict[str, Any]) -> Response:
    return Response(json.dumps(body, allow_nan=False), mimetype="application/json")


def _http_error(error: HTTPException) -> Response:
    response = problem(error.code or 500, error.description or error.name)
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


def _invalid_input(error: InvalidInput) -> Response:
    return problem(400, str(error))


def _failure(error: Exception) -> Response:
    log.error("job %s failed", _job_id(), exc_info=error)
    return problem(500, reason(error))
