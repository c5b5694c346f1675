"""`compare`, `ab` and `find`: which is better, and up to where."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import (
    MARGIN,
    Base,
    Deadline,
    FailOn,
    Format,
    Input,
    Margin,
    Metrics,
    Reports,
    RuntimeOption,
    Strict,
    Task,
    Warmup,
    command_line,
)
from bench.console import terminal
from bench.folders import REPORTS


def compare_command(
    run_a: Annotated[Path, typer.Argument(help="A run folder; one that `bench ab` made needs no second.")],
    run_b: Annotated[Path | None, typer.Argument(help="The run to set beside it.")] = None,
    metric: Metrics = None,
    margin: Margin = MARGIN,
    fail_on: FailOn = None,
    strict: Strict = False,
    different_machines: Annotated[
        bool, typer.Option("--different-machines", help="Compare all the same.")
    ] = False,
    form: Format = "table",
) -> None:
    """Set two runs side by side: each figure's ratio with its interval, and a verdict."""
    from bench import compare

    wish = compare.Wish(tuple(metric or ()), margin, fail_on, strict, different_machines, form)
    raise typer.Exit(compare.compare(run_a, run_b, wish, terminal()))


def ab_command(
    system_a: Annotated[str, typer.Argument(help='What to compare with, and its workers: "queued:2".')],
    system_b: Annotated[str, typer.Argument(help='What is compared: "gunicorn:2".')],
    load: Annotated[str, typer.Option(help='"4/s", or "0.8C": of what A\'s workers can sustain.')] = "0.8C",
    pairs: Annotated[int, typer.Option(min=1, help="Trials of each; a verdict takes five.")] = 5,
    window: Annotated[str, typer.Option(help="How long each trial measures.")] = "10s",
    warmup: Warmup = "2S",
    task: Task = None,
    input_file: Input = None,
    deadline: Deadline = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the order and of the arrivals.")] = None,
    experiment: Base = None,
    runtime: RuntimeOption = None,
    metric: Metrics = None,
    margin: Margin = MARGIN,
    fail_on: FailOn = None,
    strict: Strict = False,
    form: Format = "table",
    reports: Reports = REPORTS,
) -> None:
    """Run two systems in turns under the same load, and compare them: the honest way on a noisy machine."""
    from bench import ab, compare, request, runtimes

    wish = ab.Wish(
        a=system_a,
        b=system_b,
        load=load,
        pairs=pairs,
        window=window,
        warmup=warmup,
        task=task,
        input=request.read_input(input_file),
        deadline=deadline,
        seed=seed,
        experiment=experiment,
        reports=reports,
        command=command_line(),
        runtime=runtimes.wanted(runtime or "local"),
    )
    asked = compare.Wish(tuple(metric or ()), margin, fail_on, strict, format=form)
    raise typer.Exit(ab.ab(wish, asked, terminal()))


def find_command(
    system: Annotated[str, typer.Argument(help="queued, gunicorn, blocking, …")],
    slo: Annotated[str, typer.Option(help='What users are promised: "p95<2s, timeouts<1%".')],
    workers: Annotated[str, typer.Option(help='Worker counts to search for: "1,2,4".')] = "2",
    against: Annotated[
        str | None, typer.Option(help="A rival: from which rate on the system gives more results in time.")
    ] = None,
    task: Task = None,
    input_file: Input = None,
    deadline: Deadline = None,
    window: Annotated[str, typer.Option(help="How long each trial measures at least.")] = "30S",
    warmup: Warmup = "4S",
    precision: Annotated[
        str, typer.Option(help="How far apart the two rates around the edge may be.")
    ] = "10%",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the arrivals.")] = 1,
    experiment: Base = None,
    runtime: RuntimeOption = None,
    reports: Reports = REPORTS,
) -> None:
    """Find the highest rate that a system sustains, for each worker count, and where it begins to win."""
    from bench import find, request, runtimes

    wish = find.Wish(
        system=system,
        slo=slo,
        folder=request.new_folder(reports, "find"),
        workers=find.counts(workers),
        against=against,
        task=task,
        input=request.read_input(input_file),
        deadline=deadline,
        window=window,
        warmup=warmup,
        precision=precision,
        seed=seed,
        experiment=experiment,
        command=command_line(),
        runtime=runtimes.wanted(runtime or "local"),
    )
    raise typer.Exit(find.find(wish, terminal()))
