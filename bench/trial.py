"""One trial's life: deploy, ready, load, drain, stop; and what it recorded, into the run folder."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from bench.interrupt import uninterrupted
from bench.journal import executions
from bench.load.driver import Generator, LoadError, LoadResult, Progress
from bench.plan import Trial
from bench.probes import ProcessTrees, Sampler, canary
from bench.records import RunFolder, write_json
from bench.stack import StackError
from bench.stack.own_group import throttled_periods
from bench.stack.runtime import Deployed, Runtime
from bench.sweep import Result, TrialFailed

BOX_EVERY, ROLES_EVERY, QUEUE_EVERY, CANARY_EVERY = 0.25, 0.5, 0.25, 0.5
"""Seconds between samples."""


def execute(trial: Trial, runtime: Runtime | None, run: RunFolder, show: Callable[[str], None]) -> Result:
    """Carry out one trial and write its records. Raises TrialFailed with the reason in words.

    `runtime` None: the trial's system is `external`, nothing is started but the generator.
    """
    began = time.monotonic()
    folder = run.trial(trial.id)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "trial.json", trial.to_json())
    journal = folder / "journal.jsonl"
    journal.unlink(missing_ok=True)
    try:
        with ExitStack() as stack:
            # Locust takes a second to start, a system several: side by side.
            generator = stack.enter_context(Generator(trial, folder))
            deployed = None
            if runtime is not None:
                deployed = stack.enter_context(runtime.deployment(trial, folder=folder, journal=journal))
            if trial.needs_memory_cap and deployed and deployed.in_force()["memory"] is None:
                raise StackError(
                    "The memory cap is not in force; the trial would eat the machine's own memory."
                )
            url = deployed.base_url if deployed else str(trial.system.url)
            trees = ProcessTrees(lambda: _roles(deployed, generator.pid))
            sampler = stack.enter_context(Sampler(_probes(deployed, trees)))
            loaded = generator.go(url, lambda progress: show(counts(progress)))
            caps = deployed.in_force() if deployed else {}
            if deployed:
                deployed.stop()
            stopped = time.time()
            events = deployed.events() if deployed else []
            died = deployed.deaths() if deployed else {}
    except (StackError, LoadError) as error:
        raise TrialFailed(str(error)) from None
    # Who watched a process knows best when it died; of children only the sampler can tell.
    executed = executions(journal, trees.gone | dict(died), stopped)
    with uninterrupted():  # half of this attempt and half of an earlier one would contradict each other
        write_records(run, trial, loaded, sampler.rows, events, executed)
    return Result(
        "done",
        caps=caps,
        seconds=time.monotonic() - began,
        measured_seconds=measured_seconds(loaded),
    )


def counts(progress: Progress) -> str:
    """The generator's live counts in a few words."""
    return (
        f"{progress.phase} {progress.elapsed:.0f} s  in time {progress.in_time}  late {progress.late}  "
        f"failed {progress.failed}  in flight {progress.in_flight}"
    )


def measured_seconds(loaded: LoadResult) -> float:
    """Seconds from the first arrival to the end of the drain."""
    instants = [float(m["t"]) for m in loaded.marks]
    return max(instants) - min(instants) if instants else 0.0


def _roles(deployed: Deployed | None, generator_pid: int) -> list[tuple[str, int]]:
    system = [(p.role, p.pid) for p in deployed.processes()] if deployed else []
    return [("generator", generator_pid), *system]


def _probes(deployed: Deployed | None, trees: ProcessTrees) -> list[tuple[Callable[[], Any], float]]:
    probes: list[tuple[Callable[[], Any], float]] = [
        (canary, CANARY_EVERY),
        (trees, ROLES_EVERY),
        (lambda: _one("generator", "throttled_periods", throttled_periods()), ROLES_EVERY),
    ]
    if deployed:
        probes += [
            (deployed.usage, BOX_EVERY),
            (lambda: {"queue": deployed.queue_depth() or {}}, QUEUE_EVERY),
            (lambda: _one("gateway", "requests", deployed.requests_in_progress()), QUEUE_EVERY),
        ]
    return probes


def _one(subject: str, metric: str, value: float | None) -> dict[str, dict[str, float]]:
    """One figure as a probe's reading; nothing where it is not known."""
    return {} if value is None else {subject: {metric: value}}


def write_records(
    run: RunFolder,
    trial: Trial,
    loaded: LoadResult,
    resources: list[dict[str, Any]],
    events: list[dict[str, Any]],
    executed: list[dict[str, Any]],
) -> None:
    """Write the trial's part of every table, then let the generator's raw lines go."""
    run.write_part("jobs", trial.id, loaded.jobs.assign(trial=trial.id))
    run.write_part("requests", trial.id, loaded.requests.assign(trial=trial.id))
    run.write_part("resources", trial.id, resources)
    run.write_part("executions", trial.id, executed)
    run.write_part("events", trial.id, sorted([*loaded.marks, *events], key=lambda e: float(e["t"])))
    for raw in ("jobs.jsonl", "requests.jsonl", "marks.jsonl"):
        (run.trial(trial.id) / raw).unlink(missing_ok=True)
