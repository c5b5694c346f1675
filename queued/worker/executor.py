"""Runs tasks in child processes that are kept warm, so that a job can neither block nor kill the worker."""

import contextlib
import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from queued.errors import QueuedError
from queued.job import Done, Failed, Job, Outcome
from queued.problem import Problem, attempt_died, job_failed
from queued.settings import Settings
from queued.worker.child import LENGTH

log = logging.getLogger(__name__)

GRACE = 5.0
"""Seconds a child may take to go by itself once its socket is closed."""
SEND_LIMIT = 5.0
"""Seconds an idle child may take to accept a job; one that does not is stuck, and replaced."""
AHEAD = 64 << 10
"""Bytes of jobs that a busy child is sent: what its socket holds without anybody reading."""
GATHER = 0.003
"""Seconds in which the replies of a lot in the middle are left to gather, where jobs are quicker than that:
each costs the worker a wake-up."""
LOOK = 1.0
"""Seconds between two looks whether a child is alive, should a process of the task's own hold its socket."""


class CannotRun(QueuedError):
    """A child can't be started or can't load its task."""


@dataclass(frozen=True)
class Ended:
    """A job ran, and this is what became of it."""

    job: Job
    outcome: Outcome


@dataclass(frozen=True)
class Progress:
    """A job that runs says how far it is."""

    job: Job
    fraction: float
    note: str | None


@dataclass(frozen=True)
class Untouched:
    """A job was not run: its child died before its turn came, or it was another's fault that it died."""

    job: Job


@dataclass(frozen=True)
class Killed:
    """A job was ended because `kill` said so."""

    job: Job


Event = Ended | Progress | Untouched | Killed


@dataclass
class Child:
    """One process and what it was given."""

    process: "subprocess.Popen[bytes]"
    socket: socket.socket
    tickets: tuple[int, int]
    """The pipe of tickets: our end to take them back, and our end to give them. See `queued.worker.child`."""
    ready: bool = False
    jobs: deque[Job] = field(default_factory=deque)
    """Given and not answered, in order: the first runs."""
    sizes: deque[int] = field(default_factory=deque)
    """Bytes that each of `jobs` was sent as."""
    lots: int = 0
    since: float = 0.0
    """When the first of `jobs` began, as far as we know (monotonic)."""
    received: bytearray = field(default_factory=bytearray)
    asleep: float | None = None
    """Its socket is not listened to until then."""
    condemned: dict[str, Failed | None] = field(default_factory=dict)
    """Job that it is killed for → what that job's end is; None: `Killed`."""
    looked: float = 0.0


