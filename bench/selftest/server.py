"""A server of known behaviour: `python -P -m bench.selftest.server BEHAVIOUR --log FILE --journal FILE`.

One process, one thread, no framework: what it does and when is written down by itself, in a log of JSON
lines, and that log is what the harness's figures are held against. Times are Unix seconds, taken once and
carried on by the monotonic clock. It prints `{"port": …}` and ends when its standard input does.

The first part of a path names the load: `http://127.0.0.1:PORT/NAME` is the base URL of the load NAME, so
that two loads can meet the same server at the same time and be told apart.
"""

import argparse
import asyncio
import gc
import json
import os
import random
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, TextIO

from bench.selftest.behaviour import Behaviour, Deed

LOOPBACK = "127.0.0.1"
BACKLOG = 4096
"""Connections that may wait while the server stands still."""


@dataclass
class Job:
    """One job as the server knows it."""

    id: str
    load: str
    deed: Deed
    takes: float
    received: float
    value: Any
    done: Callable[["Job"], None]
    """Called when it has its result."""
    finished: bool = False


class Stub:
    """Serves jobs as the behaviour has it, whoever brings them."""

    def __init__(self, behaviour: Behaviour, log: TextIO, journal: TextIO) -> None:
        self.behaviour = behaviour
        self.jobs: dict[str, Job] = {}
        """Submitted ones, by the server's own key."""
        self._log, self._journal = log, journal
        self._anchor = time.time() - time.monotonic()
        self._draw = random.Random(behaviour.seed)
        self._waiting: deque[Job] = deque()
        self._running = 0
        self._taken = 0

    def now(self) -> float:
        """Unix time, carried on by the monotonic clock."""
        return self._anchor + time.monotonic()

    def note(self, job: Job, what: str, received: float, answered: float) -> None:
        """Write one exchange of a job down."""
        row = {"load": job.load, "id": job.id, "what": what, "did": job.deed}
        self._log.write(json.dumps({**row, "received": received, "answered": answered}) + "\n")

    def take(self, name: str, load: str, value: Any, received: float, done: Callable[[Job], None]) -> Job:
        """Decide what becomes of the next job. The caller starts it with `serve`."""
        known, n = self.behaviour, self._taken
        self._taken += 1
        if n == 0 and known.stall > 0:
            asyncio.get_running_loop().call_later(known.stall_after, self._stand_still)
        deed = known.script[n % len(known.script)]
        extra = self._draw.expovariate(1 / known.mean_extra) if known.mean_extra else 0.0
        takes = known.slow if deed == "slow" else known.delay + extra
        return Job(name, load, deed, takes, received, value, done)

    def serve(self, job: Job) -> None:
        """Start it, or let it wait for its turn."""
        if self.behaviour.workers and self._running >= self.behaviour.workers:
            self._waiting.append(job)
        else:
            self._begin(job, again=job.deed == "twice")

    def _begin(self, job: Job, *, again: bool) -> None:
        self._running += 1
        self._write_journal(job, "start")
        asyncio.get_running_loop().call_later(job.takes, self._end, job, again)

    def _end(self, job: Job, again: bool) -> None:
        self._running -= 1
        self._write_journal(job, "end")
        if again:
            self._begin(job, again=False)
        elif self._waiting:
            following = self._waiting.popleft()
            self._begin(following, again=following.deed == "twice")
        if not job.finished:
            job.finished = True
            job.done(job)

    def _write_journal(self, job: Job, event: str) -> None:
        line = {"job": job.id, "event": event, "t": self.now(), "pid": os.getpid()}
        if event == "end":
            line |= {"ok": True, "cpu": 0.0}
        self._journal.write(json.dumps(line) + "\n")

    def _stand_still(self) -> None:
        began = self.now()
        time.sleep(self.behaviour.stall)
        self._log.write(json.dumps({"what": "stall", "from": began, "to": self.now()}) + "\n")


