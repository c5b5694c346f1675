"""Locust's master: leads workers, on this or other machines, through one load, and keeps their books.

For each load the workers are called, their clocks measured, the work divided, and all begin at one instant.
They send what they record a few times a second, in the master's clock. A load that loses a worker is cut off:
what the others are still offering is not the load that was asked for.
"""

import time
from collections.abc import Callable
from math import inf
from typing import Any

import gevent
import psutil
from gevent.event import Event

from bench.load import offset
from bench.load.arrivals import phase_of, schedule
from bench.load.asking import Setting
from bench.load.clients import Job
from bench.load.progress import Standing, together
from bench.load.roll import Member, Roll
from bench.load.wire import SILENCE, Wire

LEAD = 0.5
"""Seconds from the word to begin to the beginning: the word must have reached every worker by then."""
LOOK_EVERY = 0.25
ENDING = 6.0
"""Seconds that workers get to send the last of their records."""
PARTING = 2.0
"""Seconds after which a worker that has left is missed: Ctrl-C on a terminal reaches all processes, in any
order."""
WHY_LOST = "its worker was lost"
"""The error of its jobs in the books."""


class Fleet:
    """The senders of a load that several workers carry out together."""

    def __init__(self, wire: Wire, setting: Setting) -> None:
        """Take the workers that are there now."""
        self._wire = wire
        self._setting = setting
        self._clock = setting.clock
        self._load = setting.assignment.load
        self._roll = Roll(wire, setting)
        self._members = self._roll.members
        self.start = self._clock.now()
        self.no_more_arrivals = Event()
        self.idle = Event()
        self.failure = ""
        self.alarm: Callable[[str], None] = lambda _: None
        """Is told, in a greenlet of its own, why the load can't go on."""
        self._settled_at = inf
        self._ending = self._closed = False
        self._news = Event()

    def begin(self) -> None:
        """Call the workers, and when all are ready, let the load begin in a moment.

        Raises LoadError, in one line, when one of them does not answer, has another version, can't do the
        work, or has a clock that can't be known well enough.
        """
        self._wire.listen(self._hear)
        self._roll.call()
        self._roll.give_orders()
        self.start = self._clock.now() + LEAD
        for member in self._members.values():
            ahead, known = member.clock.ahead * 1e3, member.clock.uncertainty * 1e3
            corrected = "corrected" if member.clock.correction else "taken as the same"
            self._setting.recorder.mark(
                self.start,
                "clock",
                f"{member.name}: {ahead:+.2f} ms, known to {known:.2f} ms; {corrected}",
                member.pid,
            )
            self._wire.say("begin", member.id, start=self.start)
        self._watcher = gevent.spawn(self._watch)

    # What a session asks of its senders

    @property
    def standing(self) -> Standing:
        """How it is going, as last reported."""
        own = Standing(arrivals_over=True, cpu=time.process_time())
        return together([own, *(member.standing for member in self._members.values())])

    def settle(self) -> None:
        """From now on, tell by `idle` that nothing is in flight."""
        self._settled_at = self._clock.now()

    def cut(self) -> None:
        """End now: every worker records its jobs in flight as unfinished, and sends what it has."""
        self._finish(cut=True)
        self.no_more_arrivals.set()
        self.idle.set()

    def close(self) -> None:
        """Have the last records sent, check that they are complete, and look at the clocks again."""
        if self._closed:
            return
        self._closed = True
        self._finish(cut=False)
        self._watcher.kill()
        self._roll.each(self._look_at_clock_again)

    def newcomer(self, id: str) -> None:
        """A worker connects in the middle of the load. It takes part in the next.

        In the closed model Locust divides the users anew and ends some in the middle of their jobs: this load
        can't go on.
        """
        if id not in self._members and self._load.arrivals == "closed" and not self._ending:
            self._fail("a worker came in the middle of a load, and Locust has divided the users anew")
            gevent.spawn(self.alarm, self.failure)

    # During the load

    def _hear(self, id: str, what: str, content: dict[str, Any]) -> None:
        member = self._roll.sort(id, what, content)
        if member is None or member.gone:
            return
        self._take(member, content)
        if what == "ended":
            self._end(member, content)
        else:
            self._wire.say("heard", id)
        self._look()

    def _take(self, member: Member, content: dict[str, Any]) -> None:
        member.at = content["at"]
        member.standing = Standing(**content["standing"])
        member.in_flight = content["in_flight"]
        jobs, requests = content["jobs"], content["requests"]
        member.jobs += jobs.count("\n")
        member.requests += requests.count("\n")
        self._setting.recorder.take(jobs, requests)

    def _end(self, member: Member, content: dict[str, Any]) -> None:
        """Its last records are here; are they all?"""
        member.gone = True
        self._wire.say("closed", member.id)
        told = (content["rows_of_jobs"], content["rows_of_requests"])
        if told != (member.jobs, member.requests) or member.standing.launched != member.jobs:
            self._fail(
                f"records are missing: {member.name} started {member.standing.launched} jobs and sent "
                f"{told[0]} and {told[1]} requests; {member.jobs} and {member.requests} came"
            )
        if not self._ending:
            gevent.spawn_later(PARTING, self._miss, member)

    def _miss(self, member: Member) -> None:
        if not self._ending:
            self._lost(member, f"{member.name} has left in the middle of the load")

    def _look(self) -> None:
        """Tell the session what it waits for, once it is so."""
        members = list(self._members.values())
        standing = self.standing
        if self._load.arrivals != "closed":
            if standing.arrivals_over:
                self.no_more_arrivals.set()
        elif self._load.jobs_per_user and standing.users_done >= self._load.size:
            self.no_more_arrivals.set()
        if all(m.gone or (m.at >= self._settled_at and not m.standing.in_flight) for m in members):
            self.idle.set()
        self._news.set()

    def _watch(self) -> None:
        """Miss workers that say nothing. While this process itself stands still no time counts."""
        while True:
            before = time.monotonic()
            gevent.sleep(LOOK_EVERY)
            passed = min(time.monotonic() - before, 2 * LOOK_EVERY)
            for member in self._members.values():
                member.silence += passed
                if member.gone:
                    continue
                if member.process is not None and has_ended(member.process):
                    self._lose(member, "its process has ended")
                elif member.silence > SILENCE:
                    self._lose(member, f"nothing came from it for {SILENCE:g} s")

    def _lose(self, member: Member, how: str) -> None:
        """Write down what a worker that has gone silent can't write any more."""
        member.gone = member.lost = True
        now = self._clock.now()
        for id, phase, arrival, sent in member.in_flight:
            self._record_lost(Job(id, phase, arrival, sent=sent, done=now, error=WHY_LOST), member)
        member.booked = member.standing.launched
        self._book_missed(member)
        self._lost(member, f"{member.name} was lost: {how}")
        self._look()

    def _book_missed(self, member: Member) -> None:
        """Write down what arrived meanwhile for a worker that was lost, and was sent by nobody."""
        if self._load.arrivals == "closed":
            return
        now = self._clock.now()
        due = member.part.arrivals(schedule(self._load, self._setting.assignment.seed))
        while member.booked < len(due) and self.start + due[member.booked] <= now:
            planned, id = due[member.booked], f"lost-{member.part.index}-{member.booked}"
            member.booked += 1
            phase = phase_of(self._load, planned)
            self._record_lost(Job(id, phase, self.start + planned, done=now, error=WHY_LOST), member)

    def _record_lost(self, job: Job, member: Member) -> None:
        member.jobs += 1
        self._setting.recorder.job(job)
        self._setting.report("JOB", self._setting.assignment.label, job.done - job.arrival, 0, job.outcome)

    def _lost(self, member: Member, why: str) -> None:
        self._setting.recorder.mark(self._clock.now(), "worker_lost", why, member.pid)
        self._fail(why)
        if not self._ending:
            gevent.spawn(self.alarm, why)

    def _fail(self, why: str) -> None:
        self.failure = self.failure or why

    # After the load

    def _look_at_clock_again(self, member: Member) -> None:
        """Whether the clocks ran apart meanwhile: what was corrected for the beginning was then wrong."""
        found = self._roll.clock_after(member)
        if found is None:
            return
        drift = offset.moved(member.clock, found)
        self._setting.recorder.mark(
            self._clock.now(),
            "clock_drifted" if drift > self._roll.limit else "clock",
            f"{member.name}: {found.ahead * 1e3:+.2f} ms, known to {found.uncertainty * 1e3:.2f} ms, "
            "after the load",
            member.pid,
        )

    def _finish(self, *, cut: bool) -> None:
        """Have every worker end, and wait until each has sent its last records or is given up."""
        self._ending = True
        waiting = [member for member in self._members.values() if not member.gone]
        for member in waiting:
            self._wire.say("end", member.id, cut=cut)
        until = time.monotonic() + ENDING
        while any(not m.gone for m in waiting) and (left := until - time.monotonic()) > 0:
            self._news.clear()
            self._news.wait(left)
        for member in waiting:
            if not member.gone:
                self._lose(member, f"it sent no last records within {ENDING:g} s")
        if cut:  # which comes a moment after the loss that is its reason, or long after
            for member in self._members.values():
                if member.lost:
                    self._book_missed(member)


def has_ended(process: psutil.Process) -> bool:
    """Whether a child has ended, waited for or not."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
