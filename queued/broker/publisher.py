"""Getting jobs to the broker, with its word for it."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pika

from queued.broker.link import Link
from queued.errors import QueuedError
from queued.job import Job
from queued.settings import Settings

log = logging.getLogger(__name__)

GROUP = 200
"""Most submissions recorded in one round trip: bounds how long the I/O thread is away from its socket."""


class NotConfirmed(QueuedError):
    """The broker did not take the message, or the record before it could not be written."""


class Submission:
    """One job on its way to the broker; a web thread waits on it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.abandoned = False
        self._ended = threading.Event()
        self._error: str | None = None

    def end(self, error: str | None = None) -> None:
        """Wake the waiting thread: confirmed, or not and why."""
        self._error = error
        self._ended.set()

    def wait(self, timeout: float) -> None:
        """Return when the broker has confirmed. Raises NotConfirmed, also after `timeout` seconds.

        A message may still reach the broker after that: who gives up must see to it that the job's record
        says so, for a worker leaves a job alone whose record is final.
        """
        if not self._ended.wait(timeout):
            self.abandoned = True
            raise NotConfirmed(f"the broker did not confirm it within {timeout:g} s")
        if self._error is not None:
            raise NotConfirmed(self._error)


class Publisher:
    """Takes submissions from many threads and sends them in groups: whatever waits goes together.

    Each group is recorded in one round trip, then published without waiting in between; confirms come as the
    broker sends them. What was not confirmed when a connection was lost is published again on the next: the
    broker may then have it twice, and the job's record keeps the second from counting.
    """

    def __init__(self, settings: Settings, record: Callable[[Sequence[Job]], None]) -> None:
        """`record` writes the jobs' records before they are published; it may raise QueuedErrors."""
        self._queue = settings.queue
        self._record = record
        self._incoming: deque[Submission] = deque()
        self._recorded: deque[Submission] = deque()
        self._unconfirmed: dict[int, Submission] = {}  # by delivery tag, rising
        self._published = 0
        self._channel: Any = None
        self._link = Link(settings, "publisher", self._ready, self._lost)

    def start(self) -> None:
        """Begin to connect. Returns at once."""
        self._link.start()

    def stop(self) -> None:
        """Close the connection."""
        self._link.stop()

    def submit(self, job: Job) -> Submission:
        """Put the job on its way, from any thread."""
        submission = Submission(job)
        self._incoming.append(submission)
        self._link.call(self._pump)
        return submission

    def _pump(self) -> None:
        """Take what waits one step further; on the I/O thread, like all below."""
        group: list[Submission] = []
        while self._incoming and len(group) < GROUP:
            submission = self._incoming.popleft()
            if not submission.abandoned:
                group.append(submission)
        if group:
            self._write_records(group)
        if self._incoming:
            self._link.call(self._pump)
        while self._recorded and self._channel is not None:
            submission = self._recorded.popleft()
            if not submission.abandoned:
                self._publish(submission)

    def _write_records(self, group: Sequence[Submission]) -> None:
        try:
            self._record([submission.job for submission in group])
        except QueuedError as error:
            log.warning("%d submissions could not be recorded: %s", len(group), error)
            for submission in group:
                submission.end(f"it could not be recorded: {error}")
        else:
            self._recorded.extend(group)

    def _publish(self, submission: Submission) -> None:
        job = submission.job
        self._published += 1
        self._unconfirmed[self._published] = submission
        self._channel.basic_publish(
            "",
            self._queue,
            job.encode(),
            pika.BasicProperties(
                content_type="application/json",
                delivery_mode=pika.DeliveryMode.Persistent.value,
                message_id=job.id,
                correlation_id=job.request_id,
            ),
            mandatory=True,
        )

    def _ready(self, channel: Any) -> None:
        channel.add_on_return_callback(self._returned)
        channel.confirm_delivery(self._confirmed, callback=lambda _frame: self._open(channel))

    def _open(self, channel: Any) -> None:
        self._channel = channel
        self._published = 0
        self._link.established()
        self._pump()

    def _confirmed(self, frame: Any) -> None:
        method = frame.method
        error = None if method.NAME == "Basic.Ack" else "the broker refused it"
        tags = [method.delivery_tag]
        if method.multiple:
            tags = [tag for tag in self._unconfirmed if tag <= method.delivery_tag]
        for tag in tags:
            submission = self._unconfirmed.pop(tag, None)
            if submission is not None:
                submission.end(error)

    def _returned(self, _channel: Any, _method: Any, properties: Any, _body: bytes) -> None:
        """Somebody deleted the queue under us: a new connection declares it, and sends this again.

        The broker goes on to confirm what it returned, so that must not be among the unconfirmed then.
        """
        for tag, submission in list(self._unconfirmed.items()):
            if submission.job.id == properties.message_id:
                self._recorded.append(self._unconfirmed.pop(tag))
        if self._channel is not None:
            self._channel = None
            log.warning("the queue %s is gone; it is declared again", self._queue)
            self._link.drop()

    def _lost(self) -> None:
        self._channel = None
        self._recorded.extendleft(reversed(self._unconfirmed.values()))
        self._unconfirmed.clear()
