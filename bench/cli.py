"""The `bench` command: its verbs, and how every foreseen error becomes one clear message."""

import sys
from collections.abc import Callable

import typer

from bench import exits
from bench.commands import comparing, measuring, misuse, planning, proving
from bench.console import terminal

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Should I put a queue in front of my slow endpoint, how many workers do I need, "
    "and what will my users see? Measured, on this machine.",
)
VERBS: dict[str, Callable[..., None]] = {
    "run": measuring.run_command,
    "report": measuring.report_command,
    "up": measuring.up_command,
    "find": comparing.find_command,
    "ab": comparing.ab_command,
    "compare": comparing.compare_command,
    "plan": planning.plan_command,
    "reproduce": proving.reproduce_command,
    "selftest": proving.selftest_command,
    "chaos": proving.chaos_command,
    "soak": proving.soak_command,
    "doctor": planning.doctor_command,
}
for _name, _verb in VERBS.items():
    app.command(_name)(_verb)


def main() -> None:
    """Entry point: every foreseen error becomes one clear message and an exit code."""
    try:
        _run(sys.argv[1:])
    except KeyboardInterrupt:  # before anything was started
        _complain("interrupted")
        sys.exit(exits.INTERRUPTED)


def _run(arguments: list[str]) -> None:
    from bench.load.errors import LoadError
    from bench.records import RunFolderError
    from bench.spec import SpecError
    from bench.stack import StackError
    from workloads import WorkloadError

    try:
        # Not standalone: the parser would put each mistake into a box of five lines. It gives the exit code.
        sys.exit(app(arguments or ["--help"], standalone_mode=False))
    except typer.TyperException as error:
        _complain(misuse.line(error, arguments, VERBS))
        sys.exit(exits.USAGE)
    except (SpecError, RunFolderError, WorkloadError) as error:
        _complain(str(error))
        sys.exit(exits.USAGE)
    except (StackError, LoadError, OSError) as error:
        _complain(str(error))
        sys.exit(exits.FAILED)


def _complain(text: str) -> None:
    terminal(stderr=True).print(f"bench: {text}", soft_wrap=True)
