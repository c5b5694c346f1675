"""The web: takes jobs, tells how they are, hands out results. Flask, with nothing global."""

import hmac
import json
import logging
import math
import time
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, request

from queued import answers, problem
from queued.answers import Answer, as_json, as_they_are, timing
from queued.broker import NotConfirmed, Publisher
from queued.job import FINAL, MAX_OUTPUT, BadMessage, Done, Failed, Job, Record, State, new_id
from queued.problem import Problem
from queued.settings import Settings
from queued.store import Store, StoreError
from workloads import InvalidInput, Task, from_text, parse_json

log = logging.getLogger(__name__)

MAX_SUBMISSION = 1 << 20
"""Bytes of a submission."""
MAX_FROM_WORKER = MAX_OUTPUT + MAX_SUBMISSION
"""Bytes of what a worker sends: a job's input, its output, and some more."""

STATUS = {State.QUEUED: "processing", State.RUNNING: "processing", State.DONE: "done", State.FAILED: "failed"}
"""The post's words for our states."""

UNKNOWN = Problem(404, "unknown-job", "No such job", "there is none with this id, or its result has expired")


def create_app(settings: Settings, task: Task, publisher: Publisher, store: Store) -> Flask:
    """Build the web application on parts that are already running."""
    app = Flask("queued")
    app.config["MAX_CONTENT_LENGTH"] = MAX_SUBMISSION
    service = Service(settings, task, publisher, store)
    answers.register(app)
    app.register_error_handler(StoreError, service.store_problem)
    app.add_url_rule("/healthz", view_func=lambda: as_json({"status": "ok"}), endpoint="healthz")
    app.add_url_rule("/jobs", view_func=service.submit, methods=["POST"])
    app.add_url_rule("/jobs/<job_id>", view_func=service.status)
    app.add_url_rule("/jobs/<job_id>/result", view_func=service.result)
    # for workers
    app.add_url_rule("/jobs/<job_id>/start", view_func=service.start, methods=["POST"])
    app.add_url_rule("/jobs/<job_id>/result", view_func=service.put_result, methods=["PUT"])
    # the post's
    app.add_url_rule("/factorial", view_func=service.submit_number)
    app.add_url_rule("/factorial/result", view_func=service.posts_result)
    app.add_url_rule("/factorial/update", view_func=service.posts_update, methods=["POST"])
    return app


