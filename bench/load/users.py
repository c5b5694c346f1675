"""Locust's side: the user classes, and how a test in Locust becomes a session of ours.

Locust's users decide nothing about the load. In the open model one of them works off the schedule; in the
closed model each of them is one of the N users, so the number in Locust's web page is the number of users.
Among several processes it is the same, but that each works off its own part of the schedule.
"""

import gc
import logging
from collections.abc import Callable
from typing import Any, ClassVar

import gevent
from locust import User, task
from locust.env import Environment
from locust.exception import StopTest, StopUser
from locust.runners import STATE_CLEANUP, STATE_STOPPED, STATE_STOPPING, MasterRunner

from bench.load.asking import Report, Setting
from bench.load.crew import Crew
from bench.load.crowd import Crowd
from bench.load.errors import LoadError
from bench.load.fleet import Fleet
from bench.load.session import Session
from bench.load.wire import Wire

log = logging.getLogger(__name__)

BAD_USAGE, INCOMPLETE = 2, 3
"""Exit codes."""
CLOSING = 20.0
"""Seconds to wait, where somebody ends the test, until its records are written."""


def reporter(environment: Environment) -> Report:
    """A way to put a line into Locust's tables."""
    hooks: Any = environment.events  # Locust leaves their functions untyped
    fire = hooks.request.fire

    def report(kind: str, name: str, seconds: float, size: int, failure: str) -> None:
        fire(
            request_type=kind,
            name=name,
            response_time=seconds * 1000,
            response_length=size,
            exception=failure or None,
            context={},
        )

    return report


class CrowdUser(User):
    """A user of a crowd; `of` makes the class that Locust is given for a test."""

    abstract = True
    crowd: ClassVar[Crowd | None] = None

    @classmethod
    def of(cls, crowd: Crowd) -> "type[CrowdUser]":
        """Return this class, bound to a crowd."""
        return type(cls.__name__, (cls,), {"crowd": crowd})


class OpenArrivals(CrowdUser):
    """Open model: jobs come by schedule, whatever the system does. There is one, whatever -u says."""

    fixed_count = 1

    @task
    def arrivals(self) -> None:
        """Start every job when it is due."""
        if self.crowd is not None:
            self.crowd.dispatch()
            self.crowd.over.wait()
        raise StopUser


class ClosedUsers(CrowdUser):
    """Closed model: each user has one job at a time, and thinks between them."""

    @task
    def jobs(self) -> None:
        """Submit, wait for the result, think; until the window ends."""
        if self.crowd is not None:
            self.crowd.use()
            self.crowd.over.wait()
        raise StopUser


class SharedUsers(CrowdUser):
    """Either model, among several processes: the master says too late which, for Locust to choose a class."""

    @task
    def take_part(self) -> None:
        """Be one of the closed model's users; in the open model each process follows its schedule anyway."""
        if self.crowd is not None:
            if self.crowd.closed:
                self.crowd.use()
            self.crowd.over.wait()
        raise StopUser


class Tests:
    """Makes a session of every test that Locust starts, and ends the test when the session is over."""

    def __init__(
        self, environment: Environment, prepare: Callable[[], Setting], wire: Wire | None = None
    ) -> None:
        """`prepare` gives each test what it works with; it may raise LoadError. `wire` leads to workers."""
        self._environment = environment
        self._prepare = prepare
        self._wire = wire
        self._session: Session | None = None
        self._fleet: Fleet | None = None
        if wire is not None:
            environment.user_classes = [SharedUsers]
        hooks: Any = environment.events  # Locust leaves their functions untyped
        hooks.test_start.add_listener(self._on_test_start)
        hooks.test_stopping.add_listener(self._on_test_stopping)
        hooks.quitting.add_listener(self._on_test_stopping)
        hooks.worker_connect.add_listener(self._on_worker_connect)

    def stop(self, why: str) -> None:
        """Cut the running test off and leave Locust, also where it has a web page."""
        if self._session is not None:
            self._session.cut_off(why)
        if self._environment.runner is not None:
            self._environment.runner.quit()

    def _on_test_start(self, **_: Any) -> None:
        tidy_memory()
        self._session = self._fleet = None
        try:
            setting = self._prepare()
            self._session = self._gather(setting)
        except (LoadError, OSError) as error:
            self._refuse(str(error))
            return
        log.info(self._session.plan)
        gevent.spawn(self._supervise, self._session)

    def _gather(self, setting: Setting) -> Session:
        """Have those ready who carry the load out: users here, or workers that begin in a moment."""
        if self._wire is None:
            crowd = Crowd(setting)
            model = ClosedUsers if crowd.closed else OpenArrivals
            self._environment.user_classes = [model.of(crowd)]
            return Session(setting, crowd)
        fleet = Fleet(self._wire, setting)
        session = Session(setting, fleet)
        fleet.alarm = session.cut_off
        fleet.begin()
        self._fleet = fleet
        return session

    def _refuse(self, why: str) -> None:
        """End a test that can't begin."""
        self._environment.process_exit_code = BAD_USAGE
        if self._wire is None:
            raise StopTest(f"queuebench: {why}")
        log.error("queuebench: %s", why)  # a master knows no StopTest
        gevent.spawn(self._end_test)

    def _supervise(self, session: Session) -> None:
        try:
            session.supervise()
        except OSError as error:
            log.error("queuebench: records can't be written: %s", error.strerror or error)
            self._environment.process_exit_code = INCOMPLETE
        if session.failure:
            log.error("queuebench: %s", session.failure)
            self._environment.process_exit_code = INCOMPLETE
        self._end_test()

    def _end_test(self) -> None:
        runner = self._environment.runner
        if runner is None or runner.state in (STATE_CLEANUP, STATE_STOPPING, STATE_STOPPED):
            return  # Locust is ending the test already: that is what cut the session off
        if self._environment.web_ui is None:
            runner.quit()
            return
        while isinstance(runner, MasterRunner) and not runner.spawning_completed:
            gevent.sleep(0.1)  # it would pass over a stop while it spawns
        runner.stop()

    def _on_worker_connect(self, client_id: str, **_: Any) -> None:
        if self._fleet is not None:
            self._fleet.newcomer(client_id)

    def _on_test_stopping(self, **_: Any) -> None:
        """Somebody ends the test, or all of Locust: the records come first."""
        if self._session is not None:
            self._session.cut_off("stopped")
            self._session.over.wait(CLOSING)


def join_crew(environment: Environment, wire: Wire, shift: float = 0.0) -> None:
    """Make this process, a Locust worker, one that carries out its part of the master's loads."""
    hooks: Any = environment.events  # Locust leaves their functions untyped
    environment.user_classes = [SharedUsers]
    runner: Any = environment.runner

    def seat(crowd: Crowd) -> None:
        tidy_memory()
        environment.user_classes = [SharedUsers.of(crowd)]

    def tell_table() -> None:
        # Locust would send it every three seconds, and the last a moment before the master prints it.
        figures: dict[str, Any] = {}
        hooks.report_to_master.fire(client_id=runner.client_id, data=figures)
        runner.send_message("stats", figures)

    crew = Crew(wire, reporter(environment), seat, tell_table, shift)
    hooks.test_stopping.add_listener(lambda **_: crew.leave())
    hooks.quitting.add_listener(lambda **_: crew.leave())


def tidy_memory() -> None:
    """Take what was made so far out of the garbage collector's sight.

    It lives as long as the process: no need to walk it again and again, which shows as pauses of 10 to 30 ms
    in the send delay.
    """
    gc.collect()
    gc.freeze()
