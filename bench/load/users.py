"""Locust's side: the user classes, and how a test in Locust becomes a session of ours.

Locust's users decide nothing about the load. In the open model one of them works off the schedule; in the
closed model each of them is one of the N users, so the number in Locust's web page is the number of users.
"""

import gc
import logging
from collections.abc import Callable
from typing import Any, ClassVar

import gevent
from locust import User, task
from locust.env import Environment
from locust.exception import StopTest, StopUser
from locust.runners import STATE_CLEANUP, STATE_STOPPED

from bench.load.asking import Report, Setting
from bench.load.errors import LoadError
from bench.load.session import Session

log = logging.getLogger(__name__)

BAD_USAGE, CANT_RECORD = 2, 3
"""Exit codes."""


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


class SessionUser(User):
    """A user of a session; `in_session` makes the class that Locust is given for a test."""

    abstract = True
    session: ClassVar[Session]

    @classmethod
    def in_session(cls, session: Session) -> "type[SessionUser]":
        """Return this class, bound to a session."""
        return type(cls.__name__, (cls,), {"session": session})


class OpenArrivals(SessionUser):
    """Open model: jobs come by schedule, whatever the system does. There is one, whatever -u says."""

    fixed_count = 1

    @task
    def arrivals(self) -> None:
        """Start every job when it is due."""
        self.session.dispatch()
        self.session.over.wait()
        raise StopUser


class ClosedUsers(SessionUser):
    """Closed model: each user has one job at a time, and thinks between them."""

    @task
    def jobs(self) -> None:
        """Submit, wait for the result, think; until the window ends."""
        self.session.use()
        self.session.over.wait()
        raise StopUser


class Tests:
    """Makes a session of every test that Locust starts, and ends the test when the session is over."""

    def __init__(self, environment: Environment, prepare: Callable[[], Setting]) -> None:
        """`prepare` gives each test what it works with; it may raise LoadError."""
        self._environment = environment
        self._prepare = prepare
        self._session: Session | None = None
        hooks: Any = environment.events  # Locust leaves their functions untyped
        hooks.test_start.add_listener(self._on_test_start)
        hooks.test_stopping.add_listener(self._on_test_stopping)
        hooks.quitting.add_listener(self._on_test_stopping)

    def stop(self, why: str) -> None:
        """Cut the running test off and leave Locust, also where it has a web page."""
        if self._session is not None:
            self._session.cut_off(why)
        if self._environment.runner is not None:
            self._environment.runner.quit()

    def _on_test_start(self, **_: Any) -> None:
        environment = self._environment
        # What was made so far lives as long as the process: no need to walk it again and again, which shows
        # as pauses of 10 to 30 ms in the send delay.
        gc.collect()
        gc.freeze()
        try:
            session = Session(self._prepare())
        except (LoadError, OSError) as error:
            environment.process_exit_code = BAD_USAGE
            raise StopTest(f"queuebench: {error}") from None
        self._session = session
        log.info(session.plan)
        model = ClosedUsers if session.closed else OpenArrivals
        environment.user_classes = [model.in_session(session)]
        gevent.spawn(self._supervise, session)

    def _supervise(self, session: Session) -> None:
        try:
            session.supervise()
        except OSError as error:
            log.error("queuebench: records can't be written: %s", error.strerror or error)
            self._environment.process_exit_code = CANT_RECORD
        runner = self._environment.runner
        if runner is None or runner.state in (STATE_CLEANUP, STATE_STOPPED):
            return  # Locust is ending the test already: that is what cut the session off
        if self._environment.web_ui is None:
            runner.quit()
        else:
            runner.stop()

    def _on_test_stopping(self, **_: Any) -> None:
        """Somebody ends the test, or all of Locust: the records come first."""
        if self._session is not None:
            self._session.cut_off("stopped")
            self._session.over.wait(10)
