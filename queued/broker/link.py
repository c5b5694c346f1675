"""A connection that is kept: on a thread of its own, and made again when it is lost."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import pika
from pika.adapters.select_connection import IOLoop

from queued.backoff import delays
from queued.settings import Settings

log = logging.getLogger(__name__)

# A quorum queue, on RabbitMQ 3.10 as on 4.0: its confirm means fsynced, while a classic queue's no longer
# does from 4.0 on; and it needs no other declaration the day that there are three nodes. It costs the broker
# 0.4 ms of CPU a job more than a classic one, and a fsync before the next delivery. Beware of two things.
# From 4.0 on it drops a message after 20 deliveries unless told otherwise, 3.10 refuses to be told "never",
# and no accepted job may vanish: hence a limit that is never met. And RabbitMQ 3.10 can't read a quorum queue
# again that was declared less than about a second before it was killed; an older one it keeps, with all that
# it confirmed.
QUEUE_ARGUMENTS = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}


SET_UP = 15.0
"""Seconds that opening a channel, declaring the queue and the like may take in all: a broker in trouble may
leave such a request unanswered while its heartbeats go on."""


class Link:
    """One kept connection with one channel, on a thread of its own; connects again, with back-off.

    `on_ready(channel)` is called whenever the channel is open and the queue declared; who has then set up the
    rest says `established()`. `on_lost()` is called when a connection has ended. All of it happens on the I/O
    thread, as does whatever is given to `call`.
    """

    def __init__(
        self, settings: Settings, name: str, on_ready: Callable[[Any], None], on_lost: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._name = name
        self._on_ready = on_ready
        self._on_lost = on_lost
        self._loop: IOLoop | None = None
        self._connection: Any = None
        self._established = False
        self._delays = delays()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"broker-{name}", daemon=True)

    def start(self) -> None:
        """Begin to connect. Returns at once."""
        # pika logs every lost connection as errors with tracebacks; this class says it in one line.
        logging.getLogger("pika").setLevel(logging.CRITICAL)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Send what is to be sent, close, and wait up to `timeout` seconds for it."""
        self._stopping.set()
        self.call(self.drop)
        if self._thread.is_alive():
            self._thread.join(timeout)

    def call(self, function: Callable[[], object]) -> None:
        """Have the I/O thread call this soon; forgotten when there is no connection, or it is lost before."""
        loop = self._loop
        if loop is not None:
            loop.add_callback_threadsafe(function)

    def established(self) -> None:
        """Note that all is set up. On the I/O thread only."""
        log.info("the %s is connected to the broker", self._name)
        self._established = True
        self._delays = delays()

    def drop(self) -> None:
        """Close the connection. On the I/O thread only."""
        if self._connection is not None and self._connection.is_open:
            self._connection.close()
        elif self._loop is not None:
            self._loop.stop()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._serve_one_connection()
            except Exception:  # whatever it is: without its broker a process is of no use, so connect anew
                log.exception("the %s's connection to the broker failed", self._name)
            self._stopping.wait(next(self._delays))

    def _serve_one_connection(self) -> None:
        parameters = pika.URLParameters(self._settings.broker_url)
        parameters.heartbeat = self._settings.heartbeat
        parameters.client_properties = {"connection_name": f"queued {self._name}"}
        self._established = False
        self._loop = IOLoop()
        try:
            self._connection = pika.SelectConnection(
                parameters,
                on_open_callback=self._opened,
                on_open_error_callback=self._ended,
                on_close_callback=self._ended,
                custom_ioloop=self._loop,
            )
            if not self._stopping.is_set():  # `stop` may have come before there was a loop to wake
                self._loop.start()
        finally:
            loop, self._loop, self._connection = self._loop, None, None
            self._on_lost()
            loop.close()

    def _opened(self, connection: Any) -> None:
        connection.ioloop.call_later(SET_UP, self._check_set_up)
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Any) -> None:
        channel.add_on_close_callback(self._channel_closed)
        channel.queue_declare(
            self._settings.queue,
            durable=True,
            arguments=QUEUE_ARGUMENTS,
            callback=lambda _frame: self._on_ready(channel),
        )

    def _check_set_up(self) -> None:
        if not self._established:
            log.warning("the broker let the %s wait for %g s; connecting anew", self._name, SET_UP)
            self.drop()

    def _channel_closed(self, _channel: Any, reason: Exception) -> None:
        if not self._stopping.is_set():
            log.warning("the broker closed the %s's channel: %s", self._name, _said(reason))
        self.drop()

    def _ended(self, _connection: Any, reason: Exception | str) -> None:
        if not self._stopping.is_set():
            log.warning("the %s has no connection to the broker: %s", self._name, _said(reason))
        if self._loop is not None:
            self._loop.stop()


def _said(reason: Exception | str) -> str:
    """Give the cause that pika's error holds in one short line: its own text wraps it up several times."""
    while isinstance(reason, Exception):
        held = getattr(reason, "exceptions", None) or getattr(reason, "exception", None) or reason.args[:1]
        inner = held[-1] if isinstance(held, list | tuple) and held else held
        if not isinstance(inner, Exception):
            break
        reason = inner
    return str(reason) or repr(reason)
