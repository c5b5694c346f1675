"""An independent tool beside ours: `wrk` or `hey`, where one is installed."""

import re
import shutil
import subprocess
import threading
from dataclasses import dataclass
from math import nan

INSTALL = "not installed, skipped: install wrk (or hey) to have an independent tool measure the same server"
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "secs": 1.0}
GRACE = 15.0
"""Seconds beyond its run in which it must have ended."""


@dataclass(frozen=True)
class Reading:
    """What a tool says of a closed load. Times in seconds; NaN where it does not say."""

    tool: str
    connections: int
    median: float
    mean: float
    rate: float
    """Answers per second."""


def find() -> str | None:
    """`wrk`, else `hey`, else None."""
    return next((name for name in ("wrk", "hey") if shutil.which(name)), None)


def run(tool: str, url: str, connections: int, seconds: float, stop: threading.Event) -> str:
    """Let it load `url` and return what it printed; empty when it was stopped, or failed."""
    whole = max(1, round(seconds))
    commands = {
        "wrk": ["wrk", "-t1", f"-c{connections}", f"-d{whole}s", "--latency", url],
        "hey": ["hey", "-c", str(connections), "-z", f"{whole}s", url],
    }
    try:
        process = subprocess.Popen(
            commands[tool],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    except OSError:
        return ""
    left = whole + GRACE
    try:
        while not stop.is_set() and left > 0:
            try:
                printed, _ = process.communicate(timeout=0.2)
            except subprocess.TimeoutExpired:
                left -= 0.2
                continue
            return str(printed) if process.returncode == 0 else ""
        return ""
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def read(tool: str, connections: int, printed: str) -> Reading | None:
    """Understand its output; None where that is not possible."""
    if tool == "wrk":
        median = _duration(r"^\s*50%\s+([\d.]+)(us|ms|s|m)\b", printed)
        mean = _duration(r"^\s*Latency\s+([\d.]+)(us|ms|s|m)\b", printed)
    else:
        median = _duration(r"50%+ in ([\d.]+) (secs)", printed)
        mean = _duration(r"Average:\s+([\d.]+) (secs)", printed)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    if rate is None or not median > 0:
        return None
    return Reading(tool, connections, median, mean, float(rate[1]))


def _duration(pattern: str, text: str) -> float:
    found = re.search(pattern, text, re.MULTILINE)
    return float(found[1]) * UNITS[found[2]] if found else nan
