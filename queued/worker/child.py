"""The process that runs the jobs of one worker, one after another, kept warm.

Started by `queued.worker.executor` as `python -m queued.worker.child SOCKET TICKETS PARENT MAX_OUTPUT`. Over
the socket come lots of jobs, each a JSON list of `{"job", "input"}`; back go frames with a header of JSON, a
line feed, and the output as JSON text. It knows neither RabbitMQ nor Redis, so all its memory is the task's.

Tickets: before each job the child takes one byte from a pipe that the parent has filled, and without one it
leaves the rest of the lot alone. So the parent takes back what is not begun by emptying the pipe: each job is
either run or taken back, never both, and it need not wait for an answer, even where the task never yields.
"""

import json
import os
import signal
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

from queued.parent import die_with
from workloads import InvalidInput, Task, UnknownTask, load_task, reason
from workloads.journal import execute, journal_from
from workloads.progress import listen

OOM_SCORE = "500"
"""When memory runs out, the kernel shall end the process that runs the job, and no service beside it."""
PROGRESS_EVERY = 0.5
"""Seconds between two reports of progress that are passed on."""

SMALL = 64 << 10
"""Bytes that are worth a copy, so that the worker is woken once and not twice."""

LENGTH = struct.Struct("!Q")
"""Before each frame, in both directions."""


def main() -> int:
    """Serve until the worker closes the socket. Exit code 0, or 2 where the task can't be loaded."""
    fd, tickets, parent, max_output = (int(word) for word in sys.argv[1:5])
    die_with(parent)
    # Signals to the whole group (Ctrl-C, a supervisor's SIGTERM) are the worker's to answer: it finishes the
    # job in hand, which runs here.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    volunteer_for_the_oom_killer()
    sys.set_int_max_str_digits(0)  # results of more than 4,300 digits become text here
    wire = Wire(socket.socket(fileno=fd))
    try:
        task = load_task(os.environ["QUEUED_TASK"])
    except UnknownTask as error:
        wire.send({"ready": False, "why": str(error)})
        return 2
    wire.send({"ready": True})
    runner = Runner(wire, Tickets(tickets), task, journal_from(os.environ), max_output)
    while (lot := wire.receive()) is not None:
        runner.run(json.loads(lot))
    return 0


class Wire:
    """Frames to and from the worker. Sending is safe from any thread of the task's."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, header: dict[str, Any], output: bytes = b"") -> None:
        """Send one frame."""
        head = json.dumps(header).encode() + b"\n"
        head = LENGTH.pack(len(head) + len(output)) + head
        with self._lock:
            if len(output) <= SMALL:
                self._connection.sendall(head + output)
            else:
                self._connection.sendall(head)
                self._connection.sendall(output)

    def receive(self) -> bytes | None:
        """Wait for the next frame; None when the worker has gone."""
        length = self._exactly(LENGTH.size)
        return None if length is None else self._exactly(LENGTH.unpack(length)[0])

    def _exactly(self, length: int) -> bytes | None:
        parts = []
        while length:
            part = self._connection.recv(min(length, 1 << 20))
            if not part:
                return None
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


class Tickets:
    """The right to begin a job. Each ticket is the number of a lot, modulo 256."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._kept: int | None = None

    def take(self, lot: int) -> bool:
        """Whether the next job of this lot may begin; if not, its rest was taken back."""
        if self._kept is None:
            try:
                self._kept = os.read(self._pipe, 1)[0]
            except (BlockingIOError, IndexError):
                return False
        if self._kept != lot:  # of a lot to come: this one's are gone
            return False
        self._kept = None
        return True


class Runner:
    """Runs the task for lot after lot."""

    def __init__(
        self, wire: Wire, tickets: Tickets, task: Task, journal: Path | None, max_output: int
    ) -> None:
        self._wire = wire
        self._tickets = tickets
        self._task = task
        self._journal = journal
        self._max_output = max_output
        self._lots = 0

    def run(self, lot: list[dict[str, Any]]) -> None:
        """Run the jobs of a lot as far as there are tickets, telling of each at once."""
        number = self._lots % 256
        self._lots += 1
        for job in lot:
            if not self._tickets.take(number):
                return
            listen(Reporter(self._wire))
            header, output = self._answer(job)
            listen(None)
            self._wire.send(header, output)

    def _answer(self, job: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Run the task for one job, and say how that went."""
        began = time.perf_counter()
        try:
            value = self._task.check(job["input"])
            execution = execute(self._task, value, job["job"], self._journal, "worker", alone=True)
        except InvalidInput as error:
            return _failed(began, str(error), retry=False)
        except Exception as error:  # noqa: BLE001 - whatever a task may raise; the client hears what, the log where
            import traceback

            traceback.print_exc()
            return _failed(began, reason(error), retry=True)
        try:
            output = json.dumps(execution.output, allow_nan=False, separators=(",", ":")).encode()
        except Exception as error:  # noqa: BLE001 - whatever a foreign object does when it is looked at
            return _failed(began, f"its output can't be sent as JSON: {reason(error)}", retry=False)
        if len(output) > self._max_output:
            limit = f"its output has {len(output):,} bytes of JSON, and {self._max_output:,} is the limit"
            return _failed(began, limit, retry=False)
        return {"ok": True, "run": execution.wall}, output


class Reporter:
    """Passes a job's progress on to the worker, not more often than anybody can watch."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._next = 0.0

    def __call__(self, fraction: float, note: str | None) -> None:
        """Tell, unless the last time was just now; the end of the way is always told."""
        now = time.monotonic()
        if now < self._next and fraction < 1.0:
            return
        self._next = now + PROGRESS_EVERY
        try:
            self._wire.send({"progress": fraction, "note": note})
        except OSError:  # the worker has gone, and this process goes with it
            return


def volunteer_for_the_oom_killer() -> None:
    """Have the kernel take this process first when memory runs out: that costs one attempt and no service."""
    try:
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    except OSError:  # not Linux, or not allowed
        return


def _failed(began: float, why: str, *, retry: bool) -> tuple[dict[str, Any], bytes]:
    return {"ok": False, "run": time.perf_counter() - began, "why": why, "retry": retry}, b""


if __name__ == "__main__":
    sys.exit(main())
