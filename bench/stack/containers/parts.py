"""Which services of docker-compose.yml make up a system, and what a trial sets of them."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.plan import System, Trial
from bench.stack.containers.journals import FILE
from bench.stack.errors import StackError
from bench.stack.ports import LOOPBACK, free_ports

WEB_PORT, GATEWAY_PORT, STATUS_PORT = 8000, 8080, 8081
BROKER_PORT, STORE_PORT = 5672, 6379
"""Ports inside the containers."""
RESET = "!reset"
"""In an override file: nothing of what the Compose file says."""
OWN_CODE = "/own"
"""Where the user's own modules are seen in a container."""


CHANCE = dict.fromkeys(
    ("QUEUED_PORT", "BLOCKING_PORT", "GUNICORN_PORT", "PUBLISHED_PORT", "MANAGEMENT_PORT"), ""
)
"""Variables of the Compose file, by which the ports it publishes itself are out of everybody's way."""
ATTEMPTS = 3
"""A port that was free may be taken when it is used."""


@dataclass(frozen=True)
class Parts:
    """The services of a system under test: role → name in the Compose file."""

    web: str
    gateway: str
    worker: str | None = None

    @property
    def roles(self) -> dict[str, str]:
        """Role by service."""
        worker = {self.worker: "worker"} if self.worker else {}
        return {self.web: "web", **worker, self.gateway: "gateway"}

    @property
    def in_box(self) -> list[str]:
        """Services that the box holds, the one that runs the task last."""
        return [self.web, *([self.worker] if self.worker else [])]


PARTS: Mapping[str, Parts] = {
    "blocking": Parts("blocking", "blocking-gateway"),
    "gunicorn": Parts("gunicorn", "gunicorn-gateway"),
    "bounded": Parts("gunicorn", "gunicorn-gateway"),
    "queued": Parts("web", "gateway", "worker"),
    "as_published": Parts("published-web", "published-gateway", "published-worker"),
}
"""By kind of system."""
BUILT = ("blocking", "web", "worker", "gateway", "broker")
"""Services whose images, between them, are all that is built."""


def trial_services(
    trial: Trial, limits: Mapping[str, Mapping[str, Any]], queue: str, token: str, labels: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Return what the override file says of each service of the trial's system."""
    parts = PARTS[trial.system.kind]
    environment = {"QUEUEBENCH_JOURNAL": FILE, **_queue_environment(trial, queue, token)}
    services: dict[str, dict[str, Any]] = {}
    for name in parts.in_box:
        services[name] = {
            **limits[name],
            "environment": environment,
            "volumes": [str(Path(FILE).parent), *own_code(trial.work.task)],
            "restart": _restart(trial.system),
        }
        if ":" in trial.work.task:
            services[name]["environment"] = {**environment, "PYTHONPATH": OWN_CODE}
    services[parts.web]["ports"] = published(WEB_PORT)
    services[parts.gateway] = {"ports": published(GATEWAY_PORT, STATUS_PORT), "restart": "always"}
    for service in services.values():
        service["labels"] = dict(labels)
        # A health check runs a program in the container every few seconds, on the box's account.
        service["healthcheck"] = {"disable": True}
        service["depends_on"] = RESET
    return services


def published(*ports: int) -> list[str]:
    """Publish ports of a container on free ones of this machine. Raises StackError where there are none.

    Free ports of our own choice: the engine would choose others each time it starts the container again.
    """
    return [f"{LOOPBACK}:{free}:{port}" for free, port in zip(free_ports(len(ports)), ports, strict=True)]


def trial_variables(trial: Trial) -> dict[str, str]:
    """Return the variables of the Compose file that a trial sets."""
    limit = trial.connection_limit if trial.system.kind == "bounded" else 0
    return {
        "TASK": trial.work.task,
        "WORKERS": str(trial.system.workers),
        "GATEWAY_TIMEOUT_MS": str(max(1, round(trial.gateway_timeout * 1000))),
        "CONNECTIONS": str(limit),
        **CHANCE,
    }


def _restart(system: System) -> str:
    from bench.stack.systems import is_restarted

    return "always" if is_restarted(system) else "no"


def _queue_environment(trial: Trial, queue: str, token: str) -> dict[str, str]:
    if not queue:
        return {}
    system = trial.system
    return {
        "QUEUED_TASK": trial.work.task,
        "QUEUED_TOKEN": token,
        "QUEUED_RESULT_PATH": system.result_path,
        "QUEUED_API_URL": f"http://{PARTS[system.kind].web}:{WEB_PORT}",
        "QUEUED_HEARTBEAT": f"{system.heartbeat:g}",
        "QUEUED_QUEUE": queue,
        "QUEUED_RETRY_AFTER": f"{trial.poll_interval:g}",
        "QUEUED_RETRY_AFTER_MOST": f"{trial.poll_interval:g}",
        **({} if system.max_wait is None else {"QUEUED_MAX_WAIT": f"{system.max_wait:g}"}),
    }


def own_code(task: str) -> list[str]:
    """How the folder that a function of the user's own is found in is seen; empty for a built-in task.

    Raises StackError where the containers' user, who is nobody here, may not read it.
    """
    if ":" not in task:
        return []
    module = task.partition(":")[0].partition(".")[0]
    places = [Path(place or ".") for place in ("", *sys.path)]
    here = next((p for p in places if (p / f"{module}.py").exists() or (p / module).is_dir()), Path.cwd())
    needed = {here: 0o5, here / module: 0o5, here / f"{module}.py": 0o4}
    for place, bits in needed.items():
        if place.exists() and place.stat().st_mode & bits != bits:
            right = "rx" if bits == 0o5 else "r"
            raise StackError(
                f"{task}: containers may not read {place.resolve()}: chmod o+{right} {place.resolve()}"
            )
    return [f"{here.resolve()}:{OWN_CODE}:ro"]
