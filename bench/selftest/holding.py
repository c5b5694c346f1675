"""Holds a load generator up on purpose, so that it sends late what was due in time."""

import os
import signal
import threading
from contextlib import suppress

from bench.load.driver import Generator, Progress

LEAD = 2.0
"""Seconds before a burst is due at which the generator is stopped: its progress is seen up to half a second
late, and a busy machine may add a second."""


class Hold:
    """Stops a generator's process before the warm-up ends and lets it go on `seconds` after.

    Use as a context manager around the load, and hand it the generator's progress.
    """

    def __init__(self, generator: Generator, warmup: float, seconds: float) -> None:
        self._generator, self._warmup, self._seconds = generator, warmup, seconds
        self._timer: threading.Timer | None = None

    def __enter__(self) -> "Hold":
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._go_on()

    def see(self, progress: Progress) -> None:
        """Take a sign of life from the generator."""
        if self._timer is None and progress.phase == "warmup" and progress.elapsed >= self._warmup - LEAD:
            self._timer = threading.Timer(self._warmup - progress.elapsed + self._seconds, self._go_on)
            os.kill(self._generator.pid, signal.SIGSTOP)
            self._timer.start()

    def _go_on(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._generator.pid, signal.SIGCONT)