class Exchange(asyncio.Protocol):
    """One connection: requests one after another, answered in order."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take a request once it is whole."""
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        received = self._stub.now()
        self._buffer = rest[length:]
        method, path, _ = first.split(" ", 2)
        self._route(method, path, headers.get("x-request-id", ""), rest[:length], received)

    def _route(self, method: str, path: str, name: str, body: bytes, received: float) -> None:
        _, load, *route = path.split("/")
        face = self._stub.behaviour.face
        match method, route:
            case "GET", ["healthz"]:
                self._answer(200, {})
            case "OPTIONS", [asked] if asked == face:
                self._answer(200, {}, {"Allow": "POST, OPTIONS"})
            case (("POST" | "GET"), ["run"]) if face == "run":
                self._run(self._stub.take(name, load, _value(body), received, self._result))
            case "POST", ["jobs"] if face == "jobs":
                self._submit(self._stub.take(name, load, _value(body), received, lambda _: None))
            case "GET", ["jobs", key] if key in self._stub.jobs:
                job = self._stub.jobs[key]
                self._answer(200, {"id": key, "state": "done" if job.finished else "running"})
            case "GET", ["jobs", key, "result"] if key in self._stub.jobs:
                self._fetch(self._stub.jobs[key], received)
            case _:
                self._answer(404, {"title": "no such thing here"})

    def _run(self, job: Job) -> None:
        match job.deed:
            case "close":
                self._hang_up(job)
            case "503":
                self._refuse(job)
            case "504":
                asyncio.get_running_loop().call_later(job.takes, self._refuse, job)
            case _:
                self._stub.serve(job)

    def _submit(self, job: Job) -> None:
        if job.deed == "close":
            self._hang_up(job)
            return
        if job.deed in ("503", "504"):
            self._refuse(job)
            return
        key = f"{len(self._stub.jobs):06d}"
        self._stub.jobs[key] = job
        if job.deed != "lose":
            self._stub.serve(job)
        where = {"Location": f"/{job.load}/jobs/{key}"}
        self._stub.note(job, "submit", job.received, self._answer(202, {"id": key}, where))

    def _fetch(self, job: Job, received: float) -> None:
        if not job.finished:
            self._answer(409, {"title": "not finished yet"})
            return
        self._stub.note(job, "result", received, self._answer(200, _output(job)))

    def _result(self, job: Job) -> None:
        self._stub.note(job, "run", job.received, self._answer(200, _output(job)))

    def _refuse(self, job: Job) -> None:
        self._stub.note(job, "run", job.received, self._answer(int(job.deed), {"detail": "as scripted"}))

    def _hang_up(self, job: Job) -> None:
        self._stub.note(job, "run", job.received, self._stub.now())
        if self._transport is not None:
            self._transport.close()

    def _answer(self, status: int, document: Any, headers: dict[str, str] | None = None) -> float:
        """Send it; returns when it was handed to the system, Unix seconds."""
        body = json.dumps(document).encode()
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
        ]
        answered = self._stub.now()
        if self._transport is not None:
            self._transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        return answered


def _value(body: bytes) -> Any:
    """The job's input; `wrk` and `hey` send none."""
    return json.loads(body).get("input") if body else None


def _output(job: Job) -> dict[str, Any]:
    """The result in the form of the task `sleep`, whose input may be its output; -1 s can't be right."""
    return {"output": {"seconds": -1.0} if job.deed == "wrong" else job.value}


async def serve(stub: Stub) -> None:
    """Answer until standard input ends."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            over.set()

    server = await loop.create_server(lambda: Exchange(stub), LOOPBACK, 0, backlog=BACKLOG)
    loop.add_reader(sys.stdin.fileno(), read)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)  # noqa: T201 - for the harness
    # A collection in the middle of a load would be a pause that nobody scripted.
    gc.collect()
    gc.freeze()
    gc.disable()
    await over.wait()
    loop.remove_reader(sys.stdin.fileno())
    server.close()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="A server of known behaviour.")
    parser.add_argument("behaviour", help="A bench.selftest.behaviour.Behaviour as JSON.")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    asked = parser.parse_args()
    with ExitStack() as files:
        log = files.enter_context(asked.log.open("w"))
        journal = files.enter_context(asked.journal.open("w"))
        asyncio.run(serve(Stub(Behaviour.from_json(asked.behaviour), log, journal)))


if __name__ == "__main__":
    main()
