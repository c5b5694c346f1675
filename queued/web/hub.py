"""News of jobs for everybody in this process who waits: one connection to the store for all of them."""

import logging
import secrets
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from queued.backoff import delays
from queued.errors import QueuedError
from queued.job import FINAL, Record
from queued.store import News, StoreError, Told

log = logging.getLogger(__name__)

LOOK = 1.0
"""Seconds after which the listening thread looks whether it is to end."""


class Full(QueuedError):
    """As many wait here as may."""


class Waiter:
    """Somebody who waits for news of one job. A context manager; leaving it ends the waiting."""

    def __init__(self, hub: "Hub", job_id: str, end_only: bool) -> None:
        self.job_id = job_id
        self._end_only = end_only
        self._hub = hub
        self._news = threading.Event()
        self._left = False
        self.result: tuple[Record, bytes] | None = None
        """The job's record and output, where they were told with its end: they need not be read."""

    def tell(self, news: News) -> None:
        """Have `wait` return, if it is waited for that."""
        if not self._end_only or news.what in FINAL:
            self.result = news.result
            self._news.set()

    def wake(self) -> None:
        """Have `wait` return, because nobody knows what was missed."""
        self._news.set()

    def wait(self, timeout: float) -> bool:
        """Return whether there are news within `timeout` seconds: read the record again then.

        There are none once this process is ending (`Hub.ending`): it returns at once.
        """
        if self._hub.ending:
            return False
        heard = self._news.wait(max(0.0, timeout))
        self._news.clear()  # before the caller reads: what comes from now on wakes it again
        return heard and not self._hub.ending

    def leave(self) -> None:
        """Wait no more. Safe to call twice."""
        if not self._left:
            self._left = True
            self._hub.left(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()


class Hub:
    """Follows the jobs that somebody here waits for. Safe to share between threads (and greenlets).

    When the connection was lost, everybody is woken to read again, for news may have been missed.
    """

    def __init__(self, listen: Callable[[str], Told], most: int) -> None:
        """`listen` connects, under the name it is given; `most` is how many may wait."""
        self.listener = secrets.token_hex(8)
        """Submit a job with this name, and its end is heard here without following it."""
        self._listen = listen
        self._most = most
        self._count = 0
        self._told: Told | None = None
        self._newest: Told | None = None
        self._waiters: dict[str, tuple[Waiter, ...]] = {}
        self._followed: set[str] = set()
        # Held while a job is followed or no longer followed, so that the two can't overtake each other; the
        # listening thread never takes it, for `follow` may need that thread to go on.
        self._changing = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hub", daemon=True)

    def start(self) -> None:
        """Begin to listen. Returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Send everybody home who waits. The listening ends with it."""
        self._ending.set()
        self._wake_all()

    def close(self, timeout: float = 5.0) -> None:
        """Wait up to `timeout` seconds for the listening thread, after `stop`."""
        self.stop()
        if self._thread.is_alive():
            self._thread.join(timeout)

    @property
    def ending(self) -> bool:
        """Whether this process is about to end, so that nobody should wait any more."""
        return self._ending.is_set()

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return self._count

    @property
    def full(self) -> bool:
        """Whether nobody more may wait."""
        return self._count >= self._most or self.ending

    def join(self, job_id: str, *, end_only: bool = False, new: bool = False) -> Waiter:
        """Begin to wait for news of a job, or for its end only. Read its record after this. Raises Full.

        `new`: for the end of a job that is submitted after this, with `listener`: the store is told nothing.
        Look at its record now and then, and `follow` it in the end: one that was lost and recorded anew has
        no listener, and a worker of another version may not know of any.

        While the store is away it only notes who waits: they are woken when it is back.
        """
        waiter = Waiter(self, job_id, end_only)
        with self._changing:
            if self.full:
                raise Full("as many clients wait here as may")
            self._count += 1
            self._waiters[job_id] = (*self._waiters.get(job_id, ()), waiter)
            if not new and job_id not in self._followed and self._told is not None:
                try:
                    self._follow(self._told, job_id)
                except BaseException:
                    self._forget(waiter)
                    raise
        return waiter

    def follow(self, waiter: Waiter) -> None:
        """Hear of the job of one that was `new` as of any other. Read its record after this."""
        with self._changing:
            if waiter.job_id not in self._followed and self._told is not None:
                self._follow(self._told, waiter.job_id)

    def left(self, waiter: Waiter) -> None:
        """Forget a waiter; for `Waiter.leave`."""
        with self._changing:
            self._forget(waiter)
            if waiter.job_id in self._followed and waiter.job_id not in self._waiters:
                self._followed.discard(waiter.job_id)
                if self._told is not None:
                    self._tell(self._told.unfollow, waiter.job_id)

    def _forget(self, waiter: Waiter) -> None:
        self._count -= 1
        others = tuple(other for other in self._waiters[waiter.job_id] if other is not waiter)
        if others:
            self._waiters[waiter.job_id] = others
        else:
            del self._waiters[waiter.job_id]

    def _follow(self, told: Told, job_id: str) -> None:
        self._tell(told.follow, job_id)
        self._followed.add(job_id)

    def _tell(self, follow: Callable[[str], object], job_id: str) -> None:
        try:
            follow(job_id)
        except StoreError as error:  # the listening thread meets it too, and connects anew
            log.debug("the store could not be told whom to follow: %s", error)

    def _run(self) -> None:
        pauses = delays()
        while not self._ending.is_set():
            told: Told | None = None
            try:
                told = self._newest = self._listen(self.listener)
                threading.Thread(target=self._follow_all, args=(told,), name="hub-back", daemon=True).start()
                while not self._ending.is_set():
                    heard = told.hear(LOOK)
                    pauses = delays()
                    if heard is not None:
                        for waiter in self._waiters.get(heard.job_id, ()):
                            waiter.tell(heard)
            except StoreError as error:
                log.warning("news of jobs can't be heard: %s; trying again", error)
            except Exception:  # whatever it is: without news everybody would wait in vain
                log.exception("listening for news of jobs failed")
            finally:
                self._told = self._newest = None
                if told is not None:
                    told.close()
                self._wake_all()
            self._ending.wait(next(pauses))

    def _follow_all(self, told: Told) -> None:
        """Follow, on a new connection, whom somebody waits for, then have them read what they missed."""
        with self._changing:
            if self._newest is not told:  # it was lost meanwhile
                return
            self._told = told
            self._followed = set()
            for job_id in list(self._waiters):
                self._follow(told, job_id)
        self._wake_all()

    def _wake_all(self) -> None:
        for waiters in list(self._waiters.values()):
            for waiter in waiters:
                waiter.wake()
