"""Numbers as people say them. Pure."""

import math
from collections.abc import Sequence

from bench.plan import Kind, Retry, System

KIND_WORDS: dict[Kind, str] = {
    "blocking": "Flask's threads",
    "gunicorn": "gunicorn's processes",
    "bounded": "gunicorn behind a connection limit",
    "as_published": "the queue as the blog post published it",
    "queued": "the queue",
    "external": "a service that already ran",
}


_STEPS = (
    (0.0095, 1000.0, ".1f", "ms"),
    (0.9995, 1000.0, ".0f", "ms"),
    (9.95, 1.0, ".1f", "s"),
    (119.5, 1.0, ".0f", "s"),
    (600.0, 1 / 60, ".1f", "min"),
    (math.inf, 1 / 60, ".0f", "min"),
)
"""Below how many seconds: factor, format, unit."""


def seconds(value: float) -> str:
    """A duration: `1.8 ms`, `250 ms`, `3.3 s`, `75 s`, `3 min`; infinity is "not reached"."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "not reached"
    factor, style, unit = next((f, s, u) for limit, f, s, u in _STEPS if abs(value) < limit)
    number = format(value * factor, style)
    return f"{number.removesuffix('.0')} {unit}"


def figure(value: float) -> str:
    """A number with two to three significant digits: `0.05`, `1.2`, `4`, `12`, `130`."""
    if not math.isfinite(value):
        return "–"
    if abs(value) >= 99.5:
        return f"{value:,.0f}"
    style = ".0f" if abs(value) >= 19.95 else ".1f" if abs(value) >= 0.95 else ".2g"
    return format(value, style).removesuffix(".0")


def rate(value: float) -> str:
    """Jobs per second."""
    return f"{figure(value)} {'job' if figure(value) == '1' else 'jobs'}/s"


def percent(share: float) -> str:
    """A share as a percentage; tiny ones are not called nothing, nor nearly all called all."""
    if math.isnan(share):
        return "–"
    if 0 < share < 0.01:
        return "under 1 %"
    if 0.99 < share < 1:
        return "over 99 %"
    return f"{share * 100:.0f} %"


def count(n: int, noun: str, nouns: str = "") -> str:
    """`1 job`, `2 jobs`, `no jobs`."""
    return f"{'no' if n == 0 else f'{n:,}'} {noun if n == 1 else nouns or noun + 's'}"


def times(n: int) -> str:
    """`once`, `twice`, `5 times`."""
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


def size(value: float) -> str:
    """Bytes in binary units."""
    if math.isnan(value):
        return "–"
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f} B"


def listing(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def of_capacity(relative: float) -> str:
    """A load as a multiple of the reference capacity; empty where that is unknown."""
    return f"{relative:.2g} × capacity" if relative > 0 else ""


def about(share: float) -> str:
    """An estimated share: `about 7 %`, `under 1 %`."""
    words = percent(share)
    return words if words.startswith(("under", "over")) else f"about {words}"


def system_words(system: System) -> str:
    """What a system is, for a reader who meets its name for the first time."""
    text = KIND_WORDS[system.kind]
    if system.kind == "as_published":
        return f"{text}, a dead consumer {'started again after 1 s' if system.restart else 'stays dead'}"
    if system.kind == "queued":
        path = "through the web API" if system.result_path == "api" else "straight into the store"
        outside = "" if system.services_in_box else ", broker and store outside the box"
        admission = (
            ""
            if system.max_wait is None
            else f", says 429 to what would wait for more than {seconds(system.max_wait)}"
        )
        return f"{text}: results {path}{outside}{admission}"
    if system.kind == "external":
        return f"{text} at {system.url}" if system.url else text
    return text


def retry_words(retry: Retry) -> str:
    """How clients try again: `no retries`, `retries at once`, `back-off with jitter, budget 10 %`."""
    words = {
        "none": "no retries",
        "immediate": "retries at once",
        "backoff": "back-off",
        "jitter": "back-off with jitter",
    }[retry.policy]
    return f"{words}, budget {percent(retry.budget)}" if retry.budget else words


def sentence(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]