class Pool:
    """A worker's children. To be used from the main thread alone: on Linux they die with the thread that
    started them.

    It adds its sockets to `selector`, with the child as data: hand those that are readable to `read`, call
    `look` in every turn, and wait no longer than `timeout` says. What happened comes by `take`.
    """

    def __init__(self, settings: Settings, selector: selectors.BaseSelector) -> None:
        self._settings = settings
        self._selector = selector
        self._children: list[Child] = []
        self._events: list[Event] = []

    @property
    def ready(self) -> bool:
        """Whether every child has loaded its task."""
        return all(child.ready for child in self._children)

    @property
    def children(self) -> Sequence[Child]:
        """All of them, busy or not."""
        return self._children

    def start(self) -> None:
        """Start the children; they are `ready` later. Raises CannotRun."""
        while len(self._children) < self._settings.concurrency:
            self._children.append(self._spawn())

    def take(self) -> list[Event]:
        """Return what has happened since the last call."""
        events, self._events = self._events, []
        return events

    def give(self, child: Child, jobs: Sequence[Job]) -> list[Job]:
        """Have the child run these jobs after what it has; gives those that it can't be sent now."""
        lot: list[Job] = []
        parts: list[bytes] = []
        size = sum(child.sizes)
        for job in jobs:
            part = json.dumps({"job": job.trace, "input": job.input}).encode()
            size += len(part)
            if size > AHEAD and (child.jobs or lot):  # only an idle child is certain to read
                break
            parts.append(part)
            lot.append(job)
        if not lot:
            return list(jobs)
        if not child.jobs:
            child.since = time.monotonic()
        child.jobs.extend(lot)
        child.sizes.extend(len(part) for part in parts)
        body = b"[" + b",".join(parts) + b"]"
        try:
            os.write(child.tickets[1], bytes([child.lots % 256]) * len(lot))
            child.lots += 1
            _send(child.socket, LENGTH.pack(len(body)) + body)
        except OSError:  # it is dead, or stuck: reading finds that out
            self._kill(child)
        return list(jobs[len(lot) :])

    def take_back(self, child: Child) -> list[Job]:
        """Take back what the child has not begun; it will not run."""
        try:
            count = len(os.read(child.tickets[0], 1 << 16))
        except BlockingIOError:
            return []
        for _ in range(count):
            child.sizes.pop()
        return list(reversed([child.jobs.pop() for _ in range(count)]))

    def kill(self, job_id: str) -> None:
        """End this job, if it runs, by ending its child; that child's other jobs come back `Untouched`."""
        for child in self._children:
            if any(job.id == job_id for job in child.jobs):
                self._condemn(child, job_id, None)

    def read(self, child: Child) -> None:
        """Read what the child says. Raises CannotRun where it can't load its task."""
        if child not in self._children:
            return
        lost = not self._receive(child)
        now = time.monotonic()
        waiting = len(child.jobs)
        while (frame := _frame(child.received)) is not None:
            head, _, output = frame.partition(b"\n")
            self._hear(child, json.loads(head), output)
        quick = now - child.since < GATHER
        if len(child.jobs) < waiting:
            child.since = now
        if lost:
            self._replace(child)
        elif quick and 1 < len(child.jobs) < waiting and child.asleep is None:
            child.asleep = now + GATHER
            self._selector.unregister(child.socket)

    def look(self) -> None:
        """Wake, judge and bury as the clock asks. Raises CannotRun."""
        now = time.monotonic()
        for child in list(self._children):
            if child.asleep is not None and now >= child.asleep:
                child.asleep = None
                self._selector.register(child.socket, selectors.EVENT_READ, child)
                self.read(child)
            limit = self._settings.time_limit
            if limit is not None and child.jobs and now - child.since > limit and not child.condemned:
                over = Failed(_too_long(limit), now - child.since, retry=True)
                self._condemn(child, child.jobs[0].id, over)
            if now - child.looked > LOOK:
                child.looked = now
                if child in self._children and child.process.poll() is not None:
                    self.read(child)
                    if child in self._children:
                        self._replace(child)

    def timeout(self, now: float) -> float | None:
        """Seconds after which `look` has something to do; None: nothing until a child speaks."""
        times = []
        limit = self._settings.time_limit
        for child in self._children:
            if child.asleep is not None:
                times.append(child.asleep)
            if child.jobs or not child.ready:
                times.append(child.looked + LOOK)
            if child.jobs and limit is not None and not child.condemned:
                times.append(child.since + limit)
        return max(0.0, min(times) - now) if times else None

    def close(self) -> None:
        """End the children: the idle go by themselves, the busy are killed."""
        for child in self._children:
            if child.jobs or not child.ready:
                self._kill(child)
            self._forget(child)
        for child in self._children:
            _end(child.process)
        self._children = []

    def _hear(self, child: Child, header: dict[str, Any], output: bytes) -> None:
        if "ready" in header:
            if not header["ready"]:
                raise CannotRun(header["why"])
            child.ready = True
        elif "progress" in header:
            if child.jobs:  # a thread that a task left behind may report after its end
                self._events.append(Progress(child.jobs[0], header["progress"], header["note"]))
        else:
            job = child.jobs.popleft()
            child.sizes.popleft()
            if header["ok"]:
                outcome: Outcome = Done(output, header["run"])
            else:
                outcome = Failed(job_failed(header["why"]), header["run"], header["retry"])
            self._events.append(Ended(job, outcome))

    def _receive(self, child: Child) -> bool:
        """Read all there is; False when there will be no more."""
        while True:
            try:
                part = child.socket.recv(1 << 18)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not part:
                return False
            child.received += part

    def _replace(self, child: Child) -> None:
        """Settle what a dead child had in hand, and start another in its place. Raises CannotRun."""
        died = _ended_how(child.process)
        self._kill(child)  # what its task may have started
        back = self.take_back(child)
        for job in child.jobs:  # begun and not answered: it was one at most
            if job.id in child.condemned:
                end = child.condemned[job.id]
                self._events.append(Killed(job) if end is None else Ended(job, end))
                at = "" if end is None else " at its time limit"
                log.info("job %s: its process was killed%s", job.id, at, extra={"job": job.id})
            elif child.condemned:
                back.insert(0, job)
            else:
                what = "job %s: its process %s; a new one is started"
                log.warning(what, job.id, died, extra={"job": job.id})
                problem = attempt_died(f"the process that ran the job {died}")
                self._events.append(Ended(job, Failed(problem, retry=True)))
        if not child.jobs and not child.condemned:
            log.warning("the child process %s; a new one is started", died)
        self._events.extend(Untouched(job) for job in back)
        self._forget(child)
        self._children.remove(child)
        if not child.ready:
            raise CannotRun(f"the process for task {self._settings.task} {died}")
        self._children.append(self._spawn())

    def _condemn(self, child: Child, job_id: str, end: Failed | None) -> None:
        for job in self.take_back(child):
            self._events.append(Killed(job) if job.id == job_id else Untouched(job))
        if all(job.id != job_id for job in child.jobs):  # it had not begun
            return
        child.condemned[job_id] = end
        self._kill(child)

    @staticmethod
    def _kill(child: Child) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)  # with what its task may have started

    def _forget(self, child: Child) -> None:
        if child.asleep is None:
            self._selector.unregister(child.socket)
        child.socket.close()
        for end in child.tickets:
            os.close(end)

    def _spawn(self) -> Child:
        ours, theirs = socket.socketpair()
        take, give = os.pipe()
        os.set_blocking(take, False)
        words = (theirs.fileno(), take, os.getpid(), self._settings.max_output)
        with theirs:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-m", "queued.worker.child", *map(str, words)],
                    pass_fds=(theirs.fileno(), take),
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, "QUEUED_TASK": self._settings.task},
                    process_group=0,
                )
            except OSError as error:
                ours.close()
                os.close(take)
                os.close(give)
                raise CannotRun(
                    f"no process for task {self._settings.task} could be started: {error}"
                ) from None
        ours.setblocking(False)
        child = Child(process, ours, (take, give), looked=time.monotonic())
        self._selector.register(ours, selectors.EVENT_READ, child)
        return child


def _send(connection: socket.socket, data: bytes) -> None:
    """Send all over a socket that does not block; what is long may take up to SEND_LIMIT. Raises OSError."""
    try:
        sent = connection.send(data)
    except BlockingIOError:
        sent = 0
    if sent < len(data):
        connection.settimeout(SEND_LIMIT)
        try:
            connection.sendall(memoryview(data)[sent:])
        finally:
            connection.setblocking(False)


def _frame(received: bytearray) -> bytes | None:
    """Cut the first whole frame off what was received; None where it is not there yet."""
    if len(received) < LENGTH.size:
        return None
    end = LENGTH.size + LENGTH.unpack_from(received)[0]
    if len(received) < end:
        return None
    frame = bytes(received[LENGTH.size : end])
    del received[:end]
    return frame


def _too_long(limit: float) -> Problem:
    return Problem(
        500, "time-limit", "The job took too long", f"it was ended at the time limit of {limit:g} s"
    )


def _ended_how(process: "subprocess.Popen[bytes]") -> str:
    code = _end(process)
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):  # a signal without a name
        name = signal.Signals(-code).name
        return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return f"was killed by signal {-code}"


def _end(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
