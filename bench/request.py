"""What is asked for: an experiment, perhaps with a function or URL of the user's own in it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from bench.environment import usable_cores
from bench.expand import default_cpus
from bench.plan import Box, System
from bench.records import RunFolder, RunFolderError
from bench.spec import Experiment, PartSpec, SpecError
from bench.stack.box import Caps, cores_for
from bench.stack.systems import SYSTEMS
from bench.units import format_size, parse_duration
from workloads import InvalidInput, UnknownTask, load_task

EXTERNAL = "external"
"""Name of the system behind `--url`."""
ANY = "service:any"
"""Task of a service that runs already and whose function is not known here: any JSON result is right."""


@dataclass(frozen=True)
class Request:
    """What the command line asked for, checked."""

    experiment: Experiment
    folder: RunFolder
    command: str
    """The line that repeats this run."""
    url: str | None = None
    resume: bool = False
    again: int = 2
    """How often at most a trial is measured once more whose measurement failed for a passing reason."""


def new_folder(reports: Path, name: str) -> RunFolder:
    """Choose a folder for a new run: `reports/<name>-<UTC time>`."""
    return RunFolder(reports / f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}")


def for_own_task(experiment: Experiment, task: str, value: Any) -> Experiment:
    """Put the user's own function and input in the place of the experiment's.

    Parts that belong to a certain task (the memory failure, the GIL comparison) are left out: they say
    nothing of this function. Raises SpecError when no part is left.
    """
    parts = [p for p in experiment.parts if p.task is None and p.input is None]
    if not parts:
        raise SpecError(f"{experiment.name}: every part has a task of its own; --task has nothing to replace")
    return experiment.model_copy(update={"task": task, "input": value, "parts": parts})


def with_deadline(experiment: Experiment, text: str) -> Experiment:
    """Set D, and with it the gateway's limit. Raises SpecError when `text` is no duration above 0."""
    try:
        deadline = parse_duration(text)
    except ValueError as error:
        raise SpecError(f"--deadline: {error}") from None
    if deadline.amount <= 0:
        raise SpecError(f"--deadline {text}: must be above 0")
    return experiment.model_copy(update={"deadline": deadline, "gateway_timeout": None})


def resumed(path: Path) -> Request:
    """What an interrupted run had been asked for. Raises RunFolderError, or SpecError when it is finished."""
    folder = RunFolder(path)
    state = folder.read_run()
    if state.get("finished"):
        raise SpecError(f"{path} is finished: nothing to resume. `bench report` rebuilds its page.")
    try:
        experiment = Experiment.model_validate(state["experiment"])
        return Request(experiment, folder, state["command"], state["url"], resume=True)
    except (KeyError, ValueError) as error:
        raise RunFolderError(f"{path}: its experiment can't be read ({error}). Start a new run.") from None


def for_url(experiment: Experiment, url: str) -> Experiment:
    """Let every part drive the service at `url`; parts that need a box or a worker count are left out."""
    parts = [
        p.model_copy(update={"systems": [EXTERNAL], "workers": [experiment.reference_workers]})
        for p in experiment.parts
        if not p.needs_memory_cap and p.shows != "workers"
    ]
    if not parts:
        raise SpecError(f"{experiment.name}: no part of it makes sense for --url {url}")
    return experiment.model_copy(update={"parts": parts})


def systems(experiment: Experiment, url: str | None) -> dict[str, System]:
    """Every system by name: the built-in ones, the experiment's own, and the one behind a URL."""
    own = {
        name: System(
            name,
            spec.kind,
            restart=spec.restart,
            result_path=spec.result_path,
            heartbeat=spec.heartbeat.amount,
            services_in_box=spec.services_in_box,
            worker_nice=spec.worker_nice,
        )
        for name, spec in experiment.systems.items()
    }
    return {**SYSTEMS, **own, EXTERNAL: System(EXTERNAL, "external", url=url)}


def check_tasks(experiment: Experiment) -> None:
    """Refuse unknown tasks and inputs they do not take, before anything is started. Raises SpecError."""
    wrong = []
    for part in experiment.parts:
        name, value = part_work(experiment, part)
        if name == ANY:
            continue
        if ":" in name and value is None:
            wrong.append(f"{name} is a function of your own: say what it is given with --input FILE (JSON)")
            continue
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
    value = part.input if part.input is not None or part.task else experiment.input
    if value is None:
        try:
            value = load_task(name).example
        except UnknownTask as error:
            raise SpecError(str(error)) from None
    return name, value


def resolve_box(experiment: Experiment, caps: Caps, *, checked: bool = True) -> Box:
    """The box in numbers. Raises SpecError when the host is too small for it, unless it is not `checked`:
    nothing will be put into it.

    Where CPU can't be capped, a box that says 1.5 vCPU would put C and every ideal line in the wrong place:
    it is then the whole cores that processes are pinned to (all of them where there is no pinning).
    """
    cores = usable_cores()
    cpus = default_cpus(cores) if experiment.box.cpus == "auto" else experiment.box.cpus
    if checked and cpus > cores:
        raise SpecError(f'box.cpus = {cpus:g}: this machine has {cores}. Ask for less, or for "auto".')
    asked, total = experiment.box.memory, psutil.virtual_memory().total
    if checked and asked > total:
        raise SpecError(
            f"box.memory = {format_size(asked)}: this machine has {format_size(total)}. Ask for less."
        )
    if not caps.cpu:
        cpus = float(len(cores_for(cpus)) or cores)
    return Box(cpus, experiment.box.memory)
