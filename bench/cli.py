"""The `bench` command. Each verb is one function; what it does lives in the module it calls."""

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from bench import exits

if TYPE_CHECKING:
    from bench.outputs import Outputs
    from bench.request import Request

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Should I put a queue in front of my slow endpoint, how many workers do I need, "
    "and what will my users see? Measured, on this machine.",
)

Slo = Annotated[
    list[str] | None,
    typer.Option(help="'queued@0.5C: p95<2s, timeouts<1%'; system and load may be left out. Repeatable."),
]
Junit = Annotated[Path | None, typer.Option("--junit", help="JUnit XML: a case per trial and objective.")]
Json = Annotated[Path | None, typer.Option("--json", help="All figures as JSON.")]
Markdown = Annotated[Path | None, typer.Option("--markdown", help="Objectives and verdict as Markdown.")]


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
    slo: Slo = None,
    junit: Junit = None,
    as_json: Json = None,
    markdown: Markdown = None,
    again: Annotated[
        int, typer.Option(min=0, help="How often at most an INVALID trial is measured once more.")
    ] = 2,
) -> None:
    """Run an experiment and build its page; fails where an objective (--slo) is missed."""
    from bench import outputs, request, spec

    if (experiment is None) == (resume is None):
        raise spec.SpecError("give an experiment (quick, standard, full, blog, ci or a file) or --resume RUN")
    line = "bench run " + shlex.join(sys.argv[2:])
    wanted = outputs.outputs(slo or (), junit, as_json, markdown)
    if resume is not None:
        if task or input_file or deadline or url or seed is not None or generator_processes is not None:
            raise spec.SpecError("--resume goes on with a run as it was: no option changes what is measured")
        raise typer.Exit(_run_and_deliver(replace(request.resumed(resume), again=again), wanted))
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
    raise typer.Exit(_run_and_deliver(request.Request(chosen, folder, line, url, again=again), wanted))


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
def report_command(
    run_folder: Annotated[Path, typer.Argument(help="A folder made by `bench run`.")],
    slo: Slo = None,
    junit: Junit = None,
    as_json: Json = None,
    markdown: Markdown = None,
) -> None:
    """Rebuild charts, page and summary of a run from its raw records, and check objectives (--slo)."""
    from bench import outputs, report

    wanted = outputs.outputs(slo or (), junit, as_json, markdown)
    if _is_of_another_verb(run_folder, Console(), refuse=bool(wanted)):
        return
    outputs.fit_run(wanted, run_folder)
    built = report.build_and_tell(run_folder)
    console = Console()
    console.print(built.words, highlight=False, markup=False)
    console.print(f"\nReport: {built.page}", highlight=False, soft_wrap=True)
    raise typer.Exit(outputs.deliver(built.analysis, wanted, console))


def _is_of_another_verb(folder: Path, console: Console, *, refuse: bool) -> bool:
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


@app.command("compare")
def compare_command(
    run_a: Annotated[Path, typer.Argument(help="A run folder; one that `bench ab` made needs no second.")],
    run_b: Annotated[Path | None, typer.Argument(help="The run to set beside it.")] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="Only this figure (p95, goodput, …); may be repeated.")
    ] = None,
    margin: Annotated[str, typer.Option(help="What is the same: of times and rates, of shares.")] = "5%,1pp",
    fail_on: Annotated[
        str | None, typer.Option(help='Exit 1 on such a change: "p95>+10%, goodput<-5%, timeouts>+1pp".')
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="A limit that can't be judged fails as well.")
    ] = False,
    different_machines: Annotated[
        bool, typer.Option("--different-machines", help="Compare all the same.")
    ] = False,
    form: Annotated[str, typer.Option("--format", help="table, markdown or json.")] = "table",
) -> None:
    """Set two runs side by side: each figure's ratio with its interval, and a verdict."""
    from bench import compare

    wish = compare.Wish(tuple(metric or ()), margin, fail_on, strict, different_machines, form)
    raise typer.Exit(compare.compare(run_a, run_b, wish, Console()))


