"""Instants for the records."""

import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Clock:
    """Unix time in seconds, taken once and carried on by the monotonic clock.

    Servers write their journals in Unix time, so records must speak it too; but a response time must not
    change because the machine's clock was set meanwhile.
    """

    anchor: float = field(default_factory=lambda: time.time() - time.monotonic())

    def now(self) -> float:
        """Now, as Unix time in seconds."""
        return self.anchor + time.monotonic()
