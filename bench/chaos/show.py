"""Shows how far a storm is: a live line on a terminal, now and then a plain line elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from bench.progress import clock

PLAIN_EVERY = 15.0
"""Seconds between two plain lines."""


class Show:
    """Where progress goes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._last = 0.0

    @contextmanager
    def showing(self) -> Iterator["Show"]:
        """Keep the live line for as long as the block runs."""
        if not self._console.is_terminal:
            yield self
            return
        with Live(console=self._console, refresh_per_second=4, transient=True) as self._live:
            yield self
        self._live = None

    def stage(self, text: str) -> None:
        """Say what comes now."""
        if self._live is not None:
            self._live.update(Text(text))
        else:
            self._console.print(text, highlight=False, markup=False)
            self._last = time.monotonic()

    def counts(self, text: str, left: float | None = None) -> None:
        """Say how far it is; `left` in seconds."""
        line = text + (f"  ETA {clock(left)}" if left is not None else "")
        if self._live is not None:
            self._live.update(Text(line))
        elif time.monotonic() - self._last >= PLAIN_EVERY:
            self._console.print(line, highlight=False, markup=False)
            self._last = time.monotonic()
