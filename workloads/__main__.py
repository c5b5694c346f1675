"""`python -m workloads check|calibrate`: is this a task, and what does one job of it take?"""

import sys
from collections.abc import Sequence

from workloads.commandline import Parser, fail
from workloads.registry import BUILT_IN, load_task
from workloads.task import WorkloadError

PROGRAM = "workloads"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the commands; a bad call ends with one line on stderr and exit code 2."""
    asked = _parser().parse_args(arguments)
    # Results are numbers of hundreds of thousands of digits; Python refuses to write those by itself.
    sys.set_int_max_str_digits(0)
    try:
        load_task(asked.task)
    except WorkloadError as error:
        fail(PROGRAM, str(error))


def _parser() -> Parser:
    parser = Parser(prog=PROGRAM, description="Tries out what one job does.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="check|calibrate")
    check = commands.add_parser("check", help="exit 0 if the task can be loaded, else 2 with one line")
    for command in (check,):
        command.add_argument(
            "--task", required=True, help=f"{', '.join(BUILT_IN)}, or package.module:function"
        )
    return parser


if __name__ == "__main__":
    main()
