"""One run while it is carried out: what run.json says of it, its trials, and when S was measured."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from bench import environment, generator_limit
from bench.analysis.trial.generator import limits_of, notes_on
from bench.analysis.trial.validity import Validity
from bench.calibration import Measured, measure, reference_capacity
from bench.expand import expand
from bench.plan import Box, Trial
from bench.progress import Progress
from bench.records import RunFolder
from bench.request import Request, part_work, systems
from bench.spec import Experiment
from bench.stack import StackError
from bench.stack.box import Caps
from bench.stack.runtime import Runtime
from bench.sweep import Result, attempted, sweep, sweep_again
from bench.trial import execute


class Execution:
    """A run under way. run.json is true after every step, so that an interruption loses one trial at most."""

    def __init__(
        self,
        request: Request,
        caps: Caps,
        box: Box,
        progress: Progress,
        runtime: Runtime | None,
        *,
        planned: bool = True,
    ) -> None:
        """Begin: measure S for every task, resolve the experiment; or take up a run that was interrupted.

        `runtime` None: the request names a URL, and nothing is started. `planned` False: which trials there
        will be is found out as the run goes (`run_one`), and those of the experiment are `patterns` for them.
        Raises StackError, LoadError where a task can't be run, RunFolderError where the run to go on with is
        damaged.
        """
        self._request, self._caps, self._box = request, caps, box
        self._progress, self._runtime = progress, runtime
        self._folder = request.folder
        self.patterns: list[Trial] = []
        if request.resume:
            self._state = self._folder.read_run()
        else:
            self._state = begun(request, caps, box, progress, runtime, planned=planned)
            self.patterns = self.trials
            if not planned:
                self._state["trials"] = []
            self._folder.write_run(self._state)

    @property
    def trials(self) -> list[Trial]:
        """The plan so far."""
        return [Trial.from_json(t) for t in self._state["trials"]]

    @property
    def results(self) -> dict[str, Result]:
        """What became of the trials so far."""
        return {name: Result(**r) for name, r in self._state["results"].items()}

    def run_all(self) -> dict[str, Result]:
        """Run every trial that is still to be run, and those again that are INVALID for a passing reason."""
        trials = self.trials
        results = sweep(trials, self.results, self._one, self._keep, self._progress)
        return sweep_again(
            trials,
            results,
            lambda: worth_another(self._folder),
            self._one,
            self._keep,
            self._progress,
            most=1 + self._request.again,
        )

    @property
    def capacity(self) -> float:
        """C in jobs per second."""
        return float(self._state["reference_capacity"])

    def run_one(self, trial: Trial, number: int, total: int, eta: float) -> Result:
        """Add a trial to the plan and run it: for those whose next trial depends on the last.

        It is shown as `number` of about `total`, with `eta` seconds to go.
        """
        self._state["trials"].append(trial.to_json())
        for line in notes_on([trial], limits_of(self._state["environment"])):
            if line not in self._state["notes"]:
                self._state["notes"].append(line)
                self._progress.warn(line)
        self._progress.trial_started(trial, number, total, eta)
        result = attempted(trial, self._one)
        self._keep(trial, result)
        self._progress.trial_ended(trial, result)
        return result

    def finish(self, *, calibrate: bool = True) -> None:
        """Measure S once more, unless told not to, and say that the run is whole."""
        if calibrate and not self._request.url:
            for calibration in self._state["calibration"]:
                self._calibrate_again(calibration)
        self._state["finished"] = now()
        self._folder.write_run(self._state)

    def _one(self, trial: Trial) -> Result:
        if trial.needs_memory_cap and not self._caps.memory:
            return Result(
                "skipped",
                f"memory is not capped here ({self._caps.why}); this trial would eat the machine's own",
            )
        return execute(trial, self._runtime, self._folder, self._progress.counts)

    def _keep(self, trial: Trial, result: Result) -> None:
        self._state["results"][trial.id] = asdict(result)
        self._folder.write_run(self._state)

    def _calibrate_again(self, calibration: dict[str, Any]) -> None:
        task, value = calibration["task"], calibration["input"]
        self._progress.stage(f"measuring the service time of {task} once more")
        try:
            again = measure(calibration["part"], task, value, self._request, self._box, self._runtime)
            calibration["after"] = asdict(again.calibration)
        except StackError as error:  # no reason to throw a whole run away
            self._state["notes"].append(f"{task} could not be measured again after the run: {error.what}")


def begun(
    request: Request,
    caps: Caps,
    box: Box,
    progress: Progress,
    runtime: Runtime | None,
    *,
    planned: bool = True,
) -> dict[str, Any]:
    """The first run.json: S measured for every task, the experiment resolved."""
    experiment, folder = request.experiment, request.folder
    measured: dict[str, Measured] = {}
    for part in experiment.parts:
        task, value = part_work(experiment, part)
        same = next((m for m in measured.values() if (m.task, m.input) == (task, value)), None)
        if same is None:
            what = f"at {request.url}" if request.url else f"of {task}"
            progress.stage(f"measuring the service time {what}")
        measured[part.name] = same or measure(part.name, task, value, request, box, runtime)
    works = {name: m.work for name, m in measured.items()}
    trials = expand(experiment, works, systems(experiment, request.url), box)
    limits = generator_limit.known(folder.path)
    beyond = notes_on(trials, limits)
    for line in beyond:
        progress.warn(line)
    first = works[experiment.parts[0].name]
    return {
        "id": folder.path.name,
        "experiment": experiment.model_dump(mode="json"),
        "command": request.command,
        "url": request.url,
        "runtime": runtime.name if runtime else None,
        "started": now(),
        "finished": None,
        "planned": planned,
        "seed": experiment.seed,
        "environment": environment.describe()
        | (runtime.describe() if runtime else {})
        | ({"generator_limit": [asdict(limit) for limit in limits]} if limits else {}),
        "caps": asdict(caps),
        "box": asdict(box),
        "calibration": [m.to_json() for part, m in measured.items() if m.part == part],
        "service_time": first.service_time,
        "reference_capacity": reference_capacity(experiment, first, box),
        "deadline": trials[0].deadline,
        "poll_interval": trials[0].poll_interval,
        "notes": [*notes(experiment, caps, box, request.url), *(runtime.notes() if runtime else []), *beyond],
        "trials": [t.to_json() for t in trials],
        "results": {},
    }


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


def invalid(folder: RunFolder) -> dict[str, Validity]:
    """What the validity gate says of the trials that it rejects, by all that is recorded now."""
    from bench.report.reading import read

    return {f.trial.id: f.validity for f in read(folder.path).done if not f.validity.believable}


def worth_another(folder: RunFolder) -> dict[str, str]:
    """Trials that another attempt may well cure, with the codes of what is against them."""
    return {
        trial: ", ".join(r.code for r in validity.reasons if r.grade == "INVALID")
        for trial, validity in invalid(folder).items()
        if validity.curable
    }


def now() -> str:
    """The present instant, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
