"""`sleep`: waits, as a job does that calls another service.

It takes next to no CPU, so workers help beyond the number of cores.
"""

import time
from typing import Any

from workloads.inputs import fields, number, shown
from workloads.task import Task, VerificationError

MAX_SECONDS = 3_600.0
FORM = '0.25 or {"seconds": 0.25}'
CLOCK_SLACK = 0.001
"""Seconds by which a sleep may seem too short: clocks round."""


def task() -> Task:
    """The task `sleep`. Input: seconds. Output: {"seconds": wall seconds slept}."""
    return Task(
        name="sleep",
        run=run,
        check=check,
        verify=verify,
        example={"seconds": 0.25},
        probe={"seconds": 0.0},
        holds_gil=lambda _: False,
        nominal=lambda value: check(value)["seconds"],
    )


def check(value: Any) -> dict[str, float]:
    """Normalise to {"seconds"}. Raises InvalidInput."""
    asked = fields(value, FORM, ["seconds"]) if isinstance(value, dict) else {"seconds": value}
    return {"seconds": number(asked["seconds"], "seconds of sleep", 0, MAX_SECONDS)}


def run(value: Any) -> dict[str, float]:
    """Sleep for the asked seconds."""
    asked = check(value)["seconds"]
    start = time.monotonic()
    time.sleep(asked)
    return {"seconds": time.monotonic() - start}


def verify(value: Any, output: Any) -> None:
    """At least what was asked; a crowded machine may wake it much later, which is no error."""
    asked = check(value)["seconds"]
    slept = output.get("seconds") if isinstance(output, dict) else None
    if isinstance(slept, bool) or not isinstance(slept, int | float):
        raise VerificationError(f'sleep gives {{"seconds": number}}, not {shown(output)}')
    if not slept >= asked - CLOCK_SLACK:
        raise VerificationError(f"sleep was to take {asked:g} s and took {slept:g} s")