@app.command("ab")
def ab_command(
    system_a: Annotated[str, typer.Argument(help='What to compare with, and its workers: "queued:2".')],
    system_b: Annotated[str, typer.Argument(help='What is compared: "gunicorn:2".')],
    load: Annotated[str, typer.Option(help='"4/s", or "0.8C": of what A\'s workers can sustain.')] = "0.8C",
    pairs: Annotated[int, typer.Option(min=1, help="Trials of each; a verdict takes five.")] = 5,
    window: Annotated[str, typer.Option(help="How long each trial measures.")] = "10s",
    warmup: Annotated[str, typer.Option(help="How long the load runs before that.")] = "2S",
    task: Annotated[
        str | None, typer.Option(help="Built-in task (spin), or package.module:function.")
    ] = None,
    input_file: Annotated[
        Path | None, typer.Option("--input", help="JSON file with the input that each job is given.")
    ] = None,
    deadline: Annotated[str | None, typer.Option(help='How long a user waits: "10s"; else "6S".')] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the order and of the arrivals.")] = None,
    experiment: Annotated[
        str | None, typer.Option(help="Experiment file whose systems, task, limits and box are meant.")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="Only this figure (p95, goodput, …); may be repeated.")
    ] = None,
    margin: Annotated[str, typer.Option(help="What is the same: of times and rates, of shares.")] = "5%,1pp",
    fail_on: Annotated[
        str | None, typer.Option(help='Exit 1 on such a change: "p95>+10%, goodput<-5%, timeouts>+1pp".')
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="A limit that can't be judged fails as well.")
    ] = False,
    form: Annotated[str, typer.Option("--format", help="table, markdown or json.")] = "table",
    reports: Annotated[Path, typer.Option(help="Where run folders are made.")] = Path("reports"),
) -> None:
    """Run two systems in turns under the same load, and compare them: the honest way on a noisy machine."""
    from bench import ab, compare

    wish = ab.Wish(
        a=system_a,
        b=system_b,
        load=load,
        pairs=pairs,
        window=window,
        warmup=warmup,
        task=task,
        input=_read_input(input_file),
        deadline=deadline,
        seed=seed,
        experiment=experiment,
        reports=reports,
        command="bench ab " + shlex.join(sys.argv[2:]),
    )
    asked = compare.Wish(tuple(metric or ()), margin, fail_on, strict, format=form)
    raise typer.Exit(ab.ab(wish, asked, Console()))


