"""Durations, sizes and rates as people write them. Pure; a leaf.

A duration may be absolute (`250ms`, `1.5s`, `2min`, `1h`) or a multiple of the service time S (`6S`); a rate
may be absolute (`4/s`, `90/min`, `10000/day`) or a multiple of the experiment's reference capacity C
(`1.2C`). What is relative is resolved once S has been measured.
"""

import re
from dataclasses import dataclass

_SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_DURATION = re.compile(_NUMBER + r"\s*(ms|s|min|h|S)")
_SIZE = re.compile(_NUMBER + r"\s*(B|kB|MB|GB|KiB|MiB|GiB)")
_PERCENT = re.compile(_NUMBER + r"\s*%")
_RATE = re.compile(_NUMBER + r"\s*(/s|/min|/h|/day|C)")


@dataclass(frozen=True)
class Duration:
    """A length of time: `amount` seconds, or `amount` times the service time S."""

    amount: float
    in_service_times: bool = False

    def seconds(self, service_time: float) -> float:
        """Seconds, given S in seconds."""
        return self.amount * service_time if self.in_service_times else self.amount

    def __str__(self) -> str:
        return f"{self.amount:g}S" if self.in_service_times else f"{self.amount:g}s"


@dataclass(frozen=True)
class Rate:
    """Jobs per second: `amount` a second, or `amount` times the reference capacity C."""

    amount: float
    in_capacities: bool = False

    def per_second(self, capacity: float) -> float:
        """Jobs per second, given C in jobs per second."""
        return self.amount * capacity if self.in_capacities else self.amount

    def __str__(self) -> str:
        return f"{self.amount:g}C" if self.in_capacities else f"{self.amount:g}/s"


def parse_duration(text: object) -> Duration:
    """Read a duration. Raises ValueError with an example of what would be right."""
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'{text!r} is not a duration; write for example "250ms", "1.5s", "2min" or "6S"')
    amount, unit = float(match[1]), match[2]
    return Duration(amount, True) if unit == "S" else Duration(amount * _SECONDS[unit])


def parse_length(text: object) -> Duration:
    """Read a duration above 0. Raises ValueError like `parse_duration`."""
    length = parse_duration(text)
    if length.amount <= 0:
        raise ValueError(f"{text!r}: must be above 0")
    return length


def parse_size(text: object) -> int:
    """Read a size into bytes. Raises ValueError with an example of what would be right."""
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'{text!r} is not a size; write for example "2GiB" or "512MB"')
    return int(float(match[1]) * _BYTES[match[2]])


def parse_rate(text: object, *, relative: bool = True) -> Rate:
    """Read an arrival rate. Raises ValueError with an example of what would be right.

    `relative`: it may be a multiple of C, where there is a C.
    """
    match = _RATE.fullmatch(text.strip()) if isinstance(text, str) else None
    example = '"4/s", "90/min" or "1.2C"' if relative else '"4/s", "90/min" or "1000000/day"'
    if match is None:
        raise ValueError(f"{text!r} is not a rate; write for example {example}")
    if match[2] == "C" and not relative:
        raise ValueError(f"{text!r}: the capacity is not known here; write for example {example}")
    amount, unit = float(match[1]), match[2]
    if amount <= 0:
        raise ValueError(f"{text!r}: a rate must be above 0")
    if unit == "C":
        return Rate(amount, True)
    return Rate(amount / {"/s": 1, "/min": 60, "/h": 3600, "/day": 86_400}[unit])


def parse_share(text: object) -> float:
    """Read a share such as `10%` or 0.1; above 0 and at most 1. Raises ValueError with an example."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        share = float(text)
    else:
        match = _PERCENT.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f'{text!r} is not a share; write for example "10%"')
        share = float(match[1]) / 100
    if not 0 < share <= 1:
        raise ValueError(f"{text!r}: a share must be above 0 and at most 100 %")
    return share


def format_size(size: int) -> str:
    """Bytes for people, in binary units."""
    for unit in ("GiB", "MiB", "KiB"):
        if size >= _BYTES[unit]:
            return f"{size / _BYTES[unit]:.3g} {unit}"
    return f"{size} B"
