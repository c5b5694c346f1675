"""`spin`: burns a given CPU time, whatever the speed of the machine at that moment.

The thread's own CPU clock decides when it is done, so capacity is exactly cpus / seconds on a machine whose
speed swings, and a throttled or crowded box shows as wall time, not as less work.
"""

import hashlib
import time
from typing import Any

from workloads.inputs import fields, number, shown
from workloads.task import InvalidInput, Task, VerificationError

MAX_SECONDS = 3_600.0
FORM = '0.25 or {"seconds": 0.25, "gil": "held" or "released"}'

LOOPS = 2_000
"""Turns of the pure Python loop between two looks at the clock: some 0.05 ms, so a look (about 0.001 ms) is
cheap and the asked time is met within 1 % from 10 ms up."""
BUFFER = 256 * 1024
"""Bytes hashed between two looks at the clock: 0.15 to 0.8 ms. hashlib lets go of the GIL above 2,047 bytes;
this is long enough that the hand-over is noise, as with a model's matrix product."""


def task() -> Task:
    """The task `spin`. Input: CPU seconds, or seconds and gil. Output: {"seconds": CPU seconds burnt}."""
    return Task(
        name="spin",
        run=run,
        check=check,
        verify=verify,
        example={"seconds": 0.25, "gil": "held"},
        probe={"seconds": 0.001, "gil": "held"},
        holds_gil=lambda value: bool(check(value)["gil"] == "held"),
        nominal=lambda value: float(check(value)["seconds"]),
    )


def check(value: Any) -> dict[str, Any]:
    """Normalise to {"seconds", "gil"}. Raises InvalidInput."""
    asked = fields(value, FORM, ["seconds"], ["gil"]) if isinstance(value, dict) else {"seconds": value}
    gil = asked.get("gil", "held")
    if gil not in ("held", "released"):
        raise InvalidInput(f'gil must be "held" or "released", not {shown(gil)}')
    return {"seconds": number(asked["seconds"], "seconds of spin", 0, MAX_SECONDS), "gil": gil}


def run(value: Any) -> dict[str, float]:
    """Burn the asked CPU seconds in this thread; holds or releases the GIL meanwhile."""
    asked = check(value)
    burn = _burn_held if asked["gil"] == "held" else _burn_released
    return {"seconds": burn(asked["seconds"])}


def verify(value: Any, output: Any) -> None:
    """At least what was asked, and not much more (a slow machine overshoots by one look at the clock)."""
    asked = check(value)["seconds"]
    burnt = output.get("seconds") if isinstance(output, dict) else None
    if isinstance(burnt, bool) or not isinstance(burnt, int | float):
        raise VerificationError(f'spin gives {{"seconds": number}}, not {shown(output)}')
    if not asked <= burnt <= asked * 1.1 + 0.1:
        raise VerificationError(f"spin was to burn {asked:g} s of CPU time and burnt {burnt:g} s")


def _burn_held(seconds: float) -> float:
    clock = time.thread_time
    start = clock()
    while (burnt := clock() - start) < seconds:
        for _ in range(LOOPS):
            pass
    return burnt


def _burn_released(seconds: float) -> float:
    clock = time.thread_time
    start = clock()
    buffer = bytes(BUFFER)
    while (burnt := clock() - start) < seconds:
        hashlib.sha256(buffer)
    return burnt
