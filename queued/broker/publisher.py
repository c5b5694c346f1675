"""Getting jobs to the broker, with its word for it."""

import dataclasses
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pika
from pika.adapters.select_connection import IOLoop
from pika.adapters.utils.selector_ioloop_adapter import AbstractSelectorIOLoop

from queued.broker.errors import BrokerError, NotConfirmed
from queued.broker.link import Link
from queued.broker.queues import work_queues
from queued.errors import QueuedError
from queued.job import Job
from queued.seams import seam
from queued.settings import Settings

if TYPE_CHECKING:  # a worker that tells the web imports this package too, and should not carry Redis's client
    from queued.store import Admission, NewJob

log = logging.getLogger(__name__)

GROUP = 200
"""Most submissions recorded in one round trip: bounds how long the I/O thread is away from its socket."""

REFUSED = "the broker refused it: its queue is full, or was deleted just now"
BLOCKED = "the broker takes no messages now: it is short of memory or disk"


class Submission:
    """One job on its way to the broker; a web thread waits on it."""

    def __init__(self, job: Job, new: "NewJob | None" = None) -> None:
        """`new` is what is to be recorded first; None: it is recorded already."""
        self.job = job
        """What is published: for a replayed submission, the job of the first."""
        self.new = new
        self.admission: Admission | None = None
        """What the record says; None: nothing was recorded."""
        self.abandoned = False
        self._ended = threading.Event()
        self._error: str | None = None

    def end(self, error: str | None = None) -> None:
        """Wake the waiting thread: confirmed, or not and why."""
        self._error = error
        self._ended.set()

    def fail(self, error: str) -> None:
        """Wake the waiting thread with an error, and never publish this."""
        self.abandoned = True
        self.end(error)

    def wait(self, timeout: float) -> "Admission":
        """Return once the broker has confirmed it, or at once where it was not admitted.

        Raises NotConfirmed, also after `timeout` seconds. The message may still reach the broker after that:
        who gives up must see to it that the job's record says so, for a worker leaves a job alone whose
        record is final. But not the record of a job that was submitted before: look at `admission`.
        """
        self.wait_for_end(timeout)
        assert self.admission is not None  # what was to be recorded ends well only once it is
        return self.admission

    def wait_for_end(self, timeout: float) -> None:
        """As `wait`, where nothing was to be recorded."""
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

    def __init__(
        self,
        settings: Settings,
        create: "Callable[[Sequence[NewJob]], Sequence[Admission]]",
        make_loop: Callable[[], AbstractSelectorIOLoop] = IOLoop,
    ) -> None:
        """`create` writes the jobs' records before they are published; it may raise QueuedErrors.

        `make_loop` as `Link` has it.
        """
        self._create = create
        self._incoming: deque[Submission] = deque()
        self._recorded: deque[Submission] = deque()
        self._unconfirmed: dict[int, Submission] = {}  # by delivery tag, rising
        self._published = 0
        self._channel: Any = None
        self._blocked = False
        self._asking: Any = None  # a channel of its own for `depth`: asking for what is not there closes it
        self._asked: list[_Asked] = []
        queues = work_queues(settings, settings.tasks)
        self._link = Link(settings, "publisher", queues, self._ready, self._lost, make_loop)

    @property
    def connected(self) -> bool:
        """Whether there is a connection on which jobs can be published."""
        return self._link.connected

    @property
    def blocked(self) -> str | None:
        """Why the broker takes no messages now (its memory or disk alarm); None: it does."""
        return BLOCKED if self._blocked else None

    def start(self) -> None:
        """Begin to connect. Returns at once."""
        self._link.start()

    def stop(self) -> None:
        """Close the connection."""
        self._link.stop()

    def submit(self, new: "NewJob") -> Submission:
        """Put the job on its way, from any thread."""
        submission = Submission(new.job, new)
        if self._blocked:
            submission.fail(BLOCKED)
        else:
            self._incoming.append(submission)
            self._link.call(self._pump)
        return submission

    def publish_again(self, jobs: Sequence[Job], timeout: float) -> list[Job]:
        """Publish jobs that are recorded already; gives those that are confirmed within `timeout` seconds."""
        if self._blocked:
            return []
        deadline = time.monotonic() + timeout
        again = [Submission(job) for job in jobs]
        self._link.call(lambda: self._take_recorded(again))
        confirmed = []
        for submission in again:
            try:
                submission.wait_for_end(max(0.0, deadline - time.monotonic()))
            except NotConfirmed:
                continue
            confirmed.append(submission.job)
        return confirmed

    def depth(self, queue: str, timeout: float = 2.0) -> tuple[int, int]:
        """Ask the broker how many messages wait in a queue and how many consumers it has.

        Raises BrokerError: no such queue, no broker, or no answer within `timeout` seconds, as when it is
        blocked.
        """
        asked = _Asked(queue)
        self._link.call(lambda: self._ask(asked))
        if not asked.ended.wait(timeout):
            raise BrokerError(f"the broker did not tell of the queue {queue} within {timeout:g} s")
        if asked.answer is None:
            raise BrokerError(f"the broker does not tell of the queue {queue}")
        return asked.answer

    # --- on the I/O thread, like all below ---

    def _take_recorded(self, submissions: Sequence[Submission]) -> None:
        self._recorded.extend(submissions)
        self._pump()

    def _pump(self) -> None:
        """Take what waits one step further."""
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
            admissions = self._create([submission.new for submission in group if submission.new is not None])
        except QueuedError as error:
            log.warning("%d submissions could not be recorded: %s", len(group), error)
            for submission in group:
                submission.end(f"it could not be recorded: {error}")
            return
        seam("after-record")
        for submission, admission in zip(group, admissions, strict=True):
            submission.admission = admission
            if not admission.accepted or admission.conflict:
                submission.end()
                continue
            if admission.replayed:
                # The first submission's message may never have been sent. If it was, this one is the second:
                # it costs a look at the record.
                submission.job = dataclasses.replace(submission.job, id=admission.job_id)
            self._recorded.append(submission)

    def _publish(self, submission: Submission) -> None:
        job = submission.job
        self._published += 1
        self._unconfirmed[self._published] = submission
        self._channel.basic_publish(
            "",
            job.queue,
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
        connection = channel.connection
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        channel.confirm_delivery(self._confirmed, callback=lambda _frame: self._open(channel))

    def _open(self, channel: Any) -> None:
        self._channel = channel
        self._published = 0
        self._link.established()
        self._pump()

    def _on_blocked(self, _connection: Any, frame: Any) -> None:
        log.warning("%s (%s)", BLOCKED, frame.method.reason)
        self._blocked = True
        # What is on its way stays in the broker's socket until the alarm is over: nobody should wait for
        # that. Its record will say that it was refused, so it does no harm when it arrives.
        for submission in (*self._incoming, *self._recorded, *self._unconfirmed.values()):
            submission.fail(BLOCKED)
        for waiting in (self._incoming, self._recorded, self._unconfirmed):
            waiting.clear()

    def _on_unblocked(self, _connection: Any, _frame: Any) -> None:
        log.info("the broker takes messages again")
        self._blocked = False

    def _confirmed(self, frame: Any) -> None:
        method = frame.method
        error = None if method.NAME == "Basic.Ack" else REFUSED
        tags = [method.delivery_tag]
        if method.multiple:
            tags = [tag for tag in self._unconfirmed if tag <= method.delivery_tag]
        for tag in tags:
            submission = self._unconfirmed.pop(tag, None)
            if submission is not None:
                submission.end(error)

    def _returned(self, _channel: Any, method: Any, properties: Any, _body: bytes) -> None:
        """Somebody deleted the queue under us: a new connection declares it, and sends this again.

        The broker goes on to confirm what it returned, so that must not be among the unconfirmed then.
        """
        for tag, submission in list(self._unconfirmed.items()):
            if submission.job.id == properties.message_id:
                self._recorded.append(self._unconfirmed.pop(tag))
        if self._channel is not None:
            self._channel = None
            log.warning("the queue %s is gone; it is declared again", method.routing_key)
            self._link.drop()

    def _lost(self) -> None:
        self._channel = self._asking = None
        self._blocked = False  # the next connection is told anew, at its first message
        self._recorded.extendleft(reversed(self._unconfirmed.values()))
        self._unconfirmed.clear()
        self._end_asked()

    def _ask(self, asked: "_Asked") -> None:
        self._asked.append(asked)
        if self._asking is not None and self._asking.is_open:
            self._declare(self._asking, asked)
        elif self._asking is None and self._link.connected:
            self._asking = self._link.connection.channel(on_open_callback=self._asking_opened)
            self._asking.add_on_close_callback(self._asking_closed)

    def _asking_opened(self, channel: Any) -> None:
        for asked in self._asked:
            self._declare(channel, asked)

    def _asking_closed(self, channel: Any, _reason: Exception) -> None:
        if channel is self._asking:
            self._asking = None
            self._end_asked()

    def _declare(self, channel: Any, asked: "_Asked") -> None:
        channel.queue_declare(
            asked.queue, passive=True, callback=lambda frame: self._told(asked, frame.method)
        )

    def _told(self, asked: "_Asked", method: Any) -> None:
        self._asked = [other for other in self._asked if other is not asked]
        asked.end((method.message_count, method.consumer_count))

    def _end_asked(self) -> None:
        asked, self._asked = self._asked, []
        for one in asked:
            one.end(None)


class _Asked:
    """A question for a queue's depth; another thread waits for the answer."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        self.answer: tuple[int, int] | None = None
        self.ended = threading.Event()

    def end(self, answer: tuple[int, int] | None) -> None:
        self.answer = answer
        self.ended.set()
