"""What a load generator in C or Go makes of the same server: `wrk`, else `hey`, where one is installed."""

import resource
import threading
from dataclasses import dataclass

from bench.selftest import tool

SECONDS = 4
CONNECTIONS = 50


@dataclass(frozen=True)
class Other:
    """What it reached, over connections that it keeps; ours opens one for each job, as users do."""

    tool: str
    rate: float
    """Requests per second."""
    cpu_per_request: float
    """CPU seconds."""


def measure_other(url: str) -> Other | None:
    """Let it send as fast as it can for some seconds; None where there is none, or it failed."""
    name = tool.find()
    if name is None:
        return None
    before = _cpu_of_children()
    printed = tool.run(name, url, CONNECTIONS, SECONDS, threading.Event())
    used = _cpu_of_children() - before
    reading = tool.read(name, CONNECTIONS, printed)
    if reading is None:
        return None
    return Other(name, reading.rate, used / max(1.0, reading.rate * SECONDS))


def _cpu_of_children() -> float:
    """CPU seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
