"""`python -m workloads check|calibrate`: is this a task, and what does one job of it take?"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workloads.calibrate import Measured, calibrate
from workloads.commandline import Parser, bounded, fail
from workloads.inputs import parse_json
from workloads.registry import BUILT_IN, load_task
from workloads.task import InvalidInput, WorkloadError

PROGRAM = "workloads"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the commands; whatever goes wrong ends with one line on stderr and exit code 2."""
    asked = _parser().parse_args(arguments)
    # Results are numbers of hundreds of thousands of digits; Python refuses to write those by itself.
    sys.set_int_max_str_digits(0)
    try:
        with _stdout_kept_clean():
            found = _calibrate(asked) if asked.command == "calibrate" else load_task(asked.task)
    except WorkloadError as error:
        fail(PROGRAM, str(error))
    if isinstance(found, Measured):
        sys.stdout.write(json.dumps(asdict(found)) + "\n")


def _calibrate(asked: Any) -> Measured:
    task = load_task(asked.task)
    if asked.input is None:
        if task.example is None:
            raise InvalidInput(f"task {asked.task} has no example: give its input with --input")
        given = task.example
    else:
        given = parse_json(_text(asked.input))
    return calibrate(task, given, asked.repeats, asked.budget, threads=asked.threads)


def _text(argument: str) -> str:
    """The argument itself, or what the file holds that it names as @FILE."""
    if not argument.startswith("@"):
        return argument
    try:
        return Path(argument[1:]).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InvalidInput(f"the input file {argument[1:]} can't be read: {error}") from None


@contextlib.contextmanager
def _stdout_kept_clean() -> Iterator[None]:
    """Send to stderr what the task or a library below it prints: our answer is one line of JSON."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _parser() -> Parser:
    parser = Parser(prog=PROGRAM, description="Tries out what one job does.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="check|calibrate")
    check = commands.add_parser("check", help="exit 0 if the task can be loaded, else 2 with one line")
    measure = commands.add_parser("calibrate", help="print what one job takes, as one line of JSON")
    for command in (check, measure):
        command.add_argument(
            "--task", required=True, help=f"{', '.join(BUILT_IN)}, or package.module:function"
        )
    measure.add_argument("--input", help="JSON, or @FILE with JSON in it; default: the task's example")
    measure.add_argument("--repeats", type=bounded(1, 10_000), default=5, help="runs to count (5)")
    measure.add_argument(
        "--budget",
        type=bounded(0, 86_400, float),
        default=60.0,
        help="seconds after which no run begins (60)",
    )
    measure.add_argument("--threads", action="store_true", help="run two copies in two threads as well")
    return parser


if __name__ == "__main__":
    main()
