"""The worker: take a job, run it, store its result, and only then acknowledge it.

Three parts side by side: an I/O thread keeps the broker's connection alive (`broker.Consumer`), a child
process computes (`executor.Executor`), and this, the main thread, goes from one to the other.
"""

import logging
import signal
import time
from collections.abc import Callable
from queue import SimpleQueue
from types import FrameType
from typing import TypeVar

from queued.backoff import delays
from queued.broker import Consumer, Delivery
from queued.errors import QueuedError
from queued.executor import CannotRun, Executor
from queued.job import FINAL, BadMessage, Failed, Job, Outcome
from queued.problem import job_failed
from queued.results import Refused, Results, Unavailable, results_of
from queued.settings import Settings

T = TypeVar("T")

log = logging.getLogger(__name__)

GRACE = 30.0
"""Seconds a worker that was told to stop goes on trying to get rid of a result that nobody takes."""


class WorkerError(QueuedError):
    """This worker can't go on."""


class _Leave(Exception):
    """Told to stop while a job could not be begun or its result not be stored: it stays with the broker."""


class Worker:
    """One worker: one job at a time."""

    def __init__(self, settings: Settings, results: Results, executor: Executor) -> None:
        self._settings = settings
        self._results = results
        self._executor = executor
        self._inbox: SimpleQueue[Delivery | None] = SimpleQueue()
        self._consumer = Consumer(settings, self._inbox.put)
        self._told: float | None = None

    def stop(self) -> None:
        """Finish the job in hand, then end. Safe in a signal handler: a SimpleQueue can be entered again."""
        self._told = time.monotonic()
        self._inbox.put(None)

    def work(self) -> None:
        """Do jobs until told to stop. Raises WorkerError."""
        last: Delivery | None = None
        try:
            self._executor.start()
            self._consumer.start()
            while self._told is None:
                delivery = self._inbox.get()
                if delivery is None:
                    break
                if not self._handle(delivery):
                    self._consumer.reject(delivery)
                elif self._told is not None:
                    last = delivery  # acknowledged on leaving, so that no other is delivered in between
                else:
                    self._consumer.ack(delivery)
        except _Leave:
            log.warning("the job in hand goes back to the queue")
        except (CannotRun, Refused) as error:
            raise WorkerError(str(error)) from error
        finally:
            self._consumer.leave(last)
            self._executor.close()
            self._results.close()

    def _handle(self, delivery: Delivery) -> bool:
        """Do what the message asks for; False where nobody can."""
        try:
            job = Job.decode(delivery.body)
        except BadMessage as error:
            log.error("a message was thrown away: %s", error)
            return False
        state = self._insist(lambda: self._results.begin(job), patience=0)
        if state in FINAL:
            log.info("job %s was delivered again, but is %s already", job.id, state)
            return True
        if delivery.redelivered:
            log.info("job %s was delivered again: its last worker was lost", job.id)
        outcome = self._run(job)
        self._insist(lambda: self._results.finish(job, outcome), patience=GRACE)
        return True

    def _run(self, job: Job) -> Outcome:
        if job.task != self._settings.task:
            return Failed(
                job_failed(f"this worker does {self._settings.task}, and the job asks for {job.task}")
            )
        return self._executor.run(job)

    def _insist(self, tell: Callable[[], T], patience: float) -> T:
        """Try again, with back-off, until somebody listens.

        Once this worker was told to stop, raises _Leave after `patience` seconds.
        """
        for delay in delays():
            try:
                return tell()
            except Unavailable as error:
                log.warning("%s; trying again", error)
            if self._told is not None and time.monotonic() - self._told >= patience:
                raise _Leave
            time.sleep(delay)
        raise AssertionError  # delays never end


def run(settings: Settings) -> None:
    """Run a worker in this process until SIGTERM or SIGINT. Raises WorkerError."""
    worker = Worker(settings, results_of(settings), Executor(settings.task))

    def stop(_signum: int, _frame: FrameType | None) -> None:
        worker.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    worker.work()
