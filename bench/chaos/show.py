"""Shows how far a storm is: a live line on a terminal, now and then a plain line elsewhere."""

import time

from rich.console import Console

from bench.progress import LiveLine, clock

PLAIN_EVERY = 15.0
"""Seconds between two plain lines."""


class Show(LiveLine):
    """Where progress goes."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._last = 0.0

    def stage(self, text: str) -> None:
        """Say what comes now."""
        if not self.update(text):
            self._plain(text)

    def counts(self, text: str, left: float | None = None) -> None:
        """Say how far it is; `left` in seconds."""
        line = text + (f"  ETA {clock(left)}" if left is not None else "")
        if not self.update(line) and time.monotonic() - self._last >= PLAIN_EVERY:
            self._plain(line)

    def _plain(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
        self._last = time.monotonic()
