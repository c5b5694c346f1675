"""The service time S of every task of an experiment: measured in the idle box, or through a URL."""

from dataclasses import asdict, dataclass
from typing import Any

from bench.expand import capacity
from bench.load.external import measure_url
from bench.plan import Box, Calibration, Work
from bench.request import Request
from bench.spec import Experiment
from bench.stack.runtime import Runtime
from workloads import load_task

BUDGET = 3.0
"""Seconds of repeats, one repeat at least; a third of it where the task sets S by construction."""


@dataclass(frozen=True)
class Measured:
    """One task on one input, and what it takes alone. `part` is the first of the experiment to use it."""

    part: str
    task: str
    input: Any
    calibration: Calibration
    work: Work

    def to_json(self) -> dict[str, Any]:
        """As run.json keeps it; `after` is measured when the run is over."""
        return {
            "part": self.part,
            "task": self.task,
            "input": self.input,
            "before": asdict(self.calibration),
            "after": None,
        }


def measure(
    part: str, task: str, value: Any, request: Request, box: Box, runtime: Runtime | None
) -> Measured:
    """Measure S now, through the URL where there is no runtime.

    Raises StackError or LoadError when the task can't be run.
    """
    if runtime is None:
        found = measure_url(str(request.url), task, value, BUDGET)
        seen = Work(task, value, service_time=found.wall, cpu_time=0.0, holds_gil=False)
        return Measured(part, task, value, found, seen)
    budget = BUDGET if load_task(task).nominal(value) is None else BUDGET / 3
    found = runtime.calibrate(task, value, box, budget=budget, folder=request.folder.path / "calibration")
    return Measured(part, task, value, found, as_work(task, value, found))


def as_work(name: str, value: Any, measured: Calibration) -> Work:
    """What a calibration says of a task. S is exact where the task sets it by construction."""
    task = load_task(name)
    nominal = task.nominal(value)
    service = nominal if nominal is not None else measured.wall
    cpu_bound = measured.cpu > 0.5 * measured.wall
    # Not bounded by S where it is measured: a numerical library's threads burn more than a second a second.
    cpu = measured.cpu if nominal is None else service if cpu_bound else min(measured.cpu, service)
    holds = task.holds_gil(value) if task.holds_gil is not None else measured.holds_gil
    return Work(name, value, service_time=service, cpu_time=cpu, holds_gil=holds)


def reference_capacity(experiment: Experiment, work: Work, box: Box) -> float:
    """The C of `1.2C`, in jobs per second: what the reference number of workers can sustain in the box."""
    own = experiment.worker_box
    each = Box(own.cpus, own.memory) if own else None
    return capacity("queued", experiment.reference_workers, work, box.cpus, each)
