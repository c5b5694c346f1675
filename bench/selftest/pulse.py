"""Whether the machine itself stood still: a thread that only sleeps, and sees how late it wakes."""

import threading
import time

BEAT = 0.005
"""Seconds between two looks."""


class Pulse:
    """Use as a context manager; `longest` is the longest pause so far, in seconds."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="pulse", daemon=True)

    def __enter__(self) -> "Pulse":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._stop.wait(BEAT):
            now = time.monotonic()
            self.longest = max(self.longest, now - last - BEAT)
            last = now
