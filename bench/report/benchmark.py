"""Times `bench report` and `bench compare` on a made-up run: `python -m bench.report.benchmark [--jobs N]`.

The run has the shape of a real one: five systems over four loads, blocking ones with one request a job,
queues with a submission, a poll and a result; an execution for every job; samples of resources. Its numbers
mean nothing.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bench.plan import Box, Kind, Load, System, Trial, Work
from bench.records import RunFolder

SYSTEMS: tuple[tuple[str, Kind], ...] = (
    ("blocking", "blocking"),
    ("gunicorn", "gunicorn"),
    ("bounded", "bounded"),
    ("as-published", "as_published"),
    ("queued", "queued"),
)
LOADS = (0.5, 0.9, 1.2, 2.0)
CAPACITY = 1000.0
EPOCH = 1_750_000_000.0


def trials(jobs: int) -> list[Trial]:
    """The plan: so many jobs in all, spread evenly over systems and loads."""
    each = max(1, jobs // (len(SYSTEMS) * len(LOADS)))
    work = Work("spin", 0.002, 0.002, 0.002)
    return [
        Trial(
            id=f"{n:03d}-{name}-{relative:g}C",
            part="load",
            shows="load",
            system=System(name, kind),
            work=work,
            load=Load(
                "poisson",
                relative * CAPACITY,
                window=each / (relative * CAPACITY),
                label=f"{relative:g}C",
                relative=relative,
            ),
            box=Box(2.0, 2 * 2**30),
            deadline=0.012,
            gateway_timeout=0.012,
            poll_interval=0.1,
            drain_limit=60.0,
            repeat=1,
            seed=n,
            capacity=CAPACITY,
        )
        for n, (relative, (name, kind)) in enumerate((r, s) for r in LOADS for s in SYSTEMS)
    ]


def write(folder: Path, jobs: int) -> int:
    """Make the run; return how many rows it has."""
    plan = trials(jobs)
    run = RunFolder(folder)
    rows = 0
    for n, trial in enumerate(plan):
        rows += _write_trial(run, trial, max(1, jobs // len(plan)), EPOCH + 1000.0 * n)
    caps = {"cpus": 2.0, "memory": 2 * 2**30, "kind": "made up"}
    run.write_run(
        {
            "id": folder.name,
            "experiment": {"name": "benchmark", "title": "Made-up numbers, to time the report"},
            "trials": [t.to_json() for t in plan],
            "results": {t.id: {"status": "done", "reason": "", "caps": caps} for t in plan},
            "box": asdict(plan[0].box),
            "service_time": 0.002,
            "reference_capacity": CAPACITY,
            "deadline": 0.012,
            "poll_interval": 0.1,
            "started": "made up",
            "finished": "made up",
            "command": "python -m bench.report.benchmark",
        }
    )
    return rows


def _write_trial(run: RunFolder, trial: Trial, n: int, began: float) -> int:
    rng = np.random.default_rng(trial.seed)
    queue = trial.system.kind in ("queued", "as_published")
    arrival = began + np.sort(rng.uniform(0, trial.load.window, n))
    spent = rng.lognormal(-5.5 + trial.load.relative, 0.8, n)
    failed = ~np.full(n, queue) & (spent > trial.gateway_timeout)
    polls = np.where(queue, 1 + (spent / trial.poll_interval).astype(int), 0)
    ids = np.array([f"{trial.seed:08x}{k:024x}" for k in range(n)], dtype=object)
    done = arrival + np.where(failed, trial.gateway_timeout, spent)
    jobs = pd.DataFrame(
        {
            "trial": trial.id,
            "job": ids,
            "phase": "window",
            "arrival": arrival,
            "sent": arrival + 2e-4,
            "accepted": np.where(failed, np.nan, arrival + 0.002 if queue else done),
            "done": done,
            "outcome": np.where(failed, "gateway_timeout", "ok"),
            "status": np.where(failed, 504, 200),
            "error": "",
            "polls": polls,
            "wait": np.nan,
            "run": np.nan,
            "attempts": 1,
        }
    )
    asked = {"trial": trial.id, "job": ids, "elapsed": 0.001, "status": 200, "bytes": 90, "error": ""}
    kinds = ("submit", "poll", "result") if queue else ("run",)
    requests = pd.concat(
        [pd.DataFrame({**asked, "kind": kind, "sent": arrival + 0.001 * k}) for k, kind in enumerate(kinds)]
    )
    executions = pd.DataFrame(
        {
            "trial": trial.id,
            "job": ids,
            "start": arrival + spent * 0.3,
            "end": arrival + spent * 0.9,
            "cut": np.nan,
            "cpu": 0.002,
            "pid": 1,
            "ok": True,
        }
    )
    t = np.arange(began, began + trial.load.window, 0.25)
    resources = pd.concat(
        [
            pd.DataFrame({"trial": trial.id, "t": t, "subject": "box", "metric": metric, "value": value})
            for metric, value in (("cpu", 1.8 * (t - began)), ("memory", np.full(len(t), 4e8)))
        ]
    )
    run.write_part("jobs", trial.id, jobs)
    run.write_part("requests", trial.id, requests)
    run.write_part("executions", trial.id, executions)
    run.write_part("resources", trial.id, resources)
    return len(jobs) + len(requests) + len(executions) + len(resources)


@dataclass(frozen=True)
class Cost:
    """What one command took."""

    seconds: float
    peak: float
    """Bytes, resident."""


def cost(*arguments: str) -> Cost:
    """Run `bench` in a process of its own. Raises RuntimeError when it fails."""
    began = time.monotonic()
    with subprocess.Popen([sys.executable, "-m", "bench", *arguments], stdout=subprocess.DEVNULL) as child:
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"bench {' '.join(arguments)}: exit code {child.returncode}")
    return Cost(time.monotonic() - began, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def main() -> int:
    """Make the run in a temporary folder, time the commands, print a line each."""
    parser = argparse.ArgumentParser(description="Times `bench report` and `bench compare` on a made-up run.")
    parser.add_argument("--jobs", type=int, default=1_000_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="queuebench-benchmark-") as folder:
        run = Path(folder) / "run"
        rows = write(run, asked.jobs)
        size = f"{asked.jobs:,} jobs ({rows:,} rows)"
        told = {f"report on {size}": ("report", run), f"compare on {size} a side": ("compare", run, run)}
        for words, arguments in told.items():
            spent = cost(*map(str, arguments))
            print(  # noqa: T201 - printing is what it is for
                f"bench {words}: {spent.seconds:.1f} s (target 10 s), "
                f"peak memory {spent.peak / 1e9:.2f} GB (target 1 GB)"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
