"""A server under test that does exactly as it is told, for tests of the load generator. No service needed."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Reply:
    """What becomes of one job."""

    delay: float = 0.0
    """Seconds of work: before the answer of a blocking face, after the submission of a queued one."""
    status: int = 0
    """Answer to the submission instead of the usual one."""
    hold: float = 0.0
    """Seconds before the answer to `POST /jobs`."""
    drop: bool = False
    """Close the connection without an answer to the submission."""
    output: Any = None
    """The result; None: the right one."""
    polls: tuple[int, ...] = ()
    """Statuses of the first polls; 0 drops the connection."""
    forget: bool = False
    """Answer 404 to every poll."""
    retry_after: str | None = None
    fails: bool = False
    """The worker reports that the job failed."""


@dataclass
class _Known:
    reply: Reply
    value: Any
    ready: float
    polls: list[int]
    asked: list[float] = field(default_factory=list)


class StubServer:
    """`behaviour(n)` says what becomes of the n-th job, counted from 0. Use as a context manager."""

    def __init__(
        self,
        behaviour: Callable[[int], Reply] = lambda _: Reply(),
        *,
        faces: tuple[str, ...] = ("run", "jobs", "get", "published"),
        right: Callable[[Any], Any] = lambda value: {"seconds": value["seconds"]},
        keep_alive: bool = True,
    ) -> None:
        self.jobs: dict[str, _Known] = {}
        self.submitted: list[str] = []
        """Correlation ids, in order."""
        self.keys: list[str | None] = []
        """Idempotency keys, likewise."""
        self.asked: list[float] = []
        """When each submission came, on the monotonic clock."""
        self.connections = 0
        self._behaviour, self._faces, self._right = behaviour, faces, right
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self, keep_alive))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "StubServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def has(self, face: str) -> bool:
        return face in self._faces

    def take(self, request_id: str, value: Any, idempotency_key: str | None = None) -> tuple[str, _Known]:
        with self._lock:
            n = len(self.submitted)
            self.submitted.append(request_id)
            self.keys.append(idempotency_key)
            self.asked.append(time.monotonic())
            reply = self._behaviour(n)
            key = f"job{n}"
            self.jobs[key] = _Known(reply, value, time.monotonic() + reply.delay, list(reply.polls))
            return key, self.jobs[key]

    def output(self, known: _Known) -> Any:
        return self._right(known.value) if known.reply.output is None else known.reply.output


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the test."""


def _handler(stub: StubServer, keep_alive: bool) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1" if keep_alive else "HTTP/1.0"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            stub.connections += 1

        def log_message(self, *_: Any) -> None:
            pass

        def say(self, status: int, data: Any, **headers: str) -> None:
            if status == 0:
                self.close_connection = True
                return
            body = json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body)

        def refuse(self, reply: Reply) -> bool:
            if reply.drop:
                self.close_connection = True
                return True
            if reply.status:
                extra = {} if reply.retry_after is None else {"Retry_After": reply.retry_after}
                self.say(reply.status, {"detail": "as told"}, **extra)
                return True
            return False

        def do_OPTIONS(self) -> None:
            path = urlsplit(self.path).path
            known = {"/run": "run", "/jobs": "jobs", "/factorial": "get", "/factorial/result": "published"}
            if path in known and stub.has(known[path]):
                self.say(200, {}, Allow="POST, OPTIONS" if path in ("/run", "/jobs") else "GET, OPTIONS")
            else:
                self.say(404, {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path not in ("/run", "/jobs") or not stub.has(self.path[1:]):
                return self.say(404, {})
            data = json.loads(body)
            if "input" not in data:
                return self.say(400, {"detail": "no input"})
            key, known = stub.take(
                self.headers["X-Request-ID"], data["input"], self.headers["Idempotency-Key"]
            )
            if self.path == "/run":
                return self.work(known)
            if known.reply.hold:
                time.sleep(known.reply.hold)
            if self.refuse(known.reply):
                return None
            extra = {} if known.reply.retry_after is None else {"Retry_After": known.reply.retry_after}
            return self.say(202, {"id": key, "state": "queued"}, Location=f"/jobs/{key}", **extra)

        def work(self, known: _Known) -> None:
            if known.reply.delay:
                time.sleep(known.reply.delay)
            if not self.refuse(known.reply):
                self.say(200, {"output": stub.output(known)}, Server_Timing="wait;dur=2.5, run;dur=40")

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            if parts.path == "/healthz":
                return self.say(200, {})
            if parts.path == "/factorial" and stub.has("get"):
                key, known = stub.take(self.headers["X-Request-ID"], json.loads(query["no"][0]))
                if not stub.has("published"):
                    return self.work(known)
                if not self.refuse(known.reply):
                    self.say(200, {"id": key, "status": "processing"})
                return None
            if parts.path == "/factorial/result" and stub.has("published"):
                return self.poll(query["id"][0], published=True)
            if parts.path.startswith("/jobs/"):
                _, _, key, *rest = parts.path.split("/")
                return self.fetch(key) if rest else self.poll(key, published=False)
            return self.say(404, {})

        def poll(self, key: str, *, published: bool) -> None:
            known = stub.jobs[key]
            known.asked.append(time.monotonic())
            reply = known.reply
            if reply.forget:
                return self.say(404, {"title": "no such job"})
            if known.polls:
                return self.say(known.polls.pop(0), {"title": "for the moment"})
            done = time.monotonic() >= known.ready
            extra = {} if reply.retry_after is None else {"Retry_After": reply.retry_after}
            if not done:
                word = "processing" if published else "running"
                return self.say(200, {"id": key, "state": word, "status": word}, **extra)
            if reply.fails:
                return self.say(200, {"id": key, "state": "failed", "status": "failed", "error": "as told"})
            if published:
                return self.say(200, {"input": known.value, "status": "done", "output": stub.output(known)})
            return self.say(200, {"id": key, "state": "done"})

        def fetch(self, key: str) -> None:
            self.say(200, {"output": stub.output(stub.jobs[key])}, Server_Timing="wait;dur=2.5, run;dur=40")

    return Handler
