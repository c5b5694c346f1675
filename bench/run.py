"""`bench run`: an experiment from its file to its page."""

from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from bench import environment, generator_limit
from bench.calibration import Measured, measure, reference_capacity
from bench.expand import expand
from bench.interrupt import Interrupted, interruptible
from bench.plan import Box, Trial
from bench.progress import Progress
from bench.records import RunFolder
from bench.request import Request, check_tasks, part_work, resolve_box, systems
from bench.spec import Experiment
from bench.stack import StackError
from bench.stack.box import Caps, detect_caps
from bench.stack.services import Services
from bench.sweep import Result, sweep
from bench.trial import execute
from bench.units import format_size


def run(request: Request, console: Console) -> int:
    """Carry the run out. Exit code: 0 fine, 1 a trial failed, 130 interrupted (what is done is kept).

    Raises SpecError and StackError when it can't begin.
    """
    experiment, folder = request.experiment, request.folder
    check_tasks(experiment)
    # matplotlib takes half a second to import: not before bad usage has been told.
    from bench import report

    caps = detect_caps()
    box = resolve_box(experiment, caps, checked=request.url is None)
    progress = Progress(console)
    announce(console, request, caps, box)
    try:
        with interruptible(), progress.showing():
            failed = _measure(request, caps, box, progress)
            progress.stage("drawing the report")
            page = report.build(folder.path)
    except Interrupted:
        return _interrupted(folder, console)
    console.print(report.summary_text(folder.path), highlight=False, markup=False)
    console.print(f"\nReport: {page}", highlight=False, soft_wrap=True)
    return 1 if failed else 0


def _measure(request: Request, caps: Caps, box: Box, progress: Progress) -> int:
    """Calibrate, run every trial that is still to be run, calibrate again. Return how many failed."""
    folder = request.folder
    with ExitStack() as stack:
        services = None if request.url else stack.enter_context(Services(folder.path))
        state = folder.read_run() if request.resume else _begin(request, caps, box, progress)
        trials = [Trial.from_json(t) for t in state["trials"]]
        results = {name: Result(**r) for name, r in state["results"].items()}

        def keep(trial: Trial, result: Result) -> None:
            state["results"][trial.id] = asdict(result)
            folder.write_run(state)

        def one(trial: Trial) -> Result:
            if trial.needs_memory_cap and not caps.memory:
                return Result(
                    "skipped",
                    f"memory is not capped here ({caps.why}); this trial would eat the machine's own",
                )
            return execute(trial, services, folder, progress.counts)

        results = sweep(trials, results, one, keep, progress)
        if not request.url:
            for calibration in state["calibration"]:
                progress.stage(f"measuring the service time of {calibration['task']} once more")
                task, value = calibration["task"], calibration["input"]
                try:
                    again = measure(calibration["part"], task, value, request, box)
                    calibration["after"] = asdict(again.calibration)
                except StackError as error:  # no reason to throw a whole run away
                    state["notes"].append(f"{task} could not be measured again after the run: {error.what}")
        state["finished"] = now()
        folder.write_run(state)
    return sum(r.status == "failed" for r in results.values())


def _begin(request: Request, caps: Caps, box: Box, progress: Progress) -> dict[str, Any]:
    """Measure S for every task, resolve the experiment, and write the first run.json."""
    experiment, folder = request.experiment, request.folder
    measured: dict[str, Measured] = {}
    for part in experiment.parts:
        task, value = part_work(experiment, part)
        same = next((m for m in measured.values() if (m.task, m.input) == (task, value)), None)
        if same is None:
            progress.stage(f"measuring the service time of {task}")
        measured[part.name] = same or measure(part.name, task, value, request, box)
    works = {name: m.work for name, m in measured.items()}
    trials = expand(experiment, works, systems(experiment, request.url), box)
    limits = generator_limit.read(folder.path.parent)
    beyond = generator_limit.notes(trials, limits)
    for line in beyond:
        progress.warn(line)
    first = works[experiment.parts[0].name]
    state: dict[str, Any] = {
        "id": folder.path.name,
        "experiment": experiment.model_dump(mode="json"),
        "command": request.command,
        "url": request.url,
        "started": now(),
        "finished": None,
        "seed": experiment.seed,
        "environment": environment.describe()
        | ({"generator_limit": [asdict(limit) for limit in limits]} if limits else {}),
        "caps": asdict(caps),
        "box": asdict(box),
        "calibration": [m.to_json() for part, m in measured.items() if m.part == part],
        "service_time": first.service_time,
        "reference_capacity": reference_capacity(experiment, first, box),
        "deadline": trials[0].deadline,
        "poll_interval": trials[0].poll_interval,
        "notes": [*notes(experiment, caps, box, request.url), *beyond],
        "trials": [t.to_json() for t in trials],
        "results": {},
    }
    folder.write_run(state)
    return state


def notes(experiment: Experiment, caps: Caps, box: Box, url: str | None) -> list[str]:
    """What a reader of the page must know before believing a figure."""
    said = []
    if url:
        said.append(f"The service at {url} was running already: nothing was started, nothing was capped.")
        return said
    if not (caps.cpu and caps.memory):
        said.append(f"NOT CAPPED ({'CPU and memory' if not caps.cpu else 'memory'}): {caps.why}")
    if not caps.cpu:
        said.append(
            f"The processes of a system may use {box.cpus:g} core(s), together with everything else here."
        )
    elif experiment.box.cpus == "auto" and box.cpus < 2:
        said.append(
            f"The box has {box.cpus:g} vCPU instead of 2: this machine has {environment.usable_cores()} "
            "core(s), and the load generator needs part of one."
        )
    if any((p.repeats or experiment.repeats) == 1 for p in experiment.parts):
        said.append("One repeat: figures are shown without an interval.")
    return said


def announce(console: Console, request: Request, caps: Caps, box: Box) -> None:
    """Say what is about to happen, and loudly when nothing will be capped."""
    experiment = request.experiment
    console.print(
        f"{experiment.title or experiment.name}\nrun folder: {request.folder.path}", highlight=False
    )
    if request.url:
        console.print(f"driving {request.url}: nothing is started, nothing is capped", highlight=False)
    elif caps.cpu and caps.memory:
        console.print(f"box: {box.cpus:g} vCPU, {format_size(box.memory)} ({caps.kind})", highlight=False)
    else:
        console.print(f"NOT CAPPED: {caps.why}", style="bold red", highlight=False)


def _interrupted(folder: RunFolder, console: Console) -> int:
    from bench import report

    console.print("\ninterrupted; everything that was started has been ended", highlight=False)
    if folder.run_json.exists():
        page = report.build(folder.path)
        console.print(f"What is done is kept: {page}", highlight=False, soft_wrap=True)
        console.print(f"Go on with: bench run --resume {folder.path}", highlight=False, soft_wrap=True)
    return 130


def now() -> str:
    """The present instant, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
