"""Locust's master: leads workers, on this or other machines, through one load, and keeps their books.

For each load the workers are called, their clocks measured, the work divided, and all begin at one instant.
They send what they record a few times a second, in the master's clock. A load that loses a worker is cut off:
what the others are still offering is not the load that was asked for.
"""

import json
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any, TypeVar

import gevent
import psutil
from gevent.event import Event
from gevent.queue import Empty, Queue

from bench.load import offset
from bench.load.arrivals import phase_of, schedule
from bench.load.asking import Setting
from bench.load.clients import Job
from bench.load.errors import LoadError
from bench.load.offset import Exchange, Offset
from bench.load.progress import Standing, together
from bench.load.split import Part
from bench.load.wire import PROTOCOL, SILENCE, Wire

LEAD = 0.5
"""Seconds from the word to begin to the beginning: the word must have reached every worker by then."""
LOOK_EVERY = 0.25
CALLING, TAKING, ENDING = 10.0, 30.0, 6.0
"""Seconds that workers get to answer a call, to take their orders, and to send the last of their records."""
PARTING = 2.0
"""Seconds after which a worker that has left is missed: Ctrl-C on a terminal reaches all processes, in any
order."""
MEASURING, MEASURING_AGAIN = 3.0, 1.0
"""Seconds at most for measuring the clocks, before and after the load."""
EXCHANGES = 12
"""Of clock readings at least."""
WELL_KNOWN = 0.1
"""Share of the limit at which a clock is known well enough to stop measuring it."""

UNKNOWN = Offset(0.0, inf)
Found = TypeVar("Found")


@dataclass
class Member:
    """One worker and what is known of it."""

    id: str
    part: Part
    name: str
    pid: int = 0
    clock: Offset = UNKNOWN
    answers: Queue = field(default_factory=Queue)
    at: float = -inf
    """Of its last report, Unix time in seconds."""
    standing: Standing = field(default_factory=Standing)
    in_flight: list[tuple[str, str, float, float]] = field(default_factory=list)
    """(id, phase, arrival, sent) of its jobs, as it last said."""
    jobs: int = 0
    requests: int = 0
    """Rows that came from it."""
    process: psutil.Process | None = None
    """Where this process forked it: shows at once when it ends."""
    silence: float = 0.0
    gone: bool = False
    """Ended or lost: no more records are expected of it."""
    lost: bool = False


