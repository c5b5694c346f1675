"""`bench run`: an experiment from its file to its page."""

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
from rich.console import Console

from bench import environment, report
from bench.expand import default_cpus, expand
from bench.plan import Box, Calibration, System, Trial, Work
from bench.progress import Progress, clock
from bench.records import RunFolder, RunFolderError
from bench.spec import Experiment, PartSpec, SpecError
from bench.stack import StackError
from bench.stack.box import Caps, detect_caps
from bench.stack.calibrate import calibrate
from bench.stack.services import Services
from bench.stack.systems import SYSTEMS
from bench.sweep import Result, sweep
from bench.trial import execute
from bench.units import format_size
from workloads import InvalidInput, UnknownTask, load_task

CALIBRATION_BUDGET = 3.0
"""Seconds of repeats per task and calibration; one repeat at least."""


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM: end everything that was started, keep what is done."""


@dataclass(frozen=True)
class Request:
    """What the command line asked for, checked."""

    experiment: Experiment
    folder: RunFolder
    command: str
    """The line that repeats this run."""
    url: str | None = None
    resume: bool = False


def new_folder(reports: Path, name: str) -> RunFolder:
    """Choose a folder for a new run: `reports/<name>-<UTC time>`."""
    return RunFolder(reports / f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}")


def for_own_task(experiment: Experiment, task: str, value: Any, deadline: str | None) -> Experiment:
    """Put the user's own function in the place of the experiment's task.

    Parts that belong to a certain task (the memory failure, the GIL comparison) are left out: they say
    nothing of this function. Raises SpecError when no part is left or the deadline can't be read.
    """
    parts = tuple(p for p in experiment.parts if p.task is None and p.input is None)
    if not parts:
        raise SpecError(f"{experiment.name}: every part has a task of its own; --task has nothing to replace")
    data = experiment.model_dump(exclude={"parts"}) | {"task": task, "input": value}
    data["parts"] = [p.model_dump(exclude_defaults=True) for p in parts]
    if deadline is not None:
        data["deadline"] = deadline
    try:
        return Experiment.model_validate(data)
    except ValueError as error:
        raise SpecError(f"--deadline {deadline}: {error}") from None


def run(request: Request, console: Console) -> int:
    """Carry the run out. Exit code: 0 fine, 1 a trial failed, 130 interrupted (what is done is kept).

    Raises SpecError and StackError when it can't begin.
    """
    experiment, folder = request.experiment, request.folder
    check_tasks(experiment)
    caps = detect_caps()
    box = resolve_box(experiment)
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
    experiment, folder = request.experiment, request.folder
    with ExitStack() as stack:
        services = None if request.url else stack.enter_context(Services(box, folder.path / "services"))
        state = _resume(folder) if request.resume else _begin(request, caps, box, progress)
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
                again = _calibrate(calibration["task"], calibration["input"], box, folder)
                calibration["after"] = asdict(again)
        state["finished"] = now()
        folder.write_run(state)
    return sum(r.status == "failed" for r in results.values())


def _begin(request: Request, caps: Caps, box: Box, progress: Progress) -> dict[str, Any]:
    """Measure S for every task, resolve the experiment, and write the first run.json."""
    experiment, folder = request.experiment, request.folder
    works: dict[str, Work] = {}
    calibrations: list[dict[str, Any]] = []
    measured: dict[str, Work] = {}
    for part in experiment.parts:
        task, value = part_work(experiment, part)
        key = json.dumps([task, value], sort_keys=True)
        if key not in measured:
            progress.stage(f"measuring the service time of {task}")
            before = (
                measure_url(request.url, task, value) if request.url else _calibrate(task, value, box, folder)
            )
            measured[key] = as_work(task, value, before)
            calibrations.append(
                {"part": part.name, "task": task, "input": value, "before": asdict(before), "after": None}
            )
        works[part.name] = measured[key]
    systems = _systems(experiment, request.url)
    trials = expand(experiment, works, systems, box)
    first = works[experiment.parts[0].name]
    state: dict[str, Any] = {
        "id": folder.path.name,
        "experiment": experiment.model_dump(mode="json"),
        "command": request.command,
        "started": now(),
        "finished": None,
        "seed": experiment.seed,
        "environment": environment.describe(),
        "caps": asdict(caps),
        "box": asdict(box),
        "calibration": calibrations,
        "service_time": first.service_time,
        "reference_capacity": reference_capacity(experiment, first, box),
        "deadline": trials[0].deadline,
        "poll_interval": trials[0].poll_interval,
        "notes": notes(experiment, caps, box, request.url),
        "trials": [t.to_json() for t in trials],
        "results": {},
    }
    folder.write_run(state)
    return state


def _resume(folder: RunFolder) -> dict[str, Any]:
    state = folder.read_run()
    if state["finished"]:
        raise SpecError(
            f"{folder.path} is finished: there is nothing to resume. `bench report` rebuilds its page."
        )
    return state


def resumable(path: Path) -> Experiment:
    """The experiment of a run to be resumed, as it was. Raises RunFolderError."""
    state = RunFolder(path).read_run()
    try:
        return Experiment.model_validate(state["experiment"])
    except (KeyError, ValueError) as error:
        raise RunFolderError(f"{path}: its experiment can't be read ({error}). Start a new run.") from None


def check_tasks(experiment: Experiment) -> None:
    """Refuse unknown tasks and inputs they do not take, before anything is started. Raises SpecError."""
    wrong = []
    for part in experiment.parts:
        name, value = part_work(experiment, part)
        try:
            load_task(name).check(value)
        except UnknownTask as error:
            wrong.append(f"part {part.name}: {error}")
        except InvalidInput as error:
            wrong.append(f"part {part.name}: task {name} does not take {value!r}: {error}")
    if wrong:
        raise SpecError("\n".join(dict.fromkeys(wrong)))


def part_work(experiment: Experiment, part: PartSpec) -> tuple[str, Any]:
    """Task and input of a part: its own, else the experiment's, else the task's example. Raises SpecError."""
    name = part.task or experiment.task
    value = part.input if part.input is not None else None if part.task else experiment.input
    if value is None:
        try:
            value = load_task(name).example
        except UnknownTask as error:
            raise SpecError(str(error)) from None
    return name, value


def as_work(name: str, value: Any, measured: Calibration) -> Work:
    """What a calibration says of a task. S is exact where the task sets it by construction."""
    task = load_task(name)
    nominal = task.nominal(value)
    service = nominal if nominal is not None else measured.wall
    cpu_bound = measured.cpu > 0.5 * measured.wall
    cpu = service if nominal is not None and cpu_bound else min(measured.cpu, service)
    holds = task.holds_gil(value) if task.holds_gil is not None else measured.holds_gil
    return Work(name, value, service_time=service, cpu_time=cpu, holds_gil=holds)


def resolve_box(experiment: Experiment) -> Box:
    """The box in numbers. Raises SpecError when the host is too small for it."""
    cores = environment.usable_cores()
    cpus = default_cpus(cores) if experiment.box.cpus == "auto" else experiment.box.cpus
    if cpus > cores:
        raise SpecError(f'box.cpus = {cpus:g}: this machine has {cores}. Ask for less, or for "auto".')
    total = psutil.virtual_memory().total
    if experiment.box.memory > total:
        raise SpecError(
            f"box.memory = {format_size(experiment.box.memory)}: this machine has {format_size(total)}. Ask for less."
        )
    return Box(cpus, experiment.box.memory)


def reference_capacity(experiment: Experiment, work: Work, box: Box) -> float:
    """The C of `1.2C`, in jobs per second: what the reference number of workers can sustain in the box."""
    return min(experiment.reference_workers / work.service_time, box.cpus / max(work.cpu_time, 1e-4))


def notes(experiment: Experiment, caps: Caps, box: Box, url: str | None) -> list[str]:
    """What a reader of the page must know before believing a figure."""
    said = []
    if url:
        said.append(f"The service at {url} was running already: nothing was started, nothing was capped.")
        return said
    if not (caps.cpu and caps.memory):
        said.append(f"NOT CAPPED ({'CPU and memory' if not caps.cpu else 'memory'}): {caps.why}")
    if experiment.box.cpus == "auto" and box.cpus < 2:
        said.append(
            f"The box has {box.cpus:g} vCPU instead of 2: this machine has {environment.usable_cores()} cores, "
            "and the load generator needs part of one."
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


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into Interrupted; later ones do not disturb the cleaning up."""
    seen = False

    def handler(_signal: int, _frame: FrameType | None) -> None:
        nonlocal seen
        if not seen:
            seen = True
            raise Interrupted

    before = {s: signal.signal(s, handler) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def _interrupted(folder: RunFolder, console: Console) -> int:
    console.print("\ninterrupted; everything that was started has been ended", highlight=False)
    if folder.run_json.exists():
        page = report.build(folder.path)
        console.print(f"What is done is kept: {page}", highlight=False, soft_wrap=True)
        console.print(f"Go on with: bench run --resume {folder.path}", highlight=False, soft_wrap=True)
    return 130


def now() -> str:
    """The present instant, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
