"""The connections to Redis, and what goes over them: one script at a time."""

import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from queued.settings import Settings
from queued.store import scripts
from queued.store.errors import StoreError, told

TIMEOUT = 2.0
"""Seconds to wait for an answer of Redis."""
BULK_TIMEOUT = 60.0
"""The same where megabytes have to get through first."""
BULK = 1 << 20
"""Bytes from which on it is so."""
CONNECTIONS = 64
"""Most connections of one process, apart from those that listen; who needs one more waits up to TIMEOUT."""

OURS = frozenset({"max_connections", "health_check_interval", "decode_responses"})
"""Options that redis-py would take from an address, and that this module has to decide."""


class Client:
    """Runs scripts in Redis. Safe to share between threads and greenlets."""

    def __init__(self, settings: Settings) -> None:
        """Does not connect yet. Raises StoreError where the address can't be understood."""
        self._scripts = scripts.load()
        self._connect = _connector(settings, TIMEOUT)
        self._lines = Lines(self._connect)
        self._bulk = Lines(_connector(settings, BULK_TIMEOUT))

    def close(self) -> None:
        """Close the connections."""
        self._lines.close()
        self._bulk.close()

    def run(self, name: str, *arguments: str | bytes | float, size: int = 0) -> Any:
        """Run a script by name; `size`: bytes of its arguments, where they are many."""
        script = self._scripts[name]
        lines, timeout = (self._lines, TIMEOUT) if size < BULK else (self._bulk, BULK_TIMEOUT)
        with told(timeout):
            try:
                return lines.run("EVALSHA", script.sha, 0, *arguments)
            except redis.exceptions.NoScriptError:  # a Redis that has just been started
                return lines.run("EVAL", script.text, 0, *arguments)

    def command(self, *words: str | float) -> Any:
        """Run a plain command; gives Redis's answer as it is."""
        with told(TIMEOUT):
            return self._lines.run(*words)

    def connection(self) -> Any:
        """Open a connection apart from the others."""
        connection = self._connect()
        with told(TIMEOUT):
            connection.connect()
        return connection


class Lines:
    """Connections that are kept, each used by one at a time. Safe to share between threads and greenlets.

    They are redis-py's, without its client around them: on a system that is otherwise idle that takes longer
    than Redis itself (0.17 of the 0.49 ms of a PING).
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        """`make` gives a connection, which connects when it is first used."""
        self._make = make
        self._places = threading.BoundedSemaphore(CONNECTIONS)
        self._idle: deque[Any] = deque()
        self._closed = False

    def run(self, *words: str | bytes | float) -> Any:
        """Send a command and read its answer. Raises redis-py's errors.

        A restart of Redis leaves dead connections: one try more, at once. Waiting longer is up to the caller,
        who knows whether somebody waits for him.
        """
        with self._one() as connection:
            try:
                return _ask(connection, words)
            except redis.ConnectionError:
                return _ask(connection, words)

    def close(self) -> None:
        """Close them all; who has one in use loses it afterwards."""
        self._closed = True
        with suppress(IndexError):  # that was the last, or another thread took it
            while True:
                self._idle.pop().disconnect()

    @contextmanager
    def _one(self) -> Iterator[Any]:
        if not self._places.acquire(timeout=TIMEOUT):
            raise redis.ConnectionError("all connections are in use")
        try:
            try:
                connection = self._idle.pop()  # the warmest
            except IndexError:
                connection = self._make()
            try:
                yield connection
            finally:
                self._idle.append(connection)
                if self._closed:
                    self.close()
        finally:
            self._places.release()


def _ask(connection: Any, words: tuple[str | bytes | float, ...]) -> Any:
    """Send and read; a connection that may still have an answer to give afterwards is closed."""
    try:
        connection.send_command(*words, check_health=False)
        return connection.read_response()
    except redis.ResponseError:  # which is an answer
        raise
    except BaseException:
        connection.disconnect()
        raise


def _connector(settings: Settings, timeout: float) -> Callable[[], Any]:
    """Return what makes a connection, which connects when it is first used. Raises StoreError."""
    more: dict[str, Any] = {}
    if urlsplit(settings.store_url).scheme == "rediss":
        more = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
        if settings.ca_file is not None:
            more["ssl_ca_certs"] = settings.ca_file
    try:
        pool = redis.ConnectionPool.from_url(  # for its reading of addresses
            settings.store_url,
            protocol=2,
            encoding_errors="replace",  # JSON can hold half a surrogate pair: no reason to fail
            socket_timeout=timeout,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
            **more,
        )
        pool.connection_class(**pool.connection_kwargs)  # that one connects to nothing, and knows its options
        if OURS & parse_qs(urlsplit(settings.store_url).query).keys():
            raise ValueError
    except (ValueError, TypeError):
        raise StoreError("the store's address has an option that is not known") from None
    return lambda: pool.connection_class(**pool.connection_kwargs)
