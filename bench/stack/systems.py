"""The systems under test: which there are, and which commands make one up."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.plan import System, Trial
from bench.stack.ports import LOOPBACK
from bench.stack.process import Command, Enterable

SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        System("blocking", "blocking", workers=1),
        System("gunicorn", "gunicorn"),
        System("bounded", "bounded"),
        System("as-published", "as_published", result_path="api", restart=False),
        System("as-published-restarted", "as_published", result_path="api"),
        System("queued", "queued"),
        System("queued-api", "queued", result_path="api"),
    )
}
"""Name → built-in system."""

QUEUES = ("as_published", "queued")
"""Kinds that need broker and store."""
ALWAYS_RESTARTED = ("blocking", "gunicorn", "bounded")
"""Kinds whose process is brought back whatever the variant says: nobody serves from one that stays dead."""


@dataclass(frozen=True)
class Settings:
    """What the commands of one deployment share."""

    web_port: int
    logs: Path
    journal: Path
    cwd: Path
    """Where the user is: a `module:function` of theirs is found there."""
    box: Enterable
    broker_url: str = ""
    store_url: str = ""
    queue: str = ""
    token: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    """More variables for every process."""


def uses_queue(trial: Trial) -> bool:
    """Whether the trial's system needs broker and store."""
    return trial.system.kind in QUEUES


def is_restarted(system: System) -> bool:
    """Whether web and workers are started again when they die."""
    return system.restart or system.kind in ALWAYS_RESTARTED


def consumers(system: System) -> int:
    """How many consumers the queue has once all workers are there; 0 without a queue."""
    return system.workers if system.kind in QUEUES else 0


def executors(system: System) -> int:
    """How many processes run the task."""
    return 1 if system.kind == "blocking" else system.workers


def queue_name(system: System, unique: str) -> str:
    """Name for QUEUED_QUEUE: this deployment's own, so that nothing of another trial is in its queues."""
    return f"{'factorial' if system.kind == 'as_published' else 'jobs'}-{unique}"


def work_queue(trial: Trial, name: str) -> str:
    """Where the jobs wait: `queued` has a queue for each task."""
    return name if trial.system.kind == "as_published" else f"{name}.{trial.work.task}"


def every_queue(trial: Trial, name: str) -> set[str]:
    """Every queue that the system declares, its dead letters included."""
    work = work_queue(trial, name)
    return {work} if trial.system.kind == "as_published" else {work, f"{work}.dead"}


def commands(trial: Trial, settings: Settings) -> list[Command]:
    """Return the commands of a system, web first. Raises ValueError for a kind that is not ours to start."""
    system = trial.system
    web_at = ("--host", LOOPBACK, "--port", str(settings.web_port))
    task = ("--task", trial.work.task)
    match system.kind:
        case "blocking":
            return [_command(settings, "web", 1, ("baseline", "--server", "flask", *web_at, *task))]
        case "gunicorn" | "bounded":
            count = ("--workers", str(system.workers))
            return [
                _command(settings, "web", 1, ("baseline", "--server", "gunicorn", *count, *web_at, *task))
            ]
        case "queued":
            web, worker = ("queued", "web", *web_at), ("queued", "worker")
        case "as_published":
            web, worker = ("queued.as_published", "web", *web_at), ("queued.as_published", "consumer")
        case _:
            raise ValueError(f"a system of kind {system.kind} is not started here")
    environment = queue_environment(trial, settings)
    return [
        _command(settings, "web", 1, web, environment),
        *(
            _command(settings, "worker", n, worker, environment, nice=system.worker_nice)
            for n in range(1, system.workers + 1)
        ),
    ]


def queue_environment(trial: Trial, settings: Settings) -> dict[str, str]:
    """Return the settings of a queue's processes; in the environment because passwords show in arguments."""
    return {
        "QUEUED_BROKER_URL": settings.broker_url,
        "QUEUED_STORE_URL": settings.store_url,
        "QUEUED_TASK": trial.work.task,
        "QUEUED_TOKEN": settings.token,
        "QUEUED_RESULT_PATH": trial.system.result_path,
        "QUEUED_API_URL": f"http://{LOOPBACK}:{settings.web_port}",
        "QUEUED_HEARTBEAT": f"{trial.system.heartbeat:g}",
        "QUEUED_QUEUE": settings.queue,
        # Clients then poll at the interval that the trial says, not at the server's.
        "QUEUED_RETRY_AFTER": f"{trial.poll_interval:g}",
        "QUEUED_RETRY_AFTER_MOST": f"{trial.poll_interval:g}",
        **({} if trial.system.max_wait is None else {"QUEUED_MAX_WAIT": f"{trial.system.max_wait:g}"}),
    }


def _command(
    settings: Settings,
    role: str,
    number: int,
    words: tuple[str, ...],
    environment: dict[str, str] | None = None,
    *,
    nice: int = 0,
) -> Command:
    return Command(
        role=role,
        argv=(sys.executable, "-m", *words),
        log=settings.logs / f"{role}-{number}.log",
        env={
            "QUEUEBENCH_JOURNAL": str(settings.journal),
            "PYTHONUNBUFFERED": "1",
            **settings.environment,
            **(environment or {}),
        },
        cwd=settings.cwd,
        box=settings.box,
        nice=nice,
    )