class Service:
    """The routes, over the parts that they use."""

    def __init__(self, settings: Settings, task: Task, publisher: Publisher, store: Store) -> None:
        self._settings = settings
        self._task = task
        self._publisher = publisher
        self._store = store
        self._ask_again = {"Retry-After": str(math.floor(settings.retry_after))}

    def submit(self) -> Response:
        """POST /jobs `{"task"?, "input"}` → 202 once the job is recorded and the broker has confirmed it."""
        body = _body()
        if not isinstance(body, dict) or "input" not in body or not set(body) <= {"task", "input"}:
            form = '{"input": …} or {"task": …, "input": …}'
            raise Answer(problem.invalid_input(f"the body must look like {form}"))
        if body.get("task", self._task.name) != self._task.name:
            raise Answer(problem.invalid_input(f"this service does one task only: {self._task.name}"))
        job = self._accept(body["input"])
        return self._accepted(job, {"id": job.id, "state": State.QUEUED})

    def submit_number(self) -> Response:
        """GET /factorial?no=N, the post's way to submit. → 202 as above."""
        text = request.args.get("no")
        if text is None:
            raise Answer(problem.invalid_input("the number is missing: /factorial?no=5"))
        job = self._accept(from_text(text))
        return self._accepted(job, {"id": job.id, "input": job.input, "status": "processing"})

    def status(self, job_id: str) -> Response:
        """GET /jobs/ID → state and times; small, whatever the result's size."""
        record = self._store.record(job_id)
        if record is None:
            raise Answer(UNKNOWN)
        body = {
            "id": record.id,
            "state": record.state,
            "task": record.task,
            "created": record.created,
            "started": record.started,
            "finished": record.finished,
        }
        if record.problem is not None:
            body["problem"] = record.problem.to_json()
        return as_json(body, headers=timing(record) if record.state in FINAL else self._ask_again)

    def result(self, job_id: str) -> Response:
        """GET /jobs/ID/result → 200 with the output; 409 before the end; the stored problem if it failed."""
        record, output = self._found(job_id)
        if record.problem is not None:
            raise Answer(record.problem, timing(record))
        if record.state not in FINAL:
            unfinished = Problem(409, "not-finished", "The job is not finished", f"it is {record.state}")
            raise Answer(unfinished, self._ask_again)
        return as_they_are(b'{"output":' + output + b"}", timing(record))

    def posts_result(self) -> Response:
        """GET /factorial/result?id=ID → `{"input", "status", "output"}`, whatever the state."""
        record, output = self._found(request.args.get("id", ""))
        status = STATUS[record.state].encode()
        body = b'{"input":%b,"status":"%b","output":%b' % (record.input, status, output)
        if record.problem is not None:
            body += b',"problem":' + json.dumps(record.problem.to_json()).encode()
        return as_they_are(body + b"}", timing(record) if record.state in FINAL else self._ask_again)

    def start(self, job_id: str) -> Response:
        """POST /jobs/ID/start, for workers: the message → the state, `running` where it is to be run."""
        self._check_token()
        request.max_content_length = MAX_FROM_WORKER
        try:
            job = Job.decode(request.get_data(cache=False))
        except BadMessage as error:
            raise Answer(problem.invalid_input(str(error))) from None
        if job.id != job_id:
            raise Answer(problem.invalid_input("the message is another job's"))
        return as_json({"id": job_id, "state": self._store.begin(job)})

    def put_result(self, job_id: str) -> Response:
        """PUT /jobs/ID/result?run=S, for workers: the output, or problem details if it failed → the state."""
        self._check_token()
        request.max_content_length = MAX_FROM_WORKER
        run = request.args.get("run", type=float)
        data = request.get_data(cache=False)
        # As it is: it may be megabytes, and the worker has encoded it.
        outcome: Done | Failed = Done(data, run)
        if request.mimetype == problem.MEDIA_TYPE:
            try:
                outcome = Failed(Problem.from_json(json.loads(data)), run)
            except ValueError as error:
                raise Answer(problem.invalid_input(str(error))) from None
        return self._finished(job_id, outcome, "state")

    def posts_update(self) -> Response:
        """POST /factorial/update `{"id", "status", "output"}`, how the post's consumer delivers a result."""
        self._check_token()
        request.max_content_length = MAX_FROM_WORKER
        try:
            body = json.loads(request.get_data(cache=False))
        except (ValueError, RecursionError):
            raise Answer(problem.invalid_input("the body is not JSON")) from None
        match body:
            case {"id": str(job_id), "status": "failed"}:
                return self._finished(job_id, Failed(problem.job_failed("its consumer said so")), "status")
            case {"id": str(job_id), "status": "done", "output": output}:
                return self._finished(job_id, Done(json.dumps(output).encode(), None), "status")
        form = '{"id": …, "status": "done", "output": …}'
        raise Answer(problem.invalid_input(f"the body must look like {form}"))

    def store_problem(self, error: StoreError) -> Response:
        """Answer where the store fails: try again."""
        log.warning("%s %s: %s", request.method, request.path, error)
        return answers.as_problem(problem.unavailable(str(error)), self._retry_soon())

    def _accept(self, given: Any) -> Job:
        """Check the input, record and publish the job, and wait for the broker's word."""
        try:
            checked = self._task.check(given)
        except InvalidInput as error:
            raise Answer(problem.invalid_input(str(error))) from None
        job = Job(new_id(), self._task.name, checked, time.time(), _request_id())
        try:
            self._publisher.submit(job).wait(self._settings.confirm_timeout)
        except NotConfirmed as error:
            refusal = problem.not_enqueued(str(error))
            # The record must say so before the client hears it: its message may still arrive, and no worker
            # touches a job whose record is final. A job that a worker has already is accepted after all.
            if self._store.refuse(job, refusal) is State.FAILED:
                log.warning("job %s: %s", job.id, error)
                raise Answer(refusal, self._retry_soon()) from None
        return job

    def _accepted(self, job: Job, body: dict[str, Any]) -> Response:
        return as_json(body, 202, {"Location": f"/jobs/{quote(job.id)}", **self._ask_again})

    def _found(self, job_id: str) -> tuple[Record, bytes]:
        found = self._store.result(job_id)
        if found is None:
            raise Answer(UNKNOWN)
        return found

    def _finished(self, job_id: str, outcome: Done | Failed, key: str) -> Response:
        state = self._store.finish(job_id, outcome)
        if state is None:
            raise Answer(UNKNOWN)
        return as_json({"id": job_id, key: state})

    def _check_token(self) -> None:
        expected = self._settings.token
        if expected is None:
            raise Answer(Problem(403, "closed", "Closed", "this service has no token, so no worker routes"))
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), expected.encode()):
            what = Problem(401, "unauthorized", "Unauthorized", "this route is for workers, with their token")
            raise Answer(what, {"WWW-Authenticate": "Bearer"})

    def _retry_soon(self) -> dict[str, str]:
        """What a 503 advises: at least a second, whatever the polling."""
        return {"Retry-After": str(max(1, math.floor(self._settings.retry_after)))}


def _body() -> Any:
    try:
        return parse_json(request.get_data(cache=False))
    except InvalidInput as error:
        raise Answer(problem.invalid_input(str(error))) from None


def _request_id() -> str | None:
    """Return the client's correlation id, where it is usable in a log line."""
    given = request.headers.get("X-Request-ID", "")
    return given if given and len(given) <= 200 and given.isprintable() else None
