"""Options that several verbs have, and how their values are read."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

Slo = Annotated[
    list[str] | None,
    typer.Option(help="'queued@0.5C: p95<2s, timeouts<1%'; system and load may be left out. Repeatable."),
]
Junit = Annotated[Path | None, typer.Option("--junit", help="JUnit XML: a case per trial and objective.")]
Json = Annotated[Path | None, typer.Option("--json", help="All figures as JSON.")]
Markdown = Annotated[Path | None, typer.Option("--markdown", help="Objectives and verdict as Markdown.")]
Task = Annotated[str | None, typer.Option(help="Built-in task (spin), or package.module:function.")]
Input = Annotated[
    Path | None, typer.Option("--input", help="JSON file with the input that each job is given.")
]
Deadline = Annotated[str | None, typer.Option(help='How long a user waits: "10s"; else "6S".')]
Warmup = Annotated[str, typer.Option(help="How long the load runs before that.")]
Base = Annotated[
    str | None, typer.Option(help="Experiment file whose systems, task, limits and box are meant.")
]
Reports = Annotated[Path, typer.Option(help="Where run folders are made.")]
Metrics = Annotated[
    list[str] | None, typer.Option(help="Only this figure (p95, goodput, …); may be repeated.")
]
Margin = Annotated[str, typer.Option(help="What is the same: of times and rates, of shares.")]
FailOn = Annotated[
    str | None, typer.Option(help='Exit 1 on such a change: "p95>+10%, goodput<-5%, timeouts>+1pp".')
]
Strict = Annotated[bool, typer.Option("--strict", help="A limit that can't be judged fails as well.")]
Format = Annotated[str, typer.Option("--format", help="table, markdown or json.")]
Output = Annotated[Path | None, typer.Option(help="Folder for the records and the page.")]
RuntimeOption = Annotated[
    str | None,
    typer.Option(
        "--runtime",
        help="Where systems run: local (processes), docker (containers) or auto, which says why.",
    ),
]
MARGIN = "5%,1pp"


def command_line() -> str:
    """The line that repeats this call."""
    return shlex.join(["bench", *sys.argv[1:]])
