"""The keeper: brings back every job whose message is gone, and sees to what becomes due.

It runs by itself in every web process, and the one that holds the lock in the store acts. RabbitMQ can't be
asked whether it still has a certain message, so the store concludes that one is gone (`Store.overdue`); a
wrong conclusion costs one message that a worker drops. The order is always: publish, wait for the confirm,
write that down. What dies in between leaves a second message, which is harmless, and never none.
"""

import logging
import os
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence

from queued.broker import BrokerError, Publisher
from queued.errors import QueuedError
from queued.job import Job
from queued.seams import seam
from queued.settings import Settings
from queued.store import Store
from workloads.task import reason

log = logging.getLogger(__name__)

TICK = 1.0
"""Seconds between two looks."""
SOON = 0.2
"""Seconds between two looks at the retries while there are any to come."""
MORE = 0.02
"""Seconds until the next look where one batch was not enough."""
LOCK = 5.0
"""Seconds the lock is held without being renewed: how long the service is without a keeper when one dies."""
GRACE = 5.0
"""Seconds after which a message that should be there counts as gone."""
LEASE_OVER = 1.0
"""Seconds after a lease's end at which its attempt counts as dead."""
CONFIRM = LOCK - 1.0
"""Most seconds to wait for confirms, so that the lock outlasts it."""
BATCH = 200
"""Most jobs brought back at a time: bounds what is in memory and how long the lock is not renewed."""


class Keeper:
    """A thread that ticks until it is stopped."""

    def __init__(self, settings: Settings, store: Store, publisher: Publisher) -> None:
        self._queues = deque(queue for task in settings.tasks for queue in settings.queues(task))
        self._confirm_timeout = min(settings.confirm_timeout, CONFIRM)
        self._store = store
        self._publisher = publisher
        self._name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._retries: set[str] = set()
        """Queues with retries to come."""
        self._empty: dict[str, float] = {}
        """Since when a queue is said to be empty (monotonic)."""
        self._whole = 0.0
        """When to look at everything again (monotonic)."""
        self._trouble: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin to tick. Returns at once."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Tick no more, and wait up to `timeout` seconds for the tick that is under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def tick(self) -> float:
        """Look once, and act where this keeper holds the lock; gives the seconds until the next look.

        Raises nothing: an error is one line in the log, and the next tick tries again.
        """
        trouble: str | None = None
        pause = TICK
        try:
            pause = self._look()
        except QueuedError as error:
            trouble = f"the keeper has to wait: {error}"
        except Exception as error:  # noqa: BLE001 - a keeper that dies takes its promises with it
            trouble = f"the keeper failed and goes on: {reason(error)}"
        if trouble is not None and trouble != self._trouble:  # once, and not every second
            log.warning("%s", trouble)
        self._trouble = trouble
        return pause

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            pause = self.tick()

    def _look(self) -> float:
        if not self._store.hold_keeper(self._name, LOCK):
            return TICK
        more = False
        if time.monotonic() < self._whole:
            for queue in sorted(self._retries):
                more |= self._retry(queue)
        else:
            self._whole = time.monotonic() + TICK
            more |= self._store.sweep_deadlines(BATCH) >= BATCH
            self._queues.rotate()  # where one queue keeps failing, the others get their turn
            for queue in self._queues:
                more |= self._tend(queue)
        if more:
            self._whole = 0.0
            return MORE
        return SOON if self._retries else max(0.0, self._whole - time.monotonic())

    def _tend(self, queue: str) -> bool:
        """Bring back what this queue has lost; whether there may be more than one batch of it."""
        load = self._store.load(queue)
        (self._retries.add if load.due else self._retries.discard)(queue)
        more = False
        if load.due:
            more |= self._retry(queue)
        if load.running:
            lost = self._store.abandoned(queue, LEASE_OVER, BATCH)
            more |= self._bring(lost, "the lease of its attempt is over")
        if load.oldest is not None and load.oldest > GRACE and self._publisher.connected:
            more |= self._bring(self._gone(queue), "its message was gone")
        return more

    def _gone(self, queue: str) -> Sequence[Job]:
        """Find the jobs of this queue whose messages must be gone."""
        ready, consumers = self._publisher.depth(queue)
        now = time.monotonic()
        if ready == 0:
            # A broker in a hurry says "0 messages, 0 consumers" where it can't find out within a quarter of a
            # second. Where nobody consumes, nobody waits for these jobs either: time to make sure.
            since = self._empty.setdefault(queue, now)
            sure = consumers > 0 or now - since >= GRACE
            return self._store.overdue(queue, True, GRACE, BATCH) if sure else []
        self._empty.pop(queue, None)
        # Much may seem overtaken (a job that was given back is begun before older ones), but no more messages
        # can be missing than there are jobs without one. Without this bound, one wrong guess about a long
        # queue would publish all of it again, and again.
        missing = self._store.load(queue).waiting - ready
        return self._store.overdue(queue, False, GRACE, min(BATCH, missing)) if missing > 0 else []

    def _retry(self, queue: str) -> bool:
        return self._bring(self._store.due(queue, BATCH), "its next attempt is due")

    def _bring(self, jobs: Sequence[Job], why: str) -> bool:
        """Publish the jobs again and, once confirmed, say so in the store; whether it was a full batch.

        What is not confirmed stays as it is, and is found again. Raises BrokerError then.
        """
        if not jobs:
            return False
        if not self._publisher.connected:
            raise BrokerError("there is no connection to the broker")
        confirmed = self._publisher.publish_again(jobs, self._confirm_timeout)
        if confirmed:
            seam("after-due-publish")
            self._store.requeued(confirmed)
            for job in confirmed:
                log.info("job %s is published again: %s", job.id, why, extra={"job": job.id})
        if len(confirmed) < len(jobs):
            raise BrokerError("the broker does not confirm what is published again")
        return len(jobs) >= BATCH
