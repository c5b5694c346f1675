"""`run`, `report` and `up`: measure, show again, bring up."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.options import (
    Input,
    Json,
    Junit,
    Markdown,
    Reports,
    RuntimeOption,
    Slo,
    command_line,
)
from bench.console import terminal
from bench.folders import REPORTS

if TYPE_CHECKING:
    from rich.console import Console

    from bench.outputs import Outputs
    from bench.request import Request


def run_command(
    experiment: Annotated[
        str | None,
        typer.Argument(help="A file, or quick, standard, full, blog, failure, metastability, scale or ci."),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="Your own function instead of the experiment's task: package.module:function."),
    ] = None,
    input_file: Input = None,
    deadline: Annotated[
        str | None, typer.Option(help='How long a user waits, and the gateway\'s limit: "10s", "6S".')
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Drive a service that already runs; nothing is started or capped.")
    ] = None,
    runtime: RuntimeOption = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the order and of the arrivals.")] = None,
    generator_processes: Annotated[
        int | None, typer.Option(help="Processes that generate the load, where one is not enough.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with an interrupted run.")] = None,
    reports: Reports = REPORTS,
    slo: Slo = None,
    junit: Junit = None,
    as_json: Json = None,
    markdown: Markdown = None,
    again: Annotated[
        int, typer.Option(min=0, help="How often at most an INVALID trial is measured once more.")
    ] = 2,
) -> None:
    """Run an experiment and build its page; fails where an objective (--slo) is missed."""
    from bench import outputs, request, runtimes, spec

    if experiment is not None and resume is not None:
        raise spec.SpecError("give an experiment or --resume, not both: the run knows what it measures")
    if experiment is None and resume is None:
        ours = ", ".join(spec.built_in_names())
        raise spec.SpecError(f"give an experiment ({ours} or a file) or --resume RUN")
    line = command_line()
    wanted = outputs.outputs(slo or (), junit, as_json, markdown)
    if resume is not None:
        if (
            task
            or input_file
            or deadline
            or url
            or runtime
            or seed is not None
            or generator_processes is not None
        ):
            raise spec.SpecError("--resume goes on with a run as it was: no option changes what is measured")
        raise typer.Exit(_run_and_deliver(replace(request.resumed(resume), again=again), wanted))
    assert experiment is not None
    chosen = spec.load(experiment)
    if seed is not None:
        chosen = chosen.model_copy(update={"seed": seed})
    if task is not None or input_file is not None:
        own = task or (request.ANY if url else chosen.task)
        chosen = request.for_own_task(chosen, own, request.read_input(input_file))
    if deadline is not None:
        chosen = request.with_deadline(chosen, deadline)
    if generator_processes is not None:
        chosen = request.with_processes(chosen, generator_processes)
    if url is not None:
        chosen = request.for_url(chosen, url)
        if runtime is not None:
            raise spec.SpecError("--url drives what runs already: --runtime has nothing to bring up")
    where = runtimes.wanted(runtime or "local")
    folder = request.new_folder(reports, chosen.name)
    asked = request.Request(chosen, folder, line, url, again=again, runtime=where)
    raise typer.Exit(_run_and_deliver(asked, wanted))


def report_command(
    run_folder: Annotated[Path, typer.Argument(help="A folder made by `bench run`.")],
    slo: Slo = None,
    junit: Junit = None,
    as_json: Json = None,
    markdown: Markdown = None,
) -> None:
    """Rebuild charts, page and summary of a run from its raw records, and check objectives (--slo)."""
    from bench import outputs, report, run

    wanted = outputs.outputs(slo or (), junit, as_json, markdown)
    if _is_of_another_verb(run_folder, terminal(), refuse=bool(wanted)):
        return
    outputs.fit_run(wanted, run_folder)
    built = report.build_and_tell(run_folder)
    console = terminal()
    run.tell(console, built)
    raise typer.Exit(outputs.deliver(built.analysis, wanted, console))


def _is_of_another_verb(folder: Path, console: "Console", *, refuse: bool) -> bool:
    """Present a folder that another verb than `bench run` made; False where it is none of those.

    `refuse`: raise SpecError for one, because objectives and files are asked for.
    """
    from bench.spec import SpecError

    made_by = {"chaos.json": "chaos", "reproduce.json": "reproduce", "selftest.json": "selftest"}
    verb = next((verb for name, verb in made_by.items() if (folder / name).exists()), None)
    if verb is not None and refuse:
        raise SpecError(f"{folder} was made by `bench {verb}`: --slo and files are for `bench run`'s")
    if verb == "chaos":
        from bench.chaos import outcome

        outcome.present(folder, console)
    elif verb == "reproduce":
        from bench.reproduce import outcome as reproduction

        reproduction.build(folder)
        reproduction.present(folder, console)
    elif verb == "selftest":
        from bench.selftest import command

        command.run(command.Wish(records=folder), console)
    return verb is not None


def up_command(
    system: Annotated[str, typer.Argument(help="blocking, gunicorn, bounded, as-published, queued, …")],
    workers: Annotated[int, typer.Option(help="gunicorn processes or queue workers.")] = 2,
    task: Annotated[str, typer.Option(help="Built-in task, or package.module:function.")] = "spin",
    input_file: Input = None,
    deadline: Annotated[str, typer.Option(help="The gateway's limit.")] = "60s",
    cpus: Annotated[float | None, typer.Option(help="vCPU of the box.")] = None,
    memory: Annotated[str, typer.Option(help="Memory of the box.")] = "2GiB",
    port: Annotated[int | None, typer.Option(help="Port of the gateway; left out: any free one.")] = None,
    logs: Annotated[Path | None, typer.Option(help="Folder for logs and journal.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line instead of text.")] = False,
) -> None:
    """Bring one system up, say where it is and how to load it, and hold it until Ctrl-C."""
    from bench import up

    wish = up.Wish(
        system=system,
        workers=workers,
        task=task,
        input_file=input_file,
        deadline=deadline,
        cpus=cpus,
        memory=memory,
        port=port,
    )
    raise typer.Exit(up.run(wish, as_json=as_json, folder=logs))


def _run_and_deliver(asked: "Request", wanted: "Outputs") -> int:
    from bench import outputs, run
    from bench.report.reading import read

    outputs.fit_experiment(wanted, asked.experiment, asked.url)
    console = terminal()
    code = run.run(asked, console)
    if not asked.folder.run_json.exists() or not outputs.expected(wanted):
        return code
    return outputs.deliver(read(asked.folder.path), wanted, console, code)
