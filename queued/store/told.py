"""Who waits for a job hears of each change as it happens (Redis pub/sub)."""

import select
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from queued.store.client import TIMEOUT
from queued.store.errors import StoreError, told
from queued.store.model import News

FOLLOWED = "queued:told:"
LISTENER = "queued:listener:"
SLICE = 1.0
"""Most seconds between two looks at the time."""
QUIET = 10.0
"""Seconds of silence after which Redis is asked whether it is still there."""


class Told:
    """One connection that follows jobs. Safe to share between threads and greenlets.

    A connection that is lost raises StoreError from all its methods but `close`, once and for all: close it,
    make a new one, and read anew what was followed.
    """

    def __init__(self, connection: Any, listener: str = "") -> None:
        """`listener`: hear of the ends of jobs that were submitted with this word, too."""
        self._connection = connection
        # A TLS connection must not be read and written at the same time, so nobody may wait inside a read.
        self._tls = isinstance(connection._sock, ssl.SSLSocket)
        self._wire = threading.Lock()
        self._changed = threading.Condition()
        self._reading = False
        self._heard: deque[News] = deque()
        # Redis answers in the order it was asked, so that to count is enough.
        self._asked = 0
        self._answered = 0
        self._last = time.monotonic()
        self._pinged: float | None = None
        self._broken: str | None = None
        if listener:
            self._subscribe(LISTENER + listener)

    def follow(self, job_id: str) -> None:
        """Hear of this job from now on; returns when Redis has it: what is read afterwards misses nothing."""
        mine = self._subscribe(FOLLOWED + job_id)
        if not self._until(lambda: self._answered >= mine, TIMEOUT):
            raise self._lost(f"the store did not answer within {TIMEOUT:g} s")

    def unfollow(self, job_id: str) -> None:
        """Hear no more of it; what was on its way may still come. Does not wait."""
        with self._wire:
            self._send("UNSUBSCRIBE", FOLLOWED + job_id)

    def next(self, timeout: float) -> str | None:
        """Id of a job that has changed; None: none has within `timeout` seconds."""
        heard = self.hear(timeout)
        return None if heard is None else heard.job_id

    def hear(self, timeout: float) -> News | None:
        """As `next`, with what it is now."""
        deadline = time.monotonic() + timeout
        while self._until(lambda: bool(self._heard), max(0.0, deadline - time.monotonic())):
            try:
                return self._heard.popleft()
            except IndexError:  # another thread was quicker
                continue
        return None

    def close(self) -> None:
        """Close the connection."""
        self._broken = self._broken or "the connection is closed"
        self._connection.disconnect()

    def _until(self, met: Callable[[], bool], timeout: float) -> bool:
        """Wait until it is so. One of those who wait reads for all."""
        deadline = time.monotonic() + timeout
        looked = False
        with self._changed:
            while not met():
                left = max(0.0, deadline - time.monotonic())
                if looked and not left:
                    return False
                looked = True
                if self._reading:
                    self._changed.wait(left)
                    continue
                self._reading = True
                self._changed.release()
                try:
                    self._read(min(left, SLICE))
                finally:
                    self._changed.acquire()
                    self._reading = False
                    self._changed.notify_all()
            return True

    def _read(self, timeout: float) -> None:
        """Take in what has come; wait up to `timeout` seconds for it."""
        if self._take():
            return
        now = time.monotonic()
        if self._pinged is not None and now - self._pinged > TIMEOUT:
            raise self._lost(f"the store did not answer within {TIMEOUT:g} s")
        if self._pinged is None and now - self._last > QUIET:
            with self._wire:
                self._send("PING")
            self._pinged = now
        if self._tls:
            self._wait(timeout)
        else:
            try:
                with self._breaking():
                    self._connection.can_read(timeout)
            except (AttributeError, OSError, ValueError):  # another thread has closed it meanwhile
                raise self._lost("the connection is closed") from None
        self._take()

    def _wait(self, timeout: float) -> None:
        waiting = select.poll()
        try:
            waiting.register(self._connection._sock.fileno(), select.POLLIN)
            waiting.poll(max(1, round(timeout * 1000)))
        except (AttributeError, OSError, ValueError):
            raise self._lost("the connection is closed") from None

    def _take(self) -> bool:
        """Take in the next that is here already, if any; one, for somebody may wait for just that."""
        with self._wire, self._breaking():
            if not self._connection.can_read(0):
                return False
            self._note(self._connection.read_response(disconnect_on_error=True))
            return True

    def _note(self, reply: Any) -> None:
        self._last = time.monotonic()
        self._pinged = None
        match reply:
            case [b"message", bytes(channel), bytes(said)]:
                name = channel.decode()
                job_id, what = name.removeprefix(FOLLOWED), said
                if name.startswith(LISTENER):
                    told_id, _, what = said.partition(b"\n")
                    job_id = told_id.decode()
                self._heard.append(_news(job_id, what))
            case [b"subscribe", *_]:
                self._answered += 1

    def _subscribe(self, channel: str) -> int:
        """Begin to hear what is said there, without waiting for Redis; gives the number of the asking."""
        with self._wire:
            self._send("SUBSCRIBE", channel)
            self._asked += 1
            return self._asked

    def _send(self, *words: str) -> None:
        with self._breaking():
            self._connection.send_command(*words, check_health=False)

    @contextmanager
    def _breaking(self) -> Iterator[None]:
        """What fails here breaks the connection for all."""
        try:
            self._check()
            with told(TIMEOUT):
                yield
        except BaseException as error:  # whatever it is: redis-py has closed it, and would connect unasked
            why = str(error) if isinstance(error, StoreError) else "the connection was cut off"
            self._broken = self._broken or why
            raise

    def _check(self) -> None:
        # redis-py would connect again by itself, to a connection that follows nothing.
        if self._broken is not None:
            raise StoreError(self._broken)

    def _lost(self, why: str) -> StoreError:
        self._broken = self._broken or why
        return StoreError(self._broken)


def _news(job_id: str, said: bytes) -> News:
    what, _, told = said.partition(b"\n")
    return News(job_id, what.decode(), told)
