"""Getting jobs from the broker: a stream of them, or one by one in the order of their urgency."""

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pika

from queued.broker.link import Link
from queued.broker.queues import work_queues
from queued.settings import Settings

log = logging.getLogger(__name__)

WEIGHTS = (6, 3, 1)
"""How often each queue is looked at first, from the most urgent down: low gets a tenth, and never nothing."""


@dataclass(frozen=True)
class Delivery:
    """One message that the broker handed to this worker and wants acknowledged."""

    body: bytes
    tag: int
    redelivered: bool
    """The broker had handed it out before; whoever had it did not acknowledge it."""
    channel: Any
    """The channel it came by: the only one it can be acknowledged on."""
    asked: bool = False
    """Whether it was brought because of `ask`."""


class _Mode(Enum):
    HOLD = "nothing is to come"
    STREAM = "the broker keeps this worker supplied"
    ASK = "as many as were asked for"


class Consumer:
    """Brings messages of one task and settles them when told to. All of it may be called from any thread.

    It begins holding. `stream` lets the broker push up to `prefetch` messages: for one queue. `ask` fetches
    one at a time from several queues, in the order of their weights, which a push can't; while all of them
    are empty, it consumes, so that an idle worker costs nothing and hears at once.
    """

    def __init__(
        self,
        settings: Settings,
        deliver: Callable[[Delivery], None],
        connected: Callable[[], None] = lambda: None,
    ) -> None:
        """`deliver` and `connected` are called on the I/O thread and must not block."""
        self._deliver = deliver
        self._tell_connected = connected
        self._slots = settings.concurrency
        queues = work_queues(settings, [settings.task])
        self._turns = Turns(list(queues))
        self._lock = threading.Lock()  # around what is wanted, which other threads say
        self._mode = _Mode.HOLD
        self._asked = 0
        self._prefetch = 1
        self._doing = _Mode.HOLD
        self._channel: Any = None
        self._unsettled: dict[int, None] = {}  # delivery tags, rising
        self._tags: dict[str, str] = {}  # queue → tag of the consumer on it
        self._getting = ""
        self._empty: set[str] = set()
        self._link = Link(settings, "consumer", queues, self._ready, self._lost)

    @property
    def queues(self) -> tuple[str, ...]:
        """The work queues, the most urgent first."""
        return self._turns.queues

    @property
    def connected(self) -> bool:
        """Whether there is a connection over which messages can come."""
        return self._link.connected

    def start(self) -> None:
        """Begin to connect. Returns at once."""
        self._link.start()

    def stream(self, prefetch: int) -> None:
        """Have up to `prefetch` messages of the first queue out at a time, until told otherwise."""
        self._prefetch = prefetch
        self._switch(_Mode.STREAM)

    def ask(self, more: int) -> None:
        """Bring that many more messages, as soon as there are any, and no others."""
        self._switch(_Mode.ASK, more)

    def hold(self) -> None:
        """Bring no more; what is on its way goes back."""
        self._switch(_Mode.HOLD)

    def ack(self, deliveries: Iterable[Delivery]) -> None:
        """Tell the broker that these messages are dealt with.

        Without effect where its connection is gone: the message then comes again, to whoever, and the job's
        record tells that it is done.
        """
        settled = list(deliveries)
        if settled:
            self._link.call(lambda: self._ack(settled))

    def reject(self, deliveries: Iterable[Delivery]) -> None:
        """Send these messages to the dead letters."""
        settled = list(deliveries)
        if settled:
            self._link.call(lambda: self._nack(settled, requeue=False))

    def give_back(self, deliveries: Iterable[Delivery]) -> None:
        """Return these messages to their queue, for whoever is next."""
        settled = list(deliveries)
        if settled:
            self._link.call(lambda: self._nack(settled, requeue=True))

    def leave(self) -> None:
        """Send what is to be sent and go; what was delivered and not settled returns to the queue."""
        self._link.stop()

    def _switch(self, mode: _Mode, more: int = 0) -> None:
        with self._lock:
            self._asked = self._asked + more if mode is _Mode.ASK else 0
            self._mode = mode
        self._link.call(self._supply)

    # --- on the I/O thread, like all below ---

    def _ready(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_cancel_callback(self._cancelled)
        channel.add_callback(self._nothing_there, [pika.spec.Basic.GetEmpty], one_shot=False)
        self._link.established()
        self._supply()
        self._tell_connected()

    def _lost(self) -> None:
        self._channel = None
        self._doing = _Mode.HOLD
        self._getting = ""
        for kept in (self._unsettled, self._tags, self._empty):
            kept.clear()

    def _supply(self) -> None:
        """Do what is wanted now."""
        channel = self._channel
        if channel is None or not channel.is_open:
            return
        with self._lock:
            mode, asked = self._mode, self._asked
        if mode is not self._doing:
            self._cancel()
            self._empty.clear()
            self._doing = mode
        if mode is _Mode.STREAM:
            if not self._tags:
                self._consume(self.queues[:1], self._prefetch)
        elif mode is _Mode.ASK and asked == 0:
            self._cancel()
        elif mode is _Mode.ASK and not self._tags and not self._getting:
            self._getting = self._turns.next(self._empty)
            if self._getting:
                channel.basic_get(self._getting, self._got)
            else:  # all are empty
                self._empty.clear()
                self._consume(self.queues, self._slots)

    def _consume(self, queues: Iterable[str], prefetch: int) -> None:
        self._channel.basic_qos(prefetch_count=prefetch)
        for queue in queues:
            self._tags[queue] = self._channel.basic_consume(queue, self._message)

    def _cancel(self) -> None:
        """Stop consuming. What the broker has sent meanwhile, pika returns to the queue by itself."""
        for tag in self._tags.values():
            self._channel.basic_cancel(tag)
        self._tags.clear()

    def _got(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self._getting = ""
        self._empty.clear()
        self._message(channel, method, properties, body)
        self._supply()

    def _nothing_there(self, _frame: Any) -> None:
        self._empty.add(self._getting)
        self._getting = ""
        self._supply()

    def _message(self, channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        asked = False
        with self._lock:
            wanted = self._mode is _Mode.STREAM
            if self._mode is _Mode.ASK and self._asked > 0:
                self._asked -= 1
                wanted = asked = True
        if not wanted:
            channel.basic_nack(method.delivery_tag, requeue=True)
            return
        self._unsettled[method.delivery_tag] = None
        self._deliver(Delivery(body, method.delivery_tag, method.redelivered, channel, asked))
        if asked and self._tags:
            self._supply()

    def _ack(self, deliveries: list[Delivery]) -> None:
        """Acknowledge; from the oldest on with one frame as far as none between is still unsettled."""
        tags = self._settle(deliveries)
        together = 0
        for tag in self._unsettled:
            if tag not in tags:
                break
            together = tag
        if together:
            self._channel.basic_ack(together, multiple=True)
        for tag in tags:
            if tag > together:
                self._channel.basic_ack(tag)
            del self._unsettled[tag]

    def _nack(self, deliveries: list[Delivery], *, requeue: bool) -> None:
        for tag in self._settle(deliveries):
            self._channel.basic_nack(tag, requeue=requeue)
            del self._unsettled[tag]

    def _settle(self, deliveries: list[Delivery]) -> set[int]:
        """Return the tags that can be settled: of this connection, and not settled before."""
        channel = self._channel
        if channel is None or not channel.is_open:
            return set()
        return {d.tag for d in deliveries if d.channel is channel and d.tag in self._unsettled}

    def _cancelled(self, _frame: Any) -> None:
        log.warning("a queue of %s is gone; it is declared again", " ".join(self.queues))
        self._link.drop()


class Turns:
    """Whose turn it is among queues of different weight: smooth weighted round robin, as nginx has it."""

    def __init__(self, queues: Sequence[str]) -> None:
        """The most urgent first; `WEIGHTS` are theirs in this order."""
        self.queues = tuple(queues)
        self._weights = dict(zip(self.queues, WEIGHTS, strict=False))
        self._credit = dict.fromkeys(self.queues, 0)

    def next(self, without: Collection[str]) -> str:
        """Return the queue to look at now, but none of `without`; empty where there is no other."""
        candidates = [queue for queue in self.queues if queue not in without]
        if not candidates:
            return ""
        for queue in candidates:
            self._credit[queue] += self._weights[queue]
        best = max(candidates, key=lambda queue: self._credit[queue])
        self._credit[best] -= sum(self._weights[queue] for queue in candidates)
        return best
