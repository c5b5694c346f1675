"""Runs tasks in a child process that is kept warm, so that a job can neither block nor kill the worker."""

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from multiprocessing.connection import Connection

from queued.errors import QueuedError
from queued.job import MAX_OUTPUT, Done, Failed, Job, Outcome
from queued.problem import attempt_died, job_failed

log = logging.getLogger(__name__)

GRACE = 5.0
"""Seconds a child may take to go by itself."""


class CannotRun(QueuedError):
    """The child can't be started or can't load its task."""


class Executor:
    """One child process and the socket to it. Not safe to share between threads.

    The child dies with the thread that started it (Linux knows no other way), so use it from the main thread.
    """

    def __init__(self, task: str) -> None:
        self._task = task
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[bytes, bytes] | None = None
        self._ready = False

    def start(self) -> None:
        """Start the child and wait until it has loaded the task. Raises CannotRun."""
        self._spawn()
        self._warm()

    def run(self, job: Job) -> Outcome:
        """Run the job and return how it ended, whatever happens to the child. Raises CannotRun."""
        connection = self._warm()
        try:
            connection.send_bytes(json.dumps({"job": job.trace, "input": job.input}).encode())
            reply = connection.recv_bytes()
        except (EOFError, OSError):
            died = self._cause_of_death()
            log.warning("job %s: its process %s; a new one is started", job.id, died)
            self._spawn()
            return Failed(attempt_died(f"the process that ran the job {died}"))
        head, _, output = reply.partition(b"\n")
        header = json.loads(head)
        if not header["ok"]:
            return Failed(job_failed(header["why"]), header["run"])
        if len(output) > MAX_OUTPUT:
            too_long = f"its output has {len(output):,} bytes of JSON, and {MAX_OUTPUT:,} is the limit"
            return Failed(job_failed(too_long), header["run"])
        return Done(output, header["run"])

    def close(self) -> None:
        """End the child; kill it where it does not go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._end(self._process)
            self._process = None

    def _warm(self) -> "Connection[bytes, bytes]":
        """Return the connection to a child that is ready; start one anew where it died between jobs."""
        if self._process is None or self._process.poll() is not None:
            if self._process is not None:
                log.warning("the child process %s; a new one is started", self._cause_of_death())
            self._spawn()
        assert self._connection is not None  # `_spawn` has set it
        if not self._ready:
            try:
                hello = json.loads(self._connection.recv_bytes())
            except (EOFError, OSError):
                raise CannotRun(f"the process for task {self._task} {self._cause_of_death()}") from None
            if not hello["ready"]:
                raise CannotRun(hello["why"])
            self._ready = True
        return self._connection

    def _spawn(self) -> None:
        self.close()
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "queued.child", str(theirs.fileno()), str(os.getpid())],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, "QUEUED_TASK": self._task},
                )
            except OSError as error:
                ours.close()
                raise CannotRun(f"no process for task {self._task} could be started: {error}") from None
        self._connection = Connection(ours.detach())
        self._ready = False

    def _cause_of_death(self) -> str:
        assert self._process is not None  # only asked of one that was started
        code = self._end(self._process)
        if code >= 0:
            return f"ended with exit code {code}"
        with contextlib.suppress(ValueError):  # a signal without a name
            name = signal.Signals(-code).name
            return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
        return f"was killed by signal {-code}"

    @staticmethod
    def _end(process: "subprocess.Popen[bytes]") -> int:
        try:
            return process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
