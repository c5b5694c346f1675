"""The users of one process: starts jobs when they are due, and accounts for every one of them."""

import logging
import time
import uuid
from collections import Counter
from math import inf

import gevent
from gevent.event import Event

from bench.load.arrivals import phase_of, schedule
from bench.load.asking import Asking, Setting
from bench.load.clients import Job, Manner, client_for
from bench.load.connections import connections_possible
from bench.load.progress import Standing
from bench.load.retries import Retries
from bench.load.split import WHOLE, Part

log = logging.getLogger(__name__)

LEAD = 0.2
"""Seconds before an open load starts: Locust takes some to spawn its user, and the first job must not be late
for that."""
DROPPED_PAUSE = 0.1
"""Seconds until a closed user whose job was dropped tries its next, at least: it must not spin."""


class Crowd:
    """A load's users, or the part of them that this process has.

    Open loads: one greenlet runs `dispatch`. Closed: each user's greenlet runs `use`. `bench.load.session`
    leads them through the load and ends it.
    """

    def __init__(self, setting: Setting, part: Part = WHOLE) -> None:
        """Raises ValueError when the assignment's face is not known yet."""
        assignment = setting.assignment
        if assignment.face is None:
            raise ValueError("how the system is spoken to has not been found out")
        self._setting = setting
        self._clock = setting.clock
        self._assignment = assignment
        self._client = client_for(assignment.face)
        self._manner = Manner(
            assignment.value,
            assignment.patience,
            assignment.poll_interval,
            setting.verifier,
            setting.origin.prefix,
            Retries(assignment.retry, assignment.seed + part.index, setting.clock.now),
        )
        self._attempt_limit = assignment.retry.after or inf
        load = assignment.load
        self.closed = load.arrivals == "closed"
        # Past its limit on open files the generator's own failure would pass for the system's.
        self._bound = min(part.amount(assignment.max_in_flight), connections_possible())
        self._schedule = [] if self.closed else part.arrivals(schedule(load, assignment.seed))
        self.start = self._clock.now() + (0.0 if self.closed else LEAD)
        """When the load starts, Unix time in seconds."""
        self._counts: Counter[str] = Counter()
        self._in_flight: dict[str, tuple[Job, gevent.Greenlet]] = {}
        self._last_sign = self._last_arrival = self.start
        self._users_done = 0
        self._ended = self._settling = False
        self.no_more_arrivals = Event()
        """Set when every job of the schedule, or of users with a number of jobs, has arrived."""
        self.idle = Event()
        """Set when nothing is in flight any more, once `settle` was called."""
        self.over = Event()
        """Set when everything has ended."""
        self.failure = ""

    @property
    def standing(self) -> Standing:
        """How it is going."""
        counts = self._counts
        return Standing(
            launched=counts["launched"],
            sent=counts["sent"],
            in_flight=len(self._in_flight),
            in_time=counts["in time"],
            late=counts["late"],
            rejected=counts["rejected"],
            dropped=counts["dropped"],
            failed=counts["failed"],
            users_done=self._users_done,
            arrivals_over=self.no_more_arrivals.is_set(),
            last_arrival=self._last_arrival,
            last_sign=self._last_sign,
            cpu=time.process_time(),
        )

    @property
    def in_flight(self) -> list[Job]:
        """Jobs that have arrived and not ended."""
        return [job for job, _ in self._in_flight.values()]

    def begin(self, start: float) -> None:
        """Where this is one part of many: let it begin when all do, at `start`."""
        self.start = self._last_sign = self._last_arrival = start
        if not self.closed:
            gevent.spawn(self.dispatch)

    def dispatch(self) -> None:
        """Open load: start one job at each arrival, whatever the system does. Returns after the last."""
        for offset in self._schedule:
            due = self.start + offset
            ahead = due - self._clock.now()
            if ahead > 0:
                gevent.sleep(ahead)
            if self._ended:
                return
            self._launch(due)
        self.no_more_arrivals.set()

    def use(self) -> None:
        """Closed load: be one user, one job at a time. Returns when this user starts no more jobs."""
        load = self._assignment.load
        gevent.sleep(max(0.0, self.start - self._clock.now()))
        end = self.start + load.warmup + load.window
        jobs = 0
        while not self._ended:
            now = self._clock.now()
            if jobs >= load.jobs_per_user > 0 or (not load.jobs_per_user and now >= end):
                break
            job = self._launch(now)
            if job is not None:
                try:
                    job.join()
                finally:
                    job.kill()  # only where this user was itself taken away in the middle of its job
            jobs += 1
            gevent.sleep(max(load.think, 0.0 if job is not None else DROPPED_PAUSE))
        self._users_done += 1
        if load.jobs_per_user and self._users_done >= load.size:
            self.no_more_arrivals.set()

    def settle(self) -> None:
        """From now on, tell by `idle` that nothing is in flight."""
        self._settling = True
        if not self._in_flight:
            self.idle.set()

    def cut(self) -> None:
        """End now: nothing more arrives, and every job in flight is recorded as unfinished."""
        self._ended = True
        now = self._clock.now()
        gevent.killall([runner for _, runner in self._in_flight.values()], block=True, timeout=5)
        for job in self.in_flight:  # killed before it could begin
            job.done = now
            self._end(job)
        self.no_more_arrivals.set()
        self.idle.set()

    def close(self) -> None:
        """Let everybody go who waits for the end."""
        self._ended = True
        self.over.set()

    def _launch(self, arrival: float) -> gevent.Greenlet | None:
        """Start a job that is due; None when the bound on jobs in flight drops it."""
        job = Job(
            id=uuid.uuid4().hex,
            phase=phase_of(self._assignment.load, arrival - self.start),
            arrival=arrival,
        )
        self._counts["launched"] += 1
        self._last_arrival = max(self._last_arrival, arrival)
        self._last_sign = max(self._last_sign, arrival)
        if len(self._in_flight) >= self._bound:
            job.outcome = "dropped"
            job.error = f"{self._bound:,} jobs were in flight"
            job.done = self._clock.now()
            self._record(job)
            return None
        runner = gevent.Greenlet(self._run, job)
        self._in_flight[job.id] = (job, runner)
        runner.start()
        return runner

    def _run(self, job: Job) -> None:
        self._counts["sent"] += 1
        ask = Asking(job, self._setting, self._manner.patience, self._attempt_limit)
        try:
            job.outcome = self._client(job, ask, self._manner)
        except gevent.GreenletExit:
            job.outcome = "unfinished"
            job.done = self._clock.now()
        except Exception as error:  # a fault of ours must not leave a job out of the books
            log.exception("a client failed")
            job.outcome, job.error = "error", f"client: {type(error).__name__}: {error}"[:200]
            job.done = self._clock.now()
        finally:
            ask.close()
        self._end(job)

    def _end(self, job: Job) -> None:
        if self._in_flight.pop(job.id, None) is None:
            return
        self._last_sign = max(self._last_sign, job.done)
        self._record(job)
        if self._settling and not self._in_flight:
            self.idle.set()

    def _record(self, job: Job) -> None:
        self._setting.recorder.job(job)
        took = job.done - job.arrival
        late = job.outcome == "ok" and took > self._assignment.deadline
        kind = "late" if late else "in time" if job.outcome == "ok" else job.outcome
        self._counts[kind if kind in ("in time", "late", "rejected", "dropped") else "failed"] += 1
        failure = "" if kind == "in time" else kind + (f" (HTTP {job.status})" if job.status >= 400 else "")
        self._setting.report("JOB", self._assignment.label, took, 0, failure)