class Fleet:
    """The senders of a load that several workers carry out together."""

    def __init__(self, wire: Wire, setting: Setting) -> None:
        """Call the workers, and let the load begin in a moment.

        Raises LoadError, in one line, when one of them does not answer, has another version, can't do the
        work, or has a clock that can't be known well enough.
        """
        self._wire = wire
        self._id = uuid.uuid4().hex
        self._setting = setting
        self._clock = setting.clock
        self._load = setting.assignment.load
        self._limit = offset.limit(setting.assignment.deadline)
        ids = wire.workers()
        self._members = {
            id: Member(id, Part(n, len(ids)), f"worker {n + 1} of {len(ids)}") for n, id in enumerate(ids)
        }
        self.start = self._clock.now()
        self.no_more_arrivals = Event()
        self.idle = Event()
        self.failure = ""
        self.alarm: Callable[[str], None] = lambda _: None
        """Is told, in a greenlet of its own, why the load can't go on."""
        self._settled_at = inf
        self._ending = self._closed = False
        self._news = Event()
        self._forked = {process.pid: process for process in psutil.Process().children()}
        wire.listen(self._hear)
        self._call()
        self._send_off()
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
        self._each(self._look_at_clock_again)

    # Before the load

    def _call(self) -> None:
        """Find out who is there, and how far their clocks are ahead."""
        if self._setting.assignment.max_in_flight < len(self._members):
            raise LoadError(
                f"--max-in-flight {self._setting.assignment.max_in_flight} can't be divided among "
                f"{len(self._members)} workers"
            )
        self._each(self._meet)
        self._each(self._measure_clock)

    def _meet(self, member: Member) -> None:
        said = self._ask(member, CALLING, "muster", load=self._id)
        if said is None:
            raise LoadError(
                f"{member.name} ({member.id}) does not answer: start workers with "
                "`locust -f bench/scenarios.py --worker`"
            )
        member.pid = said["pid"]
        member.process = self._forked.get(member.pid) if said["host"] == socket.gethostname() else None
        member.name += f" (pid {said['pid']} on {said['host']})"
        if said["protocol"] != PROTOCOL:
            raise LoadError(f"{member.name} has another version of Queuebench; install the same everywhere")

    def _measure_clock(self, member: Member) -> None:
        found = self._clock_of(member, MEASURING)
        if found is None or found.uncertainty > self._limit:
            known = "can't be read" if found is None else f"is known to {found.uncertainty * 1e3:.1f} ms only"
            raise LoadError(
                f"the clock of {member.name} {known}, and this load needs {self._limit * 1e3:.0f} ms "
                "(2 % of the deadline, 5 ms at least): bring the worker nearer, or use a quieter machine"
            )
        member.clock = found

    def _clock_of(self, member: Member, seconds: float) -> Offset | None:
        """Measure until the clock is known well, or for these seconds; None when no answer came."""
        exchanges: list[Exchange] = []
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            asked = self._clock.now()
            said = self._ask(member, until - time.monotonic(), "clock", asked=asked)
            if said is None:
                break
            exchanges.append(Exchange(said["asked"], said["heard"], said["said"], said["here"]))
            known = offset.best(exchanges)
            if len(exchanges) >= EXCHANGES and known.uncertainty <= WELL_KNOWN * self._limit:
                break
            gevent.sleep(0.001)
        return offset.best(exchanges) if exchanges else None

    def _send_off(self) -> None:
        """Give each its orders, and when all have taken them, the instant at which they begin."""
        self._each(self._order)
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

    def _order(self, member: Member) -> None:
        said = self._ask(
            member,
            TAKING,
            "orders",
            assignment=json.dumps(asdict(self._setting.assignment)),
            url=self._setting.origin.url,
            index=member.part.index,
            of=member.part.of,
            correction=member.clock.correction,
        )
        why = "it took no orders" if said is None else said["objection"]
        if why:
            raise LoadError(f"{member.name}: {why}")

    # During the load

    def _hear(self, id: str, what: str, content: dict[str, Any]) -> None:
        now = self._clock.now()
        member = self._members.get(id)
        if member is None or content.pop("load") != self._id:
            return  # of an earlier load
        member.silence = 0.0
        if what not in ("rows", "ended"):
            member.answers.put((what, {**content, "here": now}))
        elif not member.gone:
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
        why = "its worker was lost"
        for id, phase, arrival, sent in member.in_flight:
            self._record_lost(Job(id, phase, arrival, sent=sent, done=now, error=why), member)
        if self._load.arrivals != "closed":
            due = member.part.arrivals(schedule(self._load, self._setting.assignment.seed))
            for n, planned in enumerate(due[member.standing.launched :], start=member.standing.launched):
                if self.start + planned > now:
                    break
                phase = phase_of(self._load, planned)
                id = f"lost-{member.part.index}-{n}"
                self._record_lost(Job(id, phase, self.start + planned, done=now, error=why), member)
        self._lost(member, f"{member.name} was lost: {how}")
        self._look()

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
        found = self._clock_of(member, MEASURING_AGAIN)
        if found is None:
            return
        drift = offset.moved(member.clock, found)
        self._setting.recorder.mark(
            self._clock.now(),
            "clock_drifted" if drift > self._limit else "clock",
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

    # Asking

    def _each(self, do: Callable[[Member], Found]) -> list[Found]:
        """Do something with all who are there, side by side; the first error is raised."""
        doing = [gevent.spawn(do, member) for member in self._members.values() if not member.lost]
        gevent.joinall(doing)
        return [greenlet.get() for greenlet in doing]

    def _ask(self, member: Member, seconds: float, what: str, **content: Any) -> dict[str, Any] | None:
        """Ask and wait for the answer, which has the same name; None when none came."""
        self._wire.say(what, member.id, **content)
        until = time.monotonic() + seconds
        try:
            while True:
                heard, said = member.answers.get(timeout=max(0.0, until - time.monotonic()))
                if heard == what:
                    found: dict[str, Any] = said
                    return found
        except Empty:
            return None


def has_ended(process: psutil.Process) -> bool:
    """Whether a child has ended, waited for or not."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
