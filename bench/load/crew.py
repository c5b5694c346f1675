"""A Locust worker: carries out its part of the loads that the master leads (`bench.load.fleet`)."""

import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import gevent
from gevent.event import Event

from bench.load.asking import Report, Setting
from bench.load.assignment import Assignment
from bench.load.clock import Clock
from bench.load.crowd import Crowd
from bench.load.errors import LoadError
from bench.load.exchange import origin_of
from bench.load.faces import check_answers
from bench.load.recorder import Courier
from bench.load.split import Part
from bench.load.verifier import Verifier
from bench.load.wire import PROTOCOL, SILENCE, Wire
from workloads import UnknownTask

REPORT_EVERY = 0.25
"""Seconds between two reports of this worker's records and standing."""
LEAVING = 3.0
"""Seconds to wait, when leaving, until the master has the last records."""


class Crew:
    """One worker, from load to load."""

    def __init__(
        self,
        wire: Wire,
        report: Report,
        seat: Callable[[Crowd], None],
        tell_table: Callable[[], None],
        shift: float = 0.0,
    ) -> None:
        """`seat` gets the crowd that Locust's users are to join, `tell_table` sends Locust's own figures.

        `shift` puts this worker's clock wrong by so many seconds, for tests.
        """
        self._wire = wire
        self._report = report
        self._seat = seat
        self._tell_table = tell_table
        self._shift = shift
        self._clock = Clock()
        self._courier = Courier()
        self._crowd: Crowd | None = None
        self._reporter: gevent.Greenlet | None = None
        self._load = ""
        self._heard = time.monotonic()
        self._rows = [0, 0]
        self._closed = Event()
        self._closed.set()
        wire.listen(self._hear)

    def leave(self) -> None:
        """End what is under way, and wait a moment until the master has it in its books."""
        self._finish(cut=True)
        self._closed.wait(LEAVING)
        self._closed.set()

    def _hear(self, _: str, what: str, content: dict[str, Any]) -> None:
        heard = self._clock.now()
        self._heard = time.monotonic()
        match what:
            case "muster":
                self._forget()
                self._load = content["load"]
                self._say("muster", pid=os.getpid(), host=socket.gethostname(), protocol=PROTOCOL)
            case "clock":
                self._say("clock", asked=content["asked"], heard=heard, said=self._clock.now())
            case "orders":
                self._say("orders", objection=self._prepare(content))
            case "begin":
                self._begin(content["start"])
            case "end":
                self._finish(cut=content["cut"])
            case "closed":
                self._closed.set()

    def _forget(self) -> None:
        """Begin anew: a load that this worker knows of still, the master does not."""
        crowd = self._rest()
        if crowd is not None:
            crowd.cut()
            crowd.close()
        fresh = Clock()
        self._clock = Clock(fresh.anchor + self._shift)
        self._closed.set()

    def _prepare(self, orders: dict[str, Any]) -> str:
        """Get everything ready; what stands in the way is returned in a line."""
        told = json.loads(orders["assignment"])
        assignment = Assignment.from_json(told)
        self._courier, self._rows = Courier(), [0, 0]
        try:
            origin = origin_of(orders["url"])
            check_answers(origin)
            setting = Setting(
                assignment=assignment,
                origin=origin,
                recorder=self._courier,
                verifier=Verifier(assignment.task, assignment.value),
                report=self._report,
                # From here on this worker lives in the master's time, and so do its records.
                clock=Clock(self._clock.anchor - orders["correction"]),
            )
        except (LoadError, UnknownTask) as error:
            return str(error)
        self._setting = setting
        self._crowd = Crowd(setting, Part(orders["index"], orders["of"]))
        self._seat(self._crowd)
        return ""

    def _begin(self, start: float) -> None:
        crowd = self._crowd
        if crowd is None:
            return
        crowd.begin(start)
        self._closed.clear()
        self._reporter = gevent.spawn(self._keep_reporting, crowd)

    def _keep_reporting(self, crowd: Crowd) -> None:
        while True:
            gevent.sleep(REPORT_EVERY)
            self._tell("rows", crowd)
            if time.monotonic() - self._heard > SILENCE:
                self._forget()  # the master has gone: nobody wants this load any more
                return

    def _finish(self, *, cut: bool) -> None:
        """End the load and send the rest of the records, with how many there were in all."""
        crowd = self._rest()
        if crowd is None:
            return  # it has ended, or is just being ended from elsewhere
        if cut:
            crowd.cut()
        crowd.close()
        self._tell_table()
        self._tell("ended", crowd)

    def _rest(self) -> Crowd | None:
        """Report no more; returns what was under way."""
        crowd, reporter = self._crowd, self._reporter
        self._crowd = self._reporter = None
        if reporter is not None and reporter is not gevent.getcurrent():
            reporter.kill()
        return crowd

    def _tell(self, what: str, crowd: Crowd) -> None:
        """Send what was recorded since the last time, and how this part of the load stands."""
        jobs, requests = self._courier.collect()
        self._rows[0] += jobs.count("\n")
        self._rows[1] += requests.count("\n")
        self._say(
            what,
            at=self._setting.clock.now(),
            standing=asdict(crowd.standing),
            in_flight=[(job.id, job.phase, job.arrival, job.sent) for job in crowd.in_flight],
            jobs=jobs,
            requests=requests,
            rows_of_jobs=self._rows[0],
            rows_of_requests=self._rows[1],
        )

    def _say(self, what: str, **content: Any) -> None:
        self._wire.say(what, load=self._load, **content)
