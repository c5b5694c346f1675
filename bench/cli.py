"""The `bench` command: its verbs, and how every foreseen error becomes one clear message."""

import sys
from collections.abc import Callable

import typer
from rich.console import Console

from bench import exits
from bench.commands import comparing, measuring, planning, proving

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
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
    from bench.load.errors import LoadError
    from bench.records import RunFolderError
    from bench.spec import SpecError
    from bench.stack import StackError
    from workloads import WorkloadError

    complaints = Console(stderr=True)
    try:
        app()
    except (SpecError, RunFolderError, WorkloadError) as error:
        complaints.print(f"bench: {error}", highlight=False, markup=False, soft_wrap=True)
        sys.exit(exits.USAGE)
    except (StackError, LoadError, OSError) as error:
        complaints.print(f"bench: {error}", highlight=False, markup=False, soft_wrap=True)
        sys.exit(exits.FAILED)
