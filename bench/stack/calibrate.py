"""What one job takes, alone in an idle box: the service time S."""

import json
import math
import sys
from pathlib import Path
from typing import Any

from bench.plan import Box, Calibration
from bench.stack.box import open_box
from bench.stack.errors import StackError, tail
from bench.stack.process import Command, ending
from bench.stack.workspace import Workspace

REPEATS = 25
"""At most; the budget ends them earlier."""
LIMIT = 3600.0
"""Seconds after which a single job is given up: nobody waits that long behind a gateway."""

INTO_FILE = 'file=$1; shift; exec "$@" > "$file"'
"""A shell that becomes the command: what it answers goes to a file, what it complains of to the log."""


def calibrate(
    task: str,
    value: Any,
    box: Box,
    *,
    budget: float = 3.0,
    folder: Path,
    repeats: int = REPEATS,
    threads: bool = True,
) -> Calibration:
    """Run the task alone in a box of its own, at least once and then for `budget` seconds.

    `threads` also runs two copies in two threads of one process, which tells whether they exclude each other.
    Logs go to `folder`. Raises StackError with the task's own words where it can't be run.
    """
    with Workspace() as workspace, open_box("calibration", box, workspace) as handle:
        given = workspace.folder / "input.json"
        log, answer = folder / "calibrate.log", workspace.folder / "answer.json"
        try:
            given.write_text(json.dumps(value))
            folder.mkdir(parents=True, exist_ok=True)
            log.unlink(missing_ok=True)
        except OSError as error:
            raise StackError(f"{error.filename} can't be written: {error.strerror}.") from None
        words = ["--task", task, "--input", f"@{given}", "--repeats", str(repeats), "--budget", f"{budget:g}"]
        calibrating = ["workloads", "calibrate", *words, *(["--threads"] if threads else [])]
        process = workspace.spawn(
            Command(
                role="worker",
                argv=("/bin/sh", "-c", INTO_FILE, "sh", str(answer), sys.executable, "-m", *calibrating),
                log=log,
                cwd=Path.cwd(),
                box=handle,
            )
        )
        code = process.wait(LIMIT)
        if code is None:
            raise StackError(f"One job of {task} took longer than {LIMIT:.0f} s.", log=log)
        if code != 0:
            out_of_memory = bool(handle.usage().get("oom_kills", 0))
            raise measurement_failed(task, box, log, ending(code), code, out_of_memory=out_of_memory)
        return read_measurement(task, answer.read_text(), log)


def measurement_failed(
    task: str, box: Box, log: Path, how: str, code: int, *, out_of_memory: bool
) -> StackError:
    """Say why a measurement ended with this exit code, `how` in words."""
    if out_of_memory:
        return StackError(
            f"One job of {task} does not fit into {box.memory / 2**20:.0f} MiB: it was killed.",
            hint="Give the box more memory.",
        )
    said = tail(log, 1)
    if code == 2 and said:
        return StackError(said[0])
    return StackError(f"One job of {task} could not be measured: {how}.", log=log)


def read_measurement(task: str, text: str, log: Path) -> Calibration:
    """Read what `workloads calibrate` printed. Raises StackError with the log's tail."""
    try:
        told = json.loads(text)
        ratio = told["two_threads_ratio"]
        return Calibration(
            task=task,
            wall=float(told["wall"]),
            cpu=float(told["cpu"]),
            repeats=len(told["samples"]),
            # Where it was not measured: assume what is true of pure Python.
            holds_gil=True if told["holds_gil"] is None else bool(told["holds_gil"]),
            two_threads_ratio=math.nan if ratio is None else float(ratio),
            samples=[float(sample) for sample in told["samples"]],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StackError(f"The measurement of {task} can't be read: {error!r}.", log=log) from None
