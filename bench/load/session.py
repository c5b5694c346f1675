"""Leads one load through its phases, from the first arrival to the drained system or the cut-off."""

import logging
from bisect import bisect_right
from math import inf
from typing import Protocol

import gevent
from gevent.event import Event

from bench.load.arrivals import schedule
from bench.load.asking import Setting
from bench.load.progress import LoadPhase, Progress, Standing

log = logging.getLogger(__name__)

TICK = 0.25
"""Seconds between two reports of progress; every other one writes the records."""


class Senders(Protocol):
    """Those who start the jobs and record them: a `Crowd` in this process, or a `Fleet` of others."""

    start: float
    """When the load starts, Unix time in seconds."""
    no_more_arrivals: Event
    """Set when the last job there is has arrived."""
    idle: Event
    """Set when nothing is in flight any more, once `settle` was called."""
    failure: str
    """Why the load must not be believed, in one line; empty when nothing is wrong."""

    @property
    def standing(self) -> Standing:
        """How it is going."""

    def settle(self) -> None:
        """From now on, tell by `idle` that nothing is in flight."""

    def cut(self) -> None:
        """End now: every job in flight is recorded as unfinished. Sets both events."""

    def close(self) -> None:
        """All is over: bring in what is not recorded yet."""


class Session:
    """One load. `supervise` runs beside the senders, and when it returns all is over and recorded.

    `cut_off` ends it early, from any greenlet.
    """

    def __init__(self, setting: Setting, senders: Senders) -> None:
        self._setting = setting
        self._senders = senders
        self._clock = setting.clock
        self._assignment = setting.assignment
        load = setting.assignment.load
        self.closed = load.arrivals == "closed"
        self._schedule = [] if self.closed else schedule(load, setting.assignment.seed)
        self._phase: LoadPhase = "starting"
        self._cut = ""
        self._woken = Event()
        """Set when the load was cut off, and that is done."""
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
    def failure(self) -> str:
        """Why the load must not be believed, in one line; empty when nothing is wrong."""
        return self._senders.failure

    @property
    def progress(self) -> Progress:
        """How it is going."""
        load, now, start = self._assignment.load, self._senders.standing, self._senders.start
        elapsed = self._clock.now() - start
        total: int | None = len(self._schedule)
        if self.closed:
            total = load.size * load.jobs_per_user if load.jobs_per_user else None
        return Progress(
            phase=self._phase,
            elapsed=max(0.0, elapsed),
            total=total,
            due=now.launched if self.closed else bisect_right(self._schedule, elapsed),
            sent=now.sent,
            in_flight=now.in_flight,
            in_time=now.in_time,
            late=now.late,
            rejected=now.rejected,
            dropped=now.dropped,
            failed=now.failed,
            cpu=now.cpu,
        )

    def supervise(self) -> None:
        """Follow the load through its phases to the drained system or the cut-off, and close the books.

        Raises OSError when records can't be written; the load is cut off then.
        """
        ticker = gevent.spawn(self._tick)
        try:
            self._follow()
            self._senders.close()
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
        try:
            self._senders.cut()
        finally:
            self._setting.recorder.mark(now, "cut_off", why)
            self._woken.set()

    def _follow(self) -> None:
        load, mark = self._assignment.load, self._setting.recorder.mark
        start = self._senders.start
        window = start + load.warmup
        self._phase = "warmup"
        mark(start, "load_started")
        if self._waited_until(window):
            return
        self._phase = "window"
        mark(window, "window_started")
        end = window + load.window
        if load.jobs_per_user:
            if self._waited_for_arrivals():
                return
            end = max(window, self._senders.standing.last_arrival)
        elif self._waited_until(end) or (not self.closed and self._waited_for_arrivals()):
            return
        self._phase = "drain"
        mark(end, "window_ended")
        self._senders.settle()
        if not self._senders.idle.wait(max(0.0, end + self._assignment.drain_limit - self._clock.now())):
            self.cut_off(f"the drain limit of {self._assignment.drain_limit:.3g} s was reached")
        if not self._is_cut():
            mark(max(end, self._senders.standing.last_sign), "drained")

    def _waited_until(self, moment: float) -> bool:
        """Wait for a moment; true when the load was cut off before."""
        while not self._cut and (left := moment - self._clock.now()) > 0:
            self._woken.wait(min(left, 3600.0))
        return self._is_cut()

    def _waited_for_arrivals(self) -> bool:
        """Wait for the last arrival; true when the load was cut off before.

        Users who have a number of jobs to do, and whose system loses one, would never come to their last:
        when nothing has arrived or ended for the length of the drain limit, nothing will.
        """
        while not self._senders.no_more_arrivals.wait(TICK):
            last = max(self._senders.start, self._senders.standing.last_sign)
            if self._clock.now() - last > self._assignment.drain_limit:
                self.cut_off(f"nothing happened for {self._assignment.drain_limit:.3g} s")
        return self._is_cut()

    def _is_cut(self) -> bool:
        """Whether it was cut off; if so, wait until whoever did that is done with it."""
        if self._cut:
            self._woken.wait()
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
