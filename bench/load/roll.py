"""The workers of one load: who they are, how far their clocks are ahead, and what they are asked."""

import json
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any

import gevent
import psutil
from gevent.queue import Empty, Queue

from bench.load import offset
from bench.load.asking import Setting
from bench.load.errors import LoadError
from bench.load.offset import Exchange, Offset
from bench.load.progress import Standing
from bench.load.split import Part
from bench.load.wire import PROTOCOL, Wire

CALLING, TAKING = 10.0, 30.0
"""Seconds that workers get to answer a call, and to take their orders."""
MEASURING, MEASURING_AGAIN = 3.0, 1.0
"""Seconds at most for measuring the clocks, before and after the load."""
EXCHANGES = 12
"""Of clock readings at least."""
WELL_KNOWN = 0.1
"""Share of the limit at which a clock is known well enough to stop measuring it."""
UNKNOWN = Offset(0.0, inf)


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
    booked: int = 0
    """Of a lost one: its arrivals that are in the books."""


class Roll:
    """All workers of a load. What one of them can't do is raised as LoadError, in one line that names it."""

    def __init__(self, wire: Wire, setting: Setting) -> None:
        """Take the workers that are there now."""
        self._wire = wire
        self._setting = setting
        self._clock = setting.clock
        self._load = uuid.uuid4().hex
        self.limit = offset.limit(setting.assignment.deadline)
        """Seconds by which their clocks may be uncertain, and may drift."""
        ids = wire.workers()
        self.members = {
            id: Member(id, Part(n, len(ids)), f"worker {n + 1} of {len(ids)}") for n, id in enumerate(ids)
        }
        self._forked = {process.pid: process for process in psutil.Process().children()}

    def call(self) -> None:
        """Find out who they are, and how far their clocks are ahead."""
        bound = self._setting.assignment.max_in_flight
        if bound < len(self.members):
            raise LoadError(f"--max-in-flight {bound} can't be divided among {len(self.members)} workers")
        self.each(self._meet)
        self.each(self._measure_clock)

    def give_orders(self) -> None:
        """Tell each what its part is; when this returns, all are ready to begin."""
        self.each(self._order)

    def clock_after(self, member: Member) -> Offset | None:
        """How far its clock is ahead after the load; None when it does not say."""
        return self._clock_of(member, MEASURING_AGAIN)

    def each(self, do: Callable[[Member], None]) -> None:
        """Do something with all that are not lost, side by side; the first LoadError is raised."""

        def attempt(member: Member) -> LoadError | None:
            try:
                do(member)
            except LoadError as error:  # a greenlet that raised would print it, too
                return error
            return None

        doing = [gevent.spawn(attempt, member) for member in self.members.values() if not member.lost]
        gevent.joinall(doing)
        for error in (greenlet.get() for greenlet in doing):
            if error is not None:
                raise error

    def sort(self, id: str, what: str, content: dict[str, Any]) -> Member | None:
        """Take in a message; returns whose it is where it is a report, and no answer that is waited for."""
        here = self._clock.now()
        member = self.members.get(id)
        if member is None or content.pop("load") != self._load:
            return None  # of an earlier load
        member.silence = 0.0
        if what in ("rows", "ended"):
            return member
        member.answers.put((what, {**content, "here": here}))
        return None

    def _meet(self, member: Member) -> None:
        said = self._ask(member, CALLING, "muster", load=self._load)
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
        if found is None or found.uncertainty > self.limit:
            known = "can't be read" if found is None else f"is known to {found.uncertainty * 1e3:.1f} ms only"
            raise LoadError(
                f"the clock of {member.name} {known}, and this load needs {self.limit * 1e3:.0f} ms "
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
            if len(exchanges) >= EXCHANGES and known.uncertainty <= WELL_KNOWN * self.limit:
                break
            gevent.sleep(0.001)
        return offset.best(exchanges) if exchanges else None

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
