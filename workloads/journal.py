"""Runs a task and leaves a trace of it: one JSON line at the start and one at the end of every execution.

That trace is how wasted and repeated work is counted even when the client has gone or the process was killed:
a start without an end was cut off.

    {"job": "…", "event": "start", "t": 1700000000.1, "pid": 12, "role": "web"}
    {"job": "…", "event": "end", "t": 1700000000.4, "pid": 12, "role": "web", "cpu": 0.25, "ok": true}
"""

import errno
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workloads.task import Task

VARIABLE = "QUEUEBENCH_JOURNAL"
"""Environment variable that names the journal's file; unset or empty: no journal."""


@dataclass(frozen=True)
class Execution:
    """What one run of a task gave and took."""

    output: Any
    wall: float
    """Seconds from start to end."""
    cpu: float
    """CPU seconds of the run."""


def journal_from(environment: Mapping[str, str]) -> Path | None:
    """Where the journal is to be written, by the environment."""
    name = environment.get(VARIABLE, "")
    return Path(name) if name else None


def execute(
    task: Task, input: Any, job_id: str, journal: Path | None, role: str, *, alone: bool = False
) -> Execution:
    """Run the task on an input that was checked, with a line in the journal before and after.

    `alone`: nothing else works in this process, so the CPU of all its threads is the job's (a numerical
    library brings threads of its own); else this thread's CPU is. Raises whatever the task raises, after the
    end was written with `"ok": false`; OSError where the journal can't be written, since a silent gap would
    read as no work at all.
    """
    clock = time.process_time if alone else time.thread_time
    _append(journal, {"job": job_id, "event": "start", **_who(role)})
    ok = False
    wall_start, cpu_start = time.perf_counter(), clock()
    try:
        output = task.run(input)
        ok = True
    finally:
        wall, cpu = time.perf_counter() - wall_start, clock() - cpu_start
        _append(journal, {"job": job_id, "event": "end", **_who(role), "cpu": round(cpu, 6), "ok": ok})
    return Execution(output, wall, cpu)


def _who(role: str) -> dict[str, Any]:
    return {"t": time.time(), "pid": os.getpid(), "role": role}


def _append(journal: Path | None, line: dict[str, Any]) -> None:
    if journal is None:
        return
    data = json.dumps(line).encode() + b"\n"
    # One write to a file opened for appending: lines of several processes never mix.
    handle = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if os.write(handle, data) != len(data):
            raise OSError(errno.ENOSPC, "the journal could not be written whole", str(journal))
    finally:
        os.close(handle)
