"""The queue's HTTP face, played: it says of a job what the test tells it to say. For tests of the page."""

import json
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import WSGIRequestHandler, make_server

from queued.settings import Settings
from queued.web import page

FINAL = ("done", "failed", "cancelled", "expired")


@dataclass
class Asked:
    """One request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class PlayedJob:
    """What is known of a job, and who listens."""

    facts: dict[str, Any]
    result: bytes = b'{"output":null}'
    listeners: list["queue.Queue[str | None]"] = field(default_factory=list)


class PlayedApi:
    """`events` and `answer` say how it behaves. Use as a context manager."""

    def __init__(self, settings: Settings, prefix: str = "") -> None:
        self.jobs: dict[str, PlayedJob] = {}
        self.asked: list[Asked] = []
        self.key: str | None = None
        """An API key that everybody must show."""
        self.events = True
        """False: no event streams, 503."""
        self.first: dict[str, Any] = {"state": "queued", "ahead": 3, "expected_wait": 40.0}
        """What is said of a new job."""
        self.answers: list[Response] = []
        """Answers to the next submissions, instead of the usual one."""
        app = Flask("queued.web")
        page.register(app, settings)
        app.before_request(self._before)
        app.add_url_rule("/jobs", view_func=self._submit, methods=["POST"])
        app.add_url_rule("/jobs/<job_id>", view_func=self._status)
        app.add_url_rule("/jobs/<job_id>", view_func=self._cancel, methods=["DELETE"], endpoint="delete")
        app.add_url_rule("/jobs/<job_id>/result", view_func=self._result)
        app.add_url_rule("/jobs/<job_id>/events", view_func=self._events)
        self._lock = threading.Lock()
        self._prefix = prefix
        served: Any = DispatcherMiddleware(NotFound(), {prefix: app}) if prefix else app
        self._server = make_server("127.0.0.1", 0, served, threaded=True, request_handler=_Quiet)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{self._prefix}/"

    def __enter__(self) -> "PlayedApi":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            for job in self.jobs.values():
                for listener in job.listeners:
                    listener.put(None)
        self._server.shutdown()
        self._server.server_close()

    def say(self, job_id: str, **facts: Any) -> None:
        """Change what is known of a job, and tell who listens."""
        with self._lock:
            job = self.jobs[job_id]
            job.facts.update(facts)
            kind = "end" if job.facts["state"] in FINAL else "state" if "state" in facts else "progress"
            for listener in job.listeners:
                listener.put(f"event: {kind}\ndata: {json.dumps(job.facts)}\n\n")
                if kind == "end":
                    listener.put(None)

    def problem(self, status: int, title: str, detail: str, **headers: str) -> Response:
        body = {"type": "urn:queued:played", "title": title, "status": status, "detail": detail}
        response = Response(json.dumps(body), status, content_type="application/problem+json")
        response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
        return response

    def _before(self) -> Response | None:
        self.asked.append(Asked(request.method, request.path, dict(request.headers), request.get_data()))
        needs_key = request.path.startswith("/jobs") and self.key is not None
        if needs_key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return self.problem(401, "Unauthorized", "an API key is needed")
        return None

    def _submit(self) -> Response:
        if self.answers:
            return self.answers.pop(0)
        job_id = f"{len(self.jobs) + 1:032x}"
        facts = {"id": job_id, "task": request.get_json()["task"], "created": 1000.0, **self.first}
        self.jobs[job_id] = PlayedJob(facts)
        response = Response(json.dumps(facts), 202, content_type="application/json")
        response.headers["Location"] = f"/jobs/{job_id}"
        return response

    def _status(self, job_id: str) -> Response:
        if job_id not in self.jobs:
            return self.problem(404, "No such job", "there is none with this id")
        response = Response(json.dumps(self.jobs[job_id].facts), content_type="application/json")
        response.headers["Retry-After"] = "1"
        response.add_etag()
        return response.make_conditional(request)

    def _cancel(self, job_id: str) -> Response:
        self.say(job_id, state="cancelled")
        return Response(json.dumps({"id": job_id, "state": "cancelled"}), content_type="application/json")

    def _result(self, job_id: str) -> Response:
        return Response(self.jobs[job_id].result, content_type="application/json")

    def _events(self, job_id: str) -> Response:
        if not self.events:
            return self.problem(503, "Too many waiters", "poll instead", Retry_After="60")
        if job_id not in self.jobs:
            return self.problem(404, "No such job", "there is none with this id")
        listener: queue.Queue[str | None] = queue.Queue()
        with self._lock:
            facts = self.jobs[job_id].facts
            listener.put(f"event: state\ndata: {json.dumps(facts)}\n\n")
            if facts["state"] in FINAL:
                listener.put(None)
            self.jobs[job_id].listeners.append(listener)

        def told() -> Iterator[str]:
            while (event := listener.get()) is not None:
                yield event

        return Response(told(), content_type="text/event-stream")


class _Quiet(WSGIRequestHandler):
    def log(self, *_: object) -> None:
        pass
