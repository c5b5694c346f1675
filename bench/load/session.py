"""Carries out one load: starts jobs when they are due, and accounts for every one of them."""

import logging
import time
import uuid
from bisect import bisect_right
from collections import Counter
from math import inf

import gevent
from gevent.event import Event

from bench.load.arrivals import phase_of, schedule
from bench.load.asking import Asking, Setting
from bench.load.clients import Job, Manner, client_for
from bench.load.exchange import connections_possible
from bench.load.progress import LoadPhase, Progress
from bench.load.retries import Retries

log = logging.getLogger(__name__)

LEAD = 0.2
"""Seconds before an open load starts: Locust takes some to spawn its user, and the first job must not be late
for that."""
TICK = 0.25
"""Seconds between two reports of progress; every other one writes the records."""
DROPPED_PAUSE = 0.1
"""Seconds until a closed user whose job was dropped tries its next, at least: it must not spin."""


class Session:
    """One load, from its first arrival to its last result or the cut-off.

    Open loads: one greenlet runs `dispatch`. Closed: each user's greenlet runs `use`. `supervise` runs beside
    them, and when it returns all is over and recorded. `cut_off` ends it early, from any greenlet.
    """

    def __init__(self, setting: Setting) -> None:
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
            Retries(assignment.retry, assignment.seed, setting.clock.now),
        )
        self._attempt_limit = assignment.retry.after or inf
        load = assignment.load
        self.closed = load.arrivals == "closed"
        # Past its limit on open files the generator's own failure would pass for the system's.
        self._bound = min(assignment.max_in_flight, connections_possible())
        self._schedule = [] if self.closed else schedule(load, assignment.seed)
        self._start = self._clock.now() + (0.0 if self.closed else LEAD)
        self._counts: Counter[str] = Counter()
        self._in_flight: dict[str, tuple[Job, gevent.Greenlet]] = {}
        self._last_sign = self._start
        """When a job last arrived or ended."""
        self._last_arrival = self._start
        self._users_done = 0
        self._phase: LoadPhase = "starting"
        self._no_more_arrivals = Event()
        self._idle = Event()
        self._cut = ""
        self.over = Event()
        """Set when everything has ended and is written."""

    @property
    def plan(self) -> str:
        """What this session is about to do, in one line."""
        load = self._assignment.load
        drain = f"then up to {self._assignment.drain_limit:g} s for what is under way"
        length = f"for {load.warmup + load.window:g} s" if load.window < inf else "until stopped"
        match load.arrivals:
            case "burst":
                return f"a burst of {load.size} jobs, {drain}"
            case "pulse" | "stairs":
                rates = " → ".join(f"{step.rate:.3g}" for step in load.steps)
                return f"{len(self._schedule)} arrivals at {rates} a second {length}, {drain}"
            case "closed":
                jobs = f"with {load.jobs_per_user} jobs each" if load.jobs_per_user else length
                return f"users with one job at a time {jobs}, {drain}"
            case _:
                return f"{len(self._schedule)} {load.arrivals} arrivals at {load.rate:g}/s {length}, {drain}"

    @property
    def progress(self) -> Progress:
        """How it is going."""
        load, counts = self._assignment.load, self._counts
        total: int | None = len(self._schedule)
        if self.closed:
            total = load.size * load.jobs_per_user if load.jobs_per_user else None
        return Progress(
            phase=self._phase,
            elapsed=max(0.0, self._clock.now() - self._start),
            total=total,
            due=self._due(),
            sent=counts["sent"],
            in_flight=len(self._in_flight),
            in_time=counts["in time"],
            late=counts["late"],
            rejected=counts["rejected"],
            dropped=counts["dropped"],
            failed=counts["failed"],
            cpu=time.process_time(),
        )

    def _due(self) -> int:
        if self.closed:
            return self._counts["launched"]
        return bisect_right(self._schedule, self._clock.now() - self._start)

    def dispatch(self) -> None:
        """Open load: start one job at each arrival, whatever the system does. Returns after the last."""
        for offset in self._schedule:
            due = self._start + offset
            ahead = due - self._clock.now()
            if ahead > 0:
                gevent.sleep(ahead)
            if self._cut:
                return
            self._launch(due)
        self._no_more_arrivals.set()

    def use(self) -> None:
        """Closed load: be one user, one job at a time. Returns when this user starts no more jobs."""
        load = self._assignment.load
        end = self._start + load.warmup + load.window
        jobs = 0
        while not self._cut:
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
            self._no_more_arrivals.set()

    def supervise(self) -> None:
        """Follow the load through its phases to the drained system or the cut-off, and close the books.

        Raises OSError when records can't be written; the load is cut off then.
        """
        ticker = gevent.spawn(self._tick)
        try:
            self._follow()
        finally:
            ticker.kill()
            self._phase = "done"
            try:
                self._setting.recorder.progress(self.progress)
                self._setting.recorder.close()
            finally:
                self.over.set()

    def cut_off(self, why: str) -> None:
        """End now: nothing more arrives, and every job in flight is recorded as unfinished."""
        if self._cut or self.over.is_set():
            return
        self._cut = why
        now = self._clock.now()
        gevent.killall([runner for _, runner in self._in_flight.values()], block=True, timeout=5)
        for job, _ in list(self._in_flight.values()):  # killed before it could begin
            job.done = now
            self._end(job)
        self._setting.recorder.mark(now, "cut_off", why)
        self._no_more_arrivals.set()
        self._idle.set()

    # Phases

    def _follow(self) -> None:
        load, mark = self._assignment.load, self._setting.recorder.mark
        window = self._start + load.warmup
        self._phase = "warmup"
        mark(self._start, "load_started")
        if self._waited_until(window):
            return
        self._phase = "window"
        mark(window, "window_started")
        end = window + load.window
        if load.jobs_per_user:
            if self._waited_for_arrivals():
                return
            end = max(window, self._last_arrival)
        elif self._waited_until(end) or (not self.closed and self._waited_for_arrivals()):
            return
        self._phase = "drain"
        mark(end, "window_ended")
        self._settle()
        if not self._idle.wait(max(0.0, end + self._assignment.drain_limit - self._clock.now())):
            self.cut_off(f"the drain limit of {self._assignment.drain_limit:.3g} s was reached")
        if not self._cut:
            mark(max(end, self._last_sign), "drained")

    def _waited_until(self, moment: float) -> bool:
        """Wait for a moment; true when the load was cut off before."""
        while not self._cut and (left := moment - self._clock.now()) > 0:
            self._idle.wait(min(left, 3600.0))
        return bool(self._cut)

    def _waited_for_arrivals(self) -> bool:
        """Wait for the last arrival; true when the load was cut off before.

        Users who have a number of jobs to do, and whose system loses one, would never come to their last:
        when nothing has arrived or ended for the length of the drain limit, nothing will.
        """
        while not self._no_more_arrivals.wait(TICK):
            if self._clock.now() - self._last_sign > self._assignment.drain_limit:
                self.cut_off(f"nothing happened for {self._assignment.drain_limit:.3g} s")
        return bool(self._cut)

    def _tick(self) -> None:
        turn = 0
        while True:
            try:
                self._setting.recorder.progress(self.progress)
                if turn % 2:
                    self._setting.recorder.flush()
            except OSError as error:  # told again, and to the caller, when `supervise` closes the books
                self.cut_off(f"records can't be written: {error.strerror or error}")
                return
            gevent.sleep(TICK)
            turn += 1

    # Jobs

    def _launch(self, arrival: float) -> gevent.Greenlet | None:
        """Start a job that is due; None when the bound on jobs in flight drops it."""
        job = Job(
            id=uuid.uuid4().hex,
            phase=phase_of(self._assignment.load, arrival - self._start),
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
        if self._phase == "drain":
            self._settle()

    def _settle(self) -> None:
        if not self._in_flight:
            self._idle.set()

    def _record(self, job: Job) -> None:
        self._setting.recorder.job(job)
        took = job.done - job.arrival
        late = job.outcome == "ok" and took > self._assignment.deadline
        kind = "late" if late else "in time" if job.outcome == "ok" else job.outcome
        self._counts[kind if kind in ("in time", "late", "rejected", "dropped") else "failed"] += 1
        failure = "" if kind == "in time" else kind + (f" (HTTP {job.status})" if job.status >= 400 else "")
        self._setting.report("JOB", self._assignment.label, took, 0, failure)
