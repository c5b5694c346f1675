"""Measures what one job takes: wall time, CPU time, memory, and whether threads exclude one another."""

import json
import os
import platform
import statistics
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workloads.task import InvalidInput, Task, WorkloadError, reason

ALONE = 1.25
"""Two copies in two threads that take up to this many times as long as one did not wait for one another."""
WAITING = 0.3
"""CPU seconds per wall second up to which one copy alone mostly waits, so that threads are no hindrance."""
TOGETHER = 1.2
"""CPU seconds per wall second from which on two threads surely ran at the same time."""
SHORT = 0.5
"""A job below this many seconds is run in threads several times: a single short run is mostly noise."""


class CalibrationError(WorkloadError):
    """The job failed, or gave a result that does not verify or that JSON can't carry."""


@dataclass(frozen=True)
class Measured:
    """What one job takes alone. Times in seconds, medians; sizes in bytes."""

    wall: float
    cpu: float
    """CPU of the whole process during the job, so of the threads of a numerical library too."""
    samples: list[float]
    """Wall seconds of each counted run."""
    two_threads_ratio: float | None
    """Wall time of two copies in two threads over that of one alone; None where not measured."""
    holds_gil: bool | None
    """Whether threads exclude one another; None where that can't be told (one core, or not asked)."""
    peak_memory: int
    """Most memory the process had resident."""
    task_memory: int
    """How much of that came with running the job, beyond the process with the task loaded."""
    python: str
    """Version that ran it."""


def calibrate(task: Task, given: Any, repeats: int, budget: float, *, threads: bool = False) -> Measured:
    """Run the job once to warm up, then up to `repeats` times as long as `budget` seconds allow, and measure.

    The first run checks the result; it is counted only where there was no time for another. `threads` adds
    two copies in two threads, whatever the budget. Raises InvalidInput, VerificationError, CalibrationError.
    """
    value = task.check(given)
    idle = _peak_memory()
    deadline = time.perf_counter() + budget
    runs = [_run(task, value, check=True)]
    while len(runs) <= repeats and time.perf_counter() + runs[-1][0] <= deadline:
        runs.append(_run(task, value))
    kept = runs[1:] or runs
    peak = _peak_memory()
    wall = statistics.median(wall for wall, _ in kept)
    cpu = statistics.median(cpu for _, cpu in kept)
    ratio = holds = None
    if threads:
        ratio, holds = _two_threads(task, value, wall, cpu)
    if task.holds_gil is not None:
        holds = task.holds_gil(value)
    return Measured(
        wall,
        cpu,
        [wall for wall, _ in kept],
        ratio,
        holds,
        peak,
        max(0, peak - idle),
        platform.python_version(),
    )


def _run(task: Task, value: Any, *, check: bool = False) -> tuple[float, float]:
    """Wall and CPU seconds of one run."""
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        output = task.run(value)
    except InvalidInput:
        raise
    except (Exception, SystemExit) as error:
        raise CalibrationError(
            f"task {task.name} failed on this input: {reason(error)}{_place(error)}"
        ) from error
    taken = time.perf_counter() - wall, time.process_time() - cpu
    if check:
        try:
            json.dumps(output, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise CalibrationError(
                f"the output of {task.name} can't be written as JSON: {reason(error)}"
            ) from error
        task.verify(value, output)
    return taken


def _two_threads(task: Task, value: Any, alone: float, cpu: float) -> tuple[float, bool | None]:
    """Ratio of two copies to one, and whether they excluded one another."""
    pairs = [_pair(task, value) for _ in range(3 if alone < SHORT else 1)]
    wall, busy = (statistics.median(numbers) for numbers in zip(*pairs, strict=True))
    ratio = wall / alone if alone > 0 else 1.0
    parallelism = busy / wall if wall > 0 else 0.0
    if alone > 0 and cpu / alone <= WAITING:
        return ratio, False
    if ratio <= ALONE or parallelism >= TOGETHER:
        # A job that uses several cores by itself shows nothing by its parallelism.
        several_cores_alone = alone > 0 and cpu / alone >= TOGETHER
        return ratio, None if several_cores_alone and ratio > ALONE else False
    return ratio, True if _cores() > 1 else None


def _pair(task: Task, value: Any) -> tuple[float, float]:
    """Wall and CPU seconds of two copies that start together in two threads."""
    gate = threading.Barrier(2)
    errors: list[CalibrationError | InvalidInput] = []

    def one() -> None:
        gate.wait()
        try:
            _run(task, value)
        except (CalibrationError, InvalidInput) as error:
            errors.append(error)

    copies = [threading.Thread(target=one, daemon=True) for _ in range(2)]
    wall, cpu = time.perf_counter(), time.process_time()
    for copy in copies:
        copy.start()
    for copy in copies:
        copy.join()
    taken = time.perf_counter() - wall, time.process_time() - cpu
    if errors:
        raise CalibrationError(f"in two threads at once: {errors[0]}")
    return taken


def _place(error: BaseException) -> str:
    """Where in the user's code it failed."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _peak_memory() -> int:
    """Most bytes this process has had resident."""
    try:
        # Linux hands the parent's peak down through ru_maxrss, but not through this file.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
