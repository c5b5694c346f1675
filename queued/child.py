"""The process that runs the jobs of one worker, one after another, kept warm.

Started by `queued.executor` as `python -m queued.child FD PARENT`, and talks with it over that socket: a job
comes as JSON `{"job", "input"}`; the answer is a header of JSON, a line feed, and the output as JSON text. It
knows neither RabbitMQ nor Redis, so all its memory is the task's.
"""

import ctypes
import json
import os
import signal
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from workloads import InvalidInput, Task, UnknownTask, load_task, reason
from workloads.journal import execute, journal_from

PR_SET_PDEATHSIG = 1


def main() -> int:
    """Serve until the worker closes the socket. Exit code 0, or 2 where the task can't be loaded."""
    die_with(int(sys.argv[2]))
    # Signals to the whole group (Ctrl-C, a supervisor's SIGTERM) are the worker's to answer: it finishes the
    # job in hand, which runs here.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.set_int_max_str_digits(0)  # results of more than 4,300 digits become text here
    connection: Connection[bytes, bytes] = Connection(int(sys.argv[1]))
    try:
        task = load_task(os.environ["QUEUED_TASK"])
    except UnknownTask as error:
        connection.send_bytes(json.dumps({"ready": False, "why": str(error)}).encode())
        return 2
    connection.send_bytes(json.dumps({"ready": True}).encode())
    journal = journal_from(os.environ)
    while True:
        try:
            message = connection.recv_bytes()
        except EOFError:
            return 0
        connection.send_bytes(answer(task, json.loads(message), journal))


def answer(task: Task, message: dict[str, Any], journal: Path | None) -> bytes:
    """Run the task for one message, and say how that went."""
    began = time.perf_counter()
    try:
        value = task.check(message["input"])
        execution = execute(task, value, message["job"], journal, "worker", alone=True)
        output = json.dumps(execution.output, allow_nan=False, separators=(",", ":"))
    except InvalidInput as error:
        return _header(ok=False, run=time.perf_counter() - began, why=str(error))
    except Exception as error:  # noqa: BLE001 - whatever a task may raise; the client hears what, the log where
        traceback.print_exc()
        return _header(ok=False, run=time.perf_counter() - began, why=reason(error))
    return _header(ok=True, run=execution.wall) + output.encode()


def die_with(parent: int) -> None:
    """See to it that this process does not outlive its parent, even in the middle of a job."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before that
            os._exit(1)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _header(**fields: Any) -> bytes:
    return json.dumps(fields).encode() + b"\n"


if __name__ == "__main__":
    sys.exit(main())
