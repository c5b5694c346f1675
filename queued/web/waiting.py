"""Long-poll: an answer that is held back until there is something to say (`Prefer: wait`, RFC 7240)."""

import math
import time
from collections.abc import Callable

from flask import request

from queued.job import FINAL, Record
from queued.web.hub import Full, Hub


def asked_wait(gateway_timeout: float) -> float | None:
    """Return how long the client prefers to wait (s), cut to half of what the gateway bears; None: not."""
    for header in request.headers.getlist("Prefer"):
        for preference in header.split(","):
            name, _, value = preference.partition(";")[0].partition("=")
            text = value.strip().strip('"')
            if name.strip().lower() == "wait" and text.isascii() and text.isdigit():
                return min(float(text[:9]), gateway_timeout / 2)
    return None


def applied(wait: float) -> dict[str, str]:
    """Return the header that says that the client's preference was honoured, and as how much."""
    return {"Preference-Applied": f"wait={wait:g}"}


def until(
    hub: Hub,
    job_id: str,
    wait: float,
    read: Callable[[], Record],
    enough: Callable[[Record, Record], bool] | None = None,
    look: float = math.inf,
) -> Record:
    """Read a job's record until `enough(first, last)`, or `wait` seconds are over.

    It is read again with each news, and every `look` seconds.

    Without `enough` it is the job's end that is waited for.
    Where too many wait already, or this process is ending, the record is given as it is.
    """
    try:
        waiter = hub.join(job_id, end_only=enough is None)
    except Full:
        return read()
    with waiter:
        end = time.monotonic() + wait
        first = last = read()
        while not (last.state in FINAL if enough is None else enough(first, last)):
            left = end - time.monotonic()
            if left <= 0 or hub.ending:
                break
            if waiter.wait(min(left, look)) or look < left:
                last = read()
        return last
