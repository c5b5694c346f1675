"""A connection that is kept: on a thread of its own, and made again when it is lost."""

import logging
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pika
from pika.adapters.select_connection import IOLoop
from pika.adapters.utils.selector_ioloop_adapter import AbstractSelectorIOLoop

from queued.backoff import delays
from queued.broker.address import parameters
from queued.broker.queues import declarations
from queued.settings import Settings

log = logging.getLogger(__name__)

CONNECT = (3.0, 6.0)
"""Seconds for the TCP connection, and until the broker has let us in."""
SET_UP = 15.0
"""Seconds that opening a channel, declaring the queues and the like may take in all: a broker in trouble may
leave such a request unanswered while its heartbeats go on."""

OTHER_ARGUMENTS = 406
"""How AMQP says that a queue exists already, and was declared otherwise."""


class Link:
    """One kept connection with one channel, on a thread of its own; connects again, with back-off.

    `on_ready(channel)` is called whenever the channel is open and `queues` are declared, with their dead
    letters (see `work_queues`); who has then set up the rest says `established()`. `on_lost()` is called when
    a connection has ended. All of it happens on the I/O thread, as does whatever is given to `call`.
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        queues: Mapping[str, str],
        on_ready: Callable[[Any], None],
        on_lost: Callable[[], None],
        make_loop: Callable[[], AbstractSelectorIOLoop] = IOLoop,
    ) -> None:
        """`make_loop` makes what pika's I/O runs on, for one connection."""
        self._settings = settings
        self._name = name
        self._queues = queues
        self._on_ready = on_ready
        self._on_lost = on_lost
        self._make_loop = make_loop
        self._loop: AbstractSelectorIOLoop | None = None
        self._connection: Any = None
        self._established = False
        self._delays = delays()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"broker-{name}", daemon=True)

    @property
    def connected(self) -> bool:
        """Whether all is set up now. From any thread."""
        return self._established

    @property
    def connection(self) -> Any:
        """The connection that is open now, for more channels than the one. On the I/O thread only."""
        return self._connection

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
            loop.add_callback(function)

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
        self._loop = self._make_loop()
        try:
            self._connection = pika.SelectConnection(
                self._parameters(),
                on_open_callback=self._opened,
                on_open_error_callback=self._ended,
                on_close_callback=self._ended,
                custom_ioloop=self._loop,
            )
            if not self._stopping.is_set():  # `stop` may have come before there was a loop to wake
                self._loop.start()
        finally:
            loop, self._loop, self._connection = self._loop, None, None
            self._established = False
            self._on_lost()
            loop.close()

    def _parameters(self) -> Any:
        made = parameters(self._settings, self._name)
        made.heartbeat = self._settings.heartbeat
        # pika's own 10 and 15 s would be an outage: a broker that boots takes connections before it answers.
        made.socket_timeout, made.stack_timeout = CONNECT
        return made

    def _opened(self, connection: Any) -> None:
        connection.ioloop.call_later(SET_UP, self._check_set_up)
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Any) -> None:
        channel.add_on_close_callback(self._channel_closed)
        self._declare(channel, declarations(self._queues))

    def _declare(self, channel: Any, left: list[tuple[str, dict[str, Any]]]) -> None:
        if not left:
            self._on_ready(channel)
            return
        (name, arguments), *rest = left
        channel.queue_declare(
            name, durable=True, arguments=arguments, callback=lambda _frame: self._declare(channel, rest)
        )

    def _check_set_up(self) -> None:
        if not self._established:
            log.warning("the broker let the %s wait for %g s; connecting anew", self._name, SET_UP)
            self.drop()

    def _channel_closed(self, _channel: Any, reason: Exception) -> None:
        if not self._stopping.is_set():
            log.warning("the broker closed the %s's channel: %s", self._name, _refusal(reason))
        self.drop()

    def _ended(self, _connection: Any, reason: Exception | str) -> None:
        if not self._stopping.is_set():
            log.warning("the %s has no connection to the broker: %s", self._name, _said(reason))
        if self._loop is not None:
            self._loop.stop()


def _refusal(reason: Exception) -> str:
    """Say why a channel was closed; where a queue was declared otherwise, also what to do."""
    text = str(getattr(reason, "reply_text", ""))
    found = re.search(r"inequivalent arg '([^']*)' for queue '([^']*)'", text)
    if getattr(reason, "reply_code", None) == OTHER_ARGUMENTS and found:
        return (
            f"the queue {found[2]} exists already, with another {found[1]}: delete it once it is empty, "
            "or set QUEUED_QUEUE to another name"
        )
    return _said(reason)


def _said(reason: Exception | str) -> str:
    """Give the cause that pika's error holds in one short line: its own text wraps it up several times."""
    while isinstance(reason, Exception):
        held = getattr(reason, "exceptions", None) or getattr(reason, "exception", None) or reason.args[:1]
        inner = held[-1] if isinstance(held, list | tuple) and held else held
        if not isinstance(inner, Exception):
            break
        reason = inner
    return " ".join((str(reason) or repr(reason)).split())