@app.command("find")
def find_command(
    system: Annotated[str, typer.Argument(help="queued, gunicorn, blocking, …")],
    slo: Annotated[str, typer.Option(help='What users are promised: "p95<2s, timeouts<1%".')],
    workers: Annotated[str, typer.Option(help='Worker counts to search for: "1,2,4".')] = "2",
    against: Annotated[
        str | None, typer.Option(help="A rival: from which rate on the system gives more results in time.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Built-in task (spin), or package.module:function.")
    ] = None,
    input_file: Annotated[
        Path | None, typer.Option("--input", help="JSON file with the input that each job is given.")
    ] = None,
    deadline: Annotated[str | None, typer.Option(help='How long a user waits: "10s"; else "6S".')] = None,
    window: Annotated[str, typer.Option(help="How long each trial measures at least.")] = "30S",
    warmup: Annotated[str, typer.Option(help="How long the load runs before that.")] = "4S",
    precision: Annotated[
        str, typer.Option(help="How far apart the two rates around the edge may be.")
    ] = "10%",
    seed: Annotated[int, typer.Option(help="Seed of the arrivals.")] = 1,
    experiment: Annotated[
        str | None, typer.Option(help="Experiment file whose systems, task, limits and box are meant.")
    ] = None,
    reports: Annotated[Path, typer.Option(help="Where run folders are made.")] = Path("reports"),
) -> None:
    """Find the highest rate that a system sustains, for each worker count, and where it begins to win."""
    from bench import find, request

    wish = find.Wish(
        system=system,
        slo=slo,
        folder=request.new_folder(reports, "find"),
        workers=find.counts(workers),
        against=against,
        task=task,
        input=_read_input(input_file),
        deadline=deadline,
        window=window,
        warmup=warmup,
        precision=precision,
        seed=seed,
        experiment=experiment,
        command="bench find " + shlex.join(sys.argv[2:]),
    )
    raise typer.Exit(find.find(wish, Console()))


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
    slo: Annotated[str, typer.Option(help='What users are promised: "p95<2s", "mean<1s, p99<5s".')],
    run_folder: Annotated[
        Path | None,
        typer.Argument(help="A folder made by `bench run`: what is not given comes from there."),
    ] = None,
    system: Annotated[str | None, typer.Option(help="Of the run: queued (if not given), gunicorn, …")] = None,
    service_time: Annotated[
        str | None, typer.Option(help='Time one job takes alone on a core: "250ms".')
    ] = None,
    variation: Annotated[
        float | None, typer.Option(help="Standard deviation over mean of the service times; 0: all alike.")
    ] = None,
    overhead: Annotated[
        str | None,
        typer.Option(help="What each job pays beside waiting and service; without polls."),
    ] = None,
    cpu: Annotated[
        str | None, typer.Option(help="CPU time of a job, where it waits for others as well.")
    ] = None,
    cpus: Annotated[
        float | None, typer.Option(help="vCPU that everything shares; left out: as many as it needs.")
    ] = None,
    peak: Annotated[float, typer.Option(help="The busiest hour's rate over the mean: plan for that.")] = 1.0,
    price: Annotated[float | None, typer.Option(help="Of a vCPU for an hour, in any currency.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """How many workers a load needs, by queueing theory: from numbers, or from what a run has measured."""
    from bench import sizing

    wish = sizing.Wish(
        rate=rate,
        objective=slo,
        service_time=service_time,
        run=run_folder,
        system=system,
        variation=variation,
        overhead=overhead,
        cpu=cpu,
        cpus=cpus,
        peak=peak,
        price=price,
    )
    raise typer.Exit(sizing.run(wish, Console(), as_json=as_json))


@app.command("reproduce")
def reproduce_command(
    profile: Annotated[
        str, typer.Option(help="ci: scaled down, under six minutes. blog: at the texts' own scale, hours.")
    ] = "ci",
    only: Annotated[
        list[str] | None, typer.Option(help="Only the claims whose name begins so; may be repeated.")
    ] = None,
    claims: Annotated[
        Path | None, typer.Option(help="A folder of claims of your own, one TOML file each.")
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="All 40,000 captions, not a part of them.")] = False,
    output: Annotated[Path | None, typer.Option(help="Folder for the records and the page.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="Only show the claims.")] = False,
) -> None:
    """Run again what others claim of queues, and compare the verdicts with the recorded ones."""
    from bench.reproduce import carry_out, claim, needs, outcome

    found = claim.read_claims(claims) if claims else claim.built_in()
    if listed:
        outcome.show_claims(needs.choose(found, tuple(only or ())), Console())
        return
    wish = carry_out.Wish(
        profile=profile,
        claims=found,
        folder=output or carry_out.new_folder(profile),
        only=tuple(only or ()),
        whole=whole,
        command=shlex.join(["bench", "reproduce", *sys.argv[2:]]),
    )
    raise typer.Exit(carry_out.run(wish, Console()))


@app.command("selftest")
def selftest_command(
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer jobs, no p99.9: half a minute, also on a busy machine.")
    ] = False,
    broken: Annotated[
        str | None,
        typer.Option(help="Break the harness on purpose: from-send, drops-ignored or lost-forgotten."),
    ] = None,
    records: Annotated[
        Path | None, typer.Option(help="Judge an earlier self-test's folder again; nothing is measured.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder for the records and the page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
    generator_limits: Annotated[
        bool,
        typer.Option("--generator", help="Instead: the rate up to which the load generator keeps up here."),
    ] = False,
) -> None:
    """Measure servers whose truth is known, and tell whether the harness tells it."""
    from bench.selftest import command
    from bench.spec import SpecError

    if generator_limits:
        from bench.selftest import generator

        if quick or broken or records or output or as_json:
            raise SpecError("--generator looks for another thing: no other option goes with it")
        raise typer.Exit(generator.run(Console()))
    line = "bench selftest " + shlex.join(sys.argv[2:])
    wish = command.Wish(
        quick=quick, broken=broken, records=records, output=output, as_json=as_json, command=line.strip()
    )
    raise typer.Exit(command.run(wish, Console()))


@app.command("doctor")
def doctor_command() -> None:
    """Show what is there, which caps are possible, and what to do about each gap."""
    from bench import doctor

    raise typer.Exit(doctor.run())


def _run_and_deliver(asked: "Request", wanted: "Outputs") -> int:
    from bench import outputs, run
    from bench.report.reading import read

    outputs.fit_experiment(wanted, asked.experiment, asked.url)
    console = Console()
    code = run.run(asked, console)
    if not asked.folder.run_json.exists() or not outputs.expected(wanted):
        return code
    return outputs.deliver(read(asked.folder.path), wanted, console, code)


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
