"""The faces that the blog post gave its service, for clients and consumers that follow it."""

import json
from typing import NoReturn

from flask import Response, request

from queued import problem
from queued.job import FINAL, Done, Failed, State
from queued.settings import Settings
from queued.store import Store
from queued.web.access import UNKNOWN, Access
from queued.web.answers import Answer, as_json, as_they_are, ask_again, retry_after, timing
from queued.web.body import read_body
from queued.web.submitting import Submitting, Wish
from workloads import from_text
from workloads.inputs import finite

STATUS = {
    State.QUEUED: "processing",
    State.RUNNING: "processing",
    State.DONE: "done",
    State.FAILED: "failed",
    State.CANCELLED: "failed",
    State.EXPIRED: "failed",
}
"""The post's words for our states."""


class Posts:
    """The post's routes."""

    def __init__(self, settings: Settings, access: Access, store: Store, submitting: Submitting) -> None:
        self._settings = settings
        self._access = access
        self._store = store
        self._submitting = submitting

    def submit(self) -> Response:
        """GET /factorial?no=N, the post's way to submit. → 202 as by POST /jobs."""
        caller = self._submitting.admit()
        text = request.args.get("no")
        if text is None:
            raise Answer(problem.invalid_input("the number is missing: /factorial?no=5"))
        given = from_text(text)
        admission = self._submitting.accept(Wish(self._submitting.default_task, given), caller)
        headers = {
            "Location": f"/jobs/{admission.job_id}",
            **retry_after(admission.expected_wait, self._settings),
        }
        # What was given, and not what the task made of it: that is told with the result.
        return as_json({"id": admission.job_id, "input": given, "status": "processing"}, 202, headers)

    def result(self) -> Response:
        """GET /factorial/result?id=ID → `{"input", "status", "output"}`, whatever the state."""
        record, output = self._access.result(request.args.get("id", ""))
        status = STATUS[record.state].encode()
        body = b'{"input":%b,"status":"%b","output":%b' % (record.input, status, output)
        if status == b"failed":
            told = problem.ended_without_result(record.state, record.problem)
            body += b',"problem":' + json.dumps(told.to_json()).encode()
        headers = timing(record) if record.state in FINAL else ask_again(record, self._settings)
        return as_they_are(body + b"}", headers)

    def update(self) -> Response:
        """POST /factorial/update `{"id", "status", "output"}`, how the post's consumer delivers a result."""
        self._access.check_worker()
        try:
            data = read_body(self._settings.max_output + self._settings.max_body)
            body = json.loads(data, parse_constant=_refuse, parse_float=finite)
        except (ValueError, RecursionError):
            raise Answer(problem.invalid_input("the body is not JSON")) from None
        match body:
            case {"id": str(job_id), "status": "failed"}:
                return self._finish(job_id, Failed(problem.job_failed("its consumer said so")))
            case {"id": str(job_id), "status": "done", "output": output}:
                return self._finish(job_id, Done(json.dumps(output).encode(), None))
        form = '{"id": …, "status": "done", "output": …}'
        raise Answer(problem.invalid_input(f"the body must look like {form}"))

    def _finish(self, job_id: str, outcome: Done | Failed) -> Response:
        if self._store.finish_by_id(job_id, None, outcome) is None:
            raise Answer(UNKNOWN)
        record = self._store.record(job_id)
        return as_json({"id": job_id, "status": outcome.state if record is None else record.state})


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
