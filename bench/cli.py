"""The `bench` command. Each verb is one function; what it does lives in the module it calls."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bench import exits

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Should I put a queue in front of my slow endpoint, how many workers do I need, "
    "and what will my users see? Measured, on this machine.",
)


@app.command("run")
def run_command(
    experiment: Annotated[
        str | None, typer.Argument(help="An experiment file, or quick, standard, full, blog or ci.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="Your own function instead of the experiment's task: package.module:function."),
    ] = None,
    input_file: Annotated[
        Path | None, typer.Option("--input", help="JSON file with the input that each job is given.")
    ] = None,
    deadline: Annotated[
        str | None, typer.Option(help='How long a user waits, and the gateway\'s limit: "10s", "6S".')
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Drive a service that already runs; nothing is started or capped.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the order and of the arrivals.")] = None,
    generator_processes: Annotated[
        int | None, typer.Option(help="Processes that generate the load, where one is not enough.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with an interrupted run.")] = None,
    reports: Annotated[Path, typer.Option(help="Where run folders are made.")] = Path("reports"),
) -> None:
    """Run an experiment and build its page."""
    from bench import request, run, spec

    if (experiment is None) == (resume is None):
        raise spec.SpecError("give an experiment (quick, standard, full, blog, ci or a file) or --resume RUN")
    line = "bench run " + shlex.join(sys.argv[2:])
    if resume is not None:
        if task or input_file or deadline or url or seed is not None or generator_processes is not None:
            raise spec.SpecError("--resume goes on with a run as it was: no other option goes with it")
        raise typer.Exit(run.run(request.resumed(resume), Console()))
    assert experiment is not None
    chosen = spec.load(experiment)
    if seed is not None:
        chosen = chosen.model_copy(update={"seed": seed})
    if task is not None or input_file is not None:
        own = task or (request.ANY if url else chosen.task)
        chosen = request.for_own_task(chosen, own, _read_input(input_file))
    if deadline is not None:
        chosen = request.with_deadline(chosen, deadline)
    if generator_processes is not None:
        chosen = request.with_processes(chosen, generator_processes)
    if url is not None:
        chosen = request.for_url(chosen, url)
    folder = request.new_folder(reports, chosen.name)
    raise typer.Exit(run.run(request.Request(chosen, folder, line, url), Console()))


@app.command("up")
def up_command(
    system: Annotated[str, typer.Argument(help="blocking, gunicorn, bounded, as-published, queued, …")],
    workers: Annotated[int, typer.Option(help="gunicorn processes or queue workers.")] = 2,
    task: Annotated[str, typer.Option(help="Built-in task, or package.module:function.")] = "spin",
    job_input: Annotated[str | None, typer.Option("--input", help="Input as JSON text.")] = None,
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
        job_input=job_input,
        deadline=deadline,
        cpus=cpus,
        memory=memory,
        port=port,
    )
    raise typer.Exit(up.run(wish, as_json=as_json, folder=logs))


@app.command("report")
def report_command(run_folder: Annotated[Path, typer.Argument(help="A folder made by `bench run`.")]) -> None:
    """Rebuild charts, page and summary of a run from its raw records."""
    from bench import report
    from bench.chaos import outcome

    if (run_folder / "chaos.json").exists():
        outcome.present(run_folder, Console())
        return
    page = report.build(run_folder)
    console = Console()
    console.print(report.summary_text(run_folder), highlight=False, markup=False)
    console.print(f"\nReport: {page}", highlight=False, soft_wrap=True)


@app.command("chaos")
def chaos_command(
    system: Annotated[str, typer.Option(help="queued, queued-api, as-published, …")] = "queued",
    jobs: Annotated[
        int | None, typer.Option(help="Jobs over the storm: 10,000, or 200 with --short.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the plan of strikes and of the users.")] = 1,
    short: Annotated[bool, typer.Option("--short", help="Each strike once, within half a minute.")] = False,
    workers: Annotated[int, typer.Option(help="Queue workers.")] = 2,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this kind of strike (kill-web, …, seam); may be repeated.")
    ] = None,
    ladder: Annotated[
        bool, typer.Option("--ladder", help="A bare queue with one measure more at a time: what each saves.")
    ] = False,
    output: Annotated[Path | None, typer.Option(help="Folder for the records and the page.")] = None,
) -> None:
    """Kill every part of a queue while jobs stream through it, and count what was lost."""
    line = "bench chaos " + shlex.join(sys.argv[2:])
    if ladder:
        from bench.chaos import ladder as climb

        raise typer.Exit(
            climb.run(climb.Wish(seed=seed, short=short, output=output, command=line), Console())
        )
    from bench.chaos import storm

    wish = storm.Wish(
        system=system,
        jobs=jobs,
        seed=seed,
        short=short,
        workers=workers,
        output=output,
        kinds=tuple(only or ()),
        command=line,
    )
    raise typer.Exit(storm.run(wish, Console()))


@app.command("soak")
def soak_command(
    minutes: Annotated[float, typer.Option(help="How long.")] = 30.0,
    load: Annotated[float, typer.Option(help="Share of the capacity that is offered.")] = 0.8,
    system: Annotated[str, typer.Option(help="queued or queued-api.")] = "queued",
    workers: Annotated[int, typer.Option(help="Queue workers.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed of the users.")] = 1,
    output: Annotated[Path | None, typer.Option(help="Folder for the records and the page.")] = None,
) -> None:
    """Keep a queue under steady load, and tell whether memory, connections, handles or keys grow."""
    from bench.chaos import soak

    line = "bench soak " + shlex.join(sys.argv[2:])
    wish = soak.Wish(minutes, load, system=system, workers=workers, seed=seed, output=output, command=line)
    raise typer.Exit(soak.run(wish, Console()))


@app.command("plan")
def plan_command(
    rate: Annotated[str, typer.Option(help='Jobs that come: "4/s", "90/min", "1000000/day".')],
    service_time: Annotated[str, typer.Option(help='Time one job takes alone on a core: "250ms".')],
    slo: Annotated[str, typer.Option(help='What users are promised: "p95<2s", "mean<1s, p99<5s".')],
    variation: Annotated[
        float, typer.Option(help="Standard deviation over mean of the service times; 0: all alike.")
    ] = 0.0,
    overhead: Annotated[str, typer.Option(help="What each job pays beside waiting and service.")] = "0s",
    cpu: Annotated[
        str | None, typer.Option(help="CPU time of a job, where it waits for others as well.")
    ] = None,
    price: Annotated[float | None, typer.Option(help="Of a vCPU for an hour, in any currency.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """How many workers a load needs, by queueing theory: before anything is measured."""
    from bench import sizing

    wish = sizing.Wish(
        rate=rate,
        service_time=service_time,
        objective=slo,
        variation=variation,
        overhead=overhead,
        cpu=cpu,
        price=price,
    )
    raise typer.Exit(sizing.run(wish, Console(), as_json=as_json))


@app.command("doctor")
def doctor_command() -> None:
    """Show what is there, which caps are possible, and what to do about each gap."""
    from bench import doctor

    raise typer.Exit(doctor.run())


def _read_input(path: Path | None) -> Any:
    from bench.spec import SpecError

    if path is None:
        return None
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SpecError(f"--input {path}: not a JSON file that can be read ({error})") from None


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
