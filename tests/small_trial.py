"""Trials of small jobs, for tests of the stack."""

from dataclasses import replace
from typing import Any

from bench.plan import Box, Load, System, Trial, Work
from bench.stack.systems import SYSTEMS

MIB = 2**20
BOX = Box(cpus=1.5, memory=1024 * MIB)


def small_trial(
    system: str | System,
    *,
    task: str = "spin",
    job_input: Any = 0.01,
    box: Box = BOX,
    gateway_timeout: float = 10.0,
    connection_limit: int = 0,
    **changes: Any,
) -> Trial:
    """A trial whose system does jobs of some milliseconds; `changes` go to the system."""
    under_test = replace(SYSTEMS[system] if isinstance(system, str) else system, **changes)
    return Trial(
        id=f"001-{under_test.name}",
        part="test",
        shows="load",
        system=under_test,
        work=Work(task, job_input, service_time=0.01, cpu_time=0.01),
        load=Load("closed"),
        box=box,
        deadline=gateway_timeout,
        gateway_timeout=gateway_timeout,
        poll_interval=0.05,
        drain_limit=1.0,
        repeat=1,
        seed=1,
        capacity=100.0,
        connection_limit=connection_limit,
    )
