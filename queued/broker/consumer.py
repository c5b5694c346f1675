"""Getting jobs from the broker, one at a time."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from queued.broker.link import Link
from queued.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """One message that the broker handed to this worker and wants acknowledged."""

    body: bytes
    tag: int
    redelivered: bool
    """The broker had handed it out before; whoever had it did not acknowledge it."""
    channel: Any
    """The channel it came by: the only one it can be acknowledged on."""


class Consumer:
    """Brings one message at a time (prefetch 1) and acknowledges when told to."""

    def __init__(self, settings: Settings, deliver: Callable[[Delivery], None]) -> None:
        """`deliver` is called on the I/O thread and must not block."""
        self._queue = settings.queue
        self._deliver = deliver
        self._link = Link(settings, "consumer", self._ready, lambda: None)

    def start(self) -> None:
        """Begin to connect and consume. Returns at once."""
        self._link.start()

    def ack(self, delivery: Delivery) -> None:
        """Tell the broker that the message is dealt with.

        Without effect where its connection is gone: the message then comes again, to whoever, and the job's
        record tells that it is done.
        """
        self._link.call(lambda: delivery.channel.is_open and delivery.channel.basic_ack(delivery.tag))

    def reject(self, delivery: Delivery) -> None:
        """Tell the broker that nobody can do anything with this message."""
        channel = delivery.channel
        self._link.call(lambda: channel.is_open and channel.basic_reject(delivery.tag, requeue=False))

    def leave(self, last: Delivery | None = None) -> None:
        """Acknowledge the last delivery, if given, and go; what else was delivered returns to the queue."""
        if last is not None:
            self.ack(last)
        self._link.stop()

    def _ready(self, channel: Any) -> None:
        channel.add_on_cancel_callback(self._cancelled)
        channel.basic_qos(prefetch_count=1, callback=lambda _frame: self._consume(channel))

    def _consume(self, channel: Any) -> None:
        channel.basic_consume(self._queue, self._message, callback=lambda _frame: self._link.established())

    def _message(self, channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        self._deliver(Delivery(body, method.delivery_tag, method.redelivered, channel))

    def _cancelled(self, _frame: Any) -> None:
        log.warning("the queue %s is gone; it is declared again", self._queue)
        self._link.drop()
