"""What came back from a server, and how to read it: JSON bodies, and the few headers that matter. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

NUMBER_DIGITS = 4_000
"""Longest number of an answer that is read as a number; Python's own limit is 4,300."""


@dataclass(frozen=True)
class Answer:
    """What came back, or why nothing did. Instants are Unix time in seconds."""

    sent: float
    """Just before the client began to connect or to write."""
    done: float
    """When the last byte of the body was here, or the attempt had failed."""
    status: int = 0
    """0 when no whole answer came."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By name in small letters; the values of one that came several times are joined by commas."""
    body: bytes = b""
    error: str = ""
    timed_out: bool = False

    def header(self, name: str) -> str:
        """A header's value; empty when absent."""
        return self.headers.get(name.lower(), "")


def parse(body: bytes) -> Any:
    """Read a JSON body; None when it is not JSON.

    A number of thousands of digits stays text: the published variant answers with one of 711,273, and to
    turn that into an int takes seconds, in which this process could send nothing.
    """
    try:
        return json.loads(
            body, parse_int=lambda digits: digits if len(digits) > NUMBER_DIGITS else int(digits)
        )
    except (ValueError, RecursionError):
        return None


def problem(status: int, body: bytes) -> str:
    """What an error answer says, in one short line: its problem details, or else its status."""
    if len(body) < 64_000:
        data = parse(body)
        if isinstance(data, dict):
            for key in ("detail", "title", "error", "message"):
                if isinstance(data.get(key), str) and data[key].strip():
                    return f"HTTP {status}: {' '.join(data[key].split())}"[:200]
    return f"HTTP {status}"


def retry_after(value: str) -> float:
    """Seconds that a Retry-After header asks for (RFC 9110: seconds or a date); 0 when for nothing."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, (until.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def server_timing(value: str) -> dict[str, float]:
    """Durations of a Server-Timing header, `wait;dur=12.5, run;dur=250`, in seconds by name."""
    found = {}
    for entry in re.findall(r'(?:[^,"]|"[^"]*")+', value):  # commas within quotes divide nothing
        match = re.match(r'\s*([^\s;=]+).*?;\s*dur\s*=\s*"?([0-9.]+)', entry)
        if match:
            try:
                found[match[1].lower()] = float(match[2]) / 1000
            except ValueError:
                continue
    return found


def path_of(location: str, prefix: str = "") -> str:
    """Path and query of a Location header, for the same origin; empty when there is nothing usable in it.

    The origin's own `prefix` is taken off, since every request puts it there again.
    """
    parts = urlsplit(location.strip())
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    if prefix and path.startswith(prefix + "/"):
        path = path[len(prefix) :]
    return path if path.startswith("/") and re.fullmatch(r"[!-~]+", path) else ""
