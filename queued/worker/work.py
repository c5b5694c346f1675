"""The worker: take jobs, run them, store their results, and only then acknowledge them.

Three parts side by side: an I/O thread keeps the broker's connection alive (`broker.Consumer`), child
processes compute (`executor.Pool`), and this, the main thread, goes from one to the other: it waits for all
of them at once. What it has in hand, and what the store is told of it, is in `hands`.
"""

import logging
import os
import selectors
import signal
import socket
import time
from collections import deque
from secrets import token_hex
from types import FrameType

from queued.broker import Consumer, Delivery
from queued.errors import QueuedError
from queued.job import BadMessage, Job, Outcome
from queued.metrics import Watch, watching
from queued.settings import Settings
from queued.worker.executor import CannotRun, Child, Ended, Killed, Pool, Progress, Untouched
from queued.worker.hands import Hands
from queued.worker.results import Refused, Results, results_of
from queued.worker.waker import Waker

log = logging.getLogger(__name__)

SHORT = 0.1
"""Seconds that a job of a task declared short may take."""
TRUSTED = 16
"""Short jobs in a row after which a worker that met a long one holds many messages again."""


class WorkerError(QueuedError):
    """This worker can't go on."""


class Worker:
    """One worker of one task, with as many children as the settings say."""

    def __init__(self, settings: Settings, results: Results, watch: Watch | None = None) -> None:
        """`results` and `watch` are the caller's; they are not closed here."""
        self.name = f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}"
        self._settings = settings
        self._selector = selectors.DefaultSelector()
        self._waker = Waker()
        self._selector.register(self._waker, selectors.EVENT_READ)
        self._pool = Pool(settings, self._selector)
        self._inbox: deque[Delivery] = deque()
        self._consumer = Consumer(settings, self._deliver, self._waker.wake)
        self._hands = Hands(self.name, settings, results, self._consumer, watch or Watch())
        self._streams = len(self._consumer.queues) == 1
        self._many = settings.short and self._streams  # messages are held behind those that run
        self._short_in_a_row = 0
        self._owed = 0  # messages that were asked for and have not come
        self._told: float | None = None
        self._leaving = False

    def stop(self) -> None:
        """Finish what is in hand, then end. Safe in a signal handler."""
        if self._told is None:
            self._told = time.monotonic()
        self._waker.wake()

    def work(self) -> None:
        """Do jobs until told to stop. Raises WorkerError."""
        consuming = False
        try:
            self._pool.start()
            while not self._done():
                if self._pool.ready and not consuming and self._told is None:
                    consuming = True
                    self._supply()
                    self._consumer.start()
                self._turn()
        except (CannotRun, Refused) as error:
            raise WorkerError(str(error)) from error
        finally:
            self._leave()

    # --- one turn ---

    def _turn(self) -> None:
        """Wait for something to happen, and deal with all that has."""
        for key, _ in self._selector.select(self._patience()):
            if isinstance(key.data, Child):
                self._pool.read(key.data)
        self._waker.rest()
        self._pool.look()
        self._hear()
        while self._inbox:
            self._open(self._inbox.popleft())
        if self._told is not None and not self._leaving:
            self._begin_to_leave()
        self._tell()
        self._dispatch()
        self._return_what_waits()
        self._ask()

    def _patience(self) -> float:
        """Seconds until something is due."""
        now = time.monotonic()
        times = [self._hands.due(self._appears)]
        if self._told is not None:
            times.append(self._told + self._settings.grace)
        if self._many:
            times += [child.since + SHORT for child in self._pool.children if len(child.jobs) > 1]
        patience = max(0.0, min(times) - now)
        child = self._pool.timeout(now)
        return patience if child is None else min(patience, child)

    @property
    def _appears(self) -> bool:
        return self._consumer.connected and not self._leaving

    def _tell(self) -> None:
        running = {child.jobs[0].id for child in self._pool.children if child.jobs}
        self._hands.tell(self._appears, running)
        for hand in self._hands.unwanted():
            self._pool.kill(hand.job.id)

    def _deliver(self, delivery: Delivery) -> None:
        """Take a message in; on the consumer's thread."""
        self._inbox.append(delivery)
        self._waker.wake()

    def _open(self, delivery: Delivery) -> None:
        """See what a message asks for."""
        if delivery.asked:
            self._owed = max(0, self._owed - 1)
        try:
            job = Job.decode(delivery.body)
        except BadMessage as error:
            log.error("a message goes to the dead letters: %s", error)
            self._consumer.reject([delivery])
            return
        too_late = self._asks and not delivery.asked  # pushed just before the pushing was stopped
        self._hands.receive(job, delivery, wanted=not (self._leaving or too_late))

    def _hear(self) -> None:
        """Deal with what the children have said."""
        for event in self._pool.take():
            hand = self._hands[event.job.id]
            match event:
                case Progress(_, fraction, note):
                    hand.progress, hand.note = fraction, note
                case Ended(_, outcome):
                    self._hands.end(hand, outcome)
                    self._judge(outcome)
                case Untouched():
                    self._hands.put_back([hand.job.id])
                case Killed():
                    self._hands.let_go(hand)

    # --- who does what ---

    @property
    def _asks(self) -> bool:
        """Whether messages come because they are asked for, and the broker does not push."""
        return not self._many and (self._settings.short or not self._streams)

    def _supply(self) -> None:
        """Have the broker push messages, where it is to."""
        if not self._asks:
            most = self._settings.prefetch_short if self._many else 1
            self._consumer.stream(max(most, self._settings.concurrency))
            self._owed = 0

    def _ask(self) -> None:
        """Where the broker does not push: ask for as many messages as there are children without work."""
        if not self._asks or self._leaving or not self._pool.ready:
            return
        wanted = self._settings.concurrency - len(self._hands) - self._owed
        if wanted > 0:
            self._owed += wanted
            self._consumer.ask(wanted)

    def _dispatch(self) -> None:
        """Give what was begun to the children: the emptiest first."""
        children = [child for child in self._pool.children if child.ready and not child.condemned]
        most = max(1, self._settings.prefetch_short // len(children)) if self._many and children else 1
        for child in sorted(children, key=lambda child: len(child.jobs)):
            lot = self._hands.take_waiting(max(0, most - len(child.jobs)))
            if lot:
                left = self._pool.give(child, [hand.job for hand in lot])
                self._hands.put_back(job.id for job in left)

    def _return_what_waits(self) -> None:
        """Where one of the short jobs is not short: return what waits behind it, and hold no more."""
        now = time.monotonic()
        slow = [child for child in self._pool.children if child.jobs and now - child.since > SHORT]
        if not (self._many and slow):
            return
        count = self._hands.give_back(job.id for child in slow for job in self._pool.take_back(child))
        if count:
            log.info("a job takes longer than %g s: %d that wait behind it go back", SHORT, count)
            self._many = False
            self._short_in_a_row = 0
            self._consumer.ask(0)
            self._tell()

    def _judge(self, outcome: Outcome) -> None:
        """Hold many messages again once the jobs are as short as they were declared."""
        if not (self._settings.short and self._streams) or self._many or self._leaving:
            return
        quick = outcome.run is not None and outcome.run <= SHORT
        self._short_in_a_row = self._short_in_a_row + 1 if quick else 0
        if self._short_in_a_row >= TRUSTED:
            self._many = True
            self._supply()

    # --- the end ---

    def _begin_to_leave(self) -> None:
        """Take nothing more, and keep only what runs."""
        self._leaving = True
        self._consumer.hold()
        self._hands.leave_fresh()
        self._hands.give_back(job.id for child in self._pool.children for job in self._pool.take_back(child))

    def _done(self) -> bool:
        if self._told is None:
            return False
        if self._leaving and not len(self._hands):
            return True
        return time.monotonic() >= self._told + self._settings.grace

    def _leave(self) -> None:
        """Stop what runs, return what is in hand, and go."""
        self._consumer.hold()
        self._pool.close()
        self._hands.leave()
        self._consumer.give_back(self._inbox)
        self._consumer.leave()
        self._selector.close()
        self._waker.close()


def run(settings: Settings) -> None:
    """Run a worker in this process until SIGTERM or SIGINT. Raises WorkerError and MetricsError."""
    results = results_of(settings)
    with watching(settings.metrics_port) as watch:
        worker = Worker(settings, results, watch)

        def stop(_signum: int, _frame: FrameType | None) -> None:
            worker.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        try:
            worker.work()
        finally:
            results.close()
