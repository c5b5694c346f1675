"""Reads the text of one setting. Each function raises ValueError with what follows the setting's name."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

W = TypeVar("W", bound=str)
ResultPath = Literal["api", "store"]
LogFormat = Literal["text", "json"]

QUEUE_NAME = 255
"""Bytes of the longest name that AMQP takes."""
UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
HOST = re.compile(
    r"(https?://)?((\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?", re.ASCII
)
PERIODS = {"s": 1.0, "min": 60.0, "h": 3_600.0, "day": 86_400.0}


@dataclass(frozen=True)
class Rate:
    """So many in so long."""

    count: int
    seconds: float


def words(text: str) -> tuple[str, ...]:
    """Split a comma list; blanks around and empty parts do not count."""
    return tuple(word for word in (part.strip() for part in text.split(",")) if word)


def url(*schemes: str) -> Callable[[str], str]:
    """Take an address. It is never shown: it may hold a password."""

    def read(text: str) -> str:
        try:
            parts = urlsplit(text)
            usable = bool(parts.hostname) and parts.port != 0
        except ValueError:
            raise ValueError("is not a usable address") from None
        if parts.scheme not in schemes or not usable:
            raise ValueError(f"must look like {' or '.join(f'{scheme}://host:port' for scheme in schemes)}")
        return text

    return read


def seconds(low: float, high: float) -> Callable[[str], float]:
    """Take a duration."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"must be a number of seconds, not {text[:40]!r}") from None
        if not low <= value <= high:  # false for nan too
            raise ValueError(f"must be from {low:,g} to {high:,g} seconds, not {text[:40]}")
        return value

    return read


def whole_seconds(low: float, high: float) -> Callable[[str], int]:
    """Take a duration, rounded up."""
    exact = seconds(low, high)
    return lambda text: -int(-exact(text) // 1)


def count(low: int, high: int) -> Callable[[str], int]:
    """Take a whole number."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text):
            raise ValueError(f"must be a whole number, not {text[:40]!r}")
        if not low <= int(text) <= high:
            raise ValueError(f"must be from {low:,} to {high:,}, not {text}")
        return int(text)

    return read


def size(low: int, high: int) -> Callable[[str], int]:
    """Take a number of bytes, such as 4096 or 64MiB."""

    def read(text: str) -> int:
        match = re.fullmatch(r"([0-9]{1,12}) ?([A-Za-z]*)", text)
        if match is None or match[2] not in UNITS:
            raise ValueError(f"must be a size such as 4096, 512KiB or 64MiB, not {text[:40]!r}")
        value = int(match[1]) * UNITS[match[2]]
        if not low <= value <= high:
            raise ValueError(f"must be from {low:,} to {high:,} bytes, not {text}")
        return value

    return read


def one_of(*allowed: W) -> Callable[[str], W]:
    """Take one of these words."""

    def read(text: str) -> W:
        for word in allowed:
            if word == text:
                return word
        raise ValueError(f"must be {' or '.join(allowed)}, not {text[:40]!r}")

    return read


def switch(text: str) -> bool:
    """Take 1 or 0, or the usual words for them."""
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError(f"must be 1 or 0, not {text[:40]!r}")


def queue(text: str) -> str:
    """Take what the names of queues begin with."""
    if len(text.encode()) > QUEUE_NAME or text.startswith("amq."):
        raise ValueError(f"must be a queue's name: at most {QUEUE_NAME} bytes, and not begin with amq.")
    return text


def names(text: str) -> str:
    """Take a comma list of tasks."""
    if not words(text):
        raise ValueError("names no task")
    if len(set(words(text))) < len(words(text)):
        raise ValueError("names a task twice")
    return text


def secret(text: str) -> str:
    """Take what travels in a header, or signs."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be printable ASCII without blanks, because it travels in a header")
    return text


def tokens(text: str) -> str:
    """Take a comma list of secrets."""
    if not words(text):
        raise ValueError("names no token")
    for word in words(text):
        secret(word)
    return text


def api_keys(text: str) -> tuple[tuple[str, str], ...]:
    """Take name:key,name:key. Nothing of it is shown."""
    keys = []
    for word in words(text):
        name, colon, key = word.partition(":")
        if not name or not colon or not key:
            raise ValueError("must look like name:key,name:key")
        keys.append((name, secret(key)))
    if len({key for _, key in keys}) < len(keys):
        raise ValueError("gives two names the same key")
    return tuple(keys)


def rate(text: str) -> Rate:
    """Take a rate such as 10/s."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})/(s|min|h|day)", text)
    if match is None:
        raise ValueError(f"must look like 10/s, 600/min, 1000/h or 5000/day, not {text[:40]!r}")
    return Rate(int(match[1]), PERIODS[match[2]])


def hosts(text: str) -> tuple[str, ...]:
    """Take a comma list of hosts, each perhaps with a port, `*.` for all below it, or http:// for no TLS."""
    for word in words(text):
        try:
            usable = bool(HOST.fullmatch(word)) and urlsplit(word if "://" in word else f"//{word}").port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ValueError(f"must be names of hosts, and {word[:40]!r} is none")
    return tuple(word.lower() for word in words(text))


def file(text: str) -> str:
    """Take the path of a file that can be read."""
    try:
        with Path(text).open("rb"):
            return text
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}") from None
