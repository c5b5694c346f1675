"""What the generator is to do, resolved: from a trial, or from Locust's command line."""

from dataclasses import dataclass, field
from typing import Any

from bench.load.clients import Face
from bench.plan import Kind, Load, Retry, Trial

MAX_IN_FLIGHT = 2_000
"""Jobs in flight beyond which arrivals are dropped, and counted as dropped."""

FACES: dict[Kind, Face] = {
    "blocking": "run",
    "gunicorn": "run",
    "bounded": "run",
    "queued": "jobs",
    "as_published": "published",
}
"""How each kind of system is spoken to; `external` is asked (`bench.load.faces`)."""


@dataclass(frozen=True)
class Assignment:
    """One load, and how its clients behave. Durations in seconds."""

    label: str
    """What Locust's table calls the jobs, e.g. `queued spin`."""
    face: Face | None
    """None: find out."""
    task: str
    value: Any
    load: Load
    """A window of infinity: until somebody stops it."""
    seed: int
    deadline: float
    patience: float
    """How long a client waits for one answer."""
    poll_interval: float
    drain_limit: float
    max_in_flight: int = MAX_IN_FLIGHT
    retry: Retry = field(default_factory=Retry)

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Assignment":
        """Invert `asdict`. Raises TypeError or KeyError when the data is not an assignment."""
        own = {"load": Load.from_json(data["load"]), "retry": Retry(**data["retry"])}
        return Assignment(**{**data, **own})


def assignment_of(trial: Trial, max_in_flight: int = MAX_IN_FLIGHT) -> Assignment:
    """What a trial asks of the generator."""
    return Assignment(
        label=f"{trial.system.name} {trial.work.task}",
        face=FACES.get(trial.system.kind),
        task=trial.work.task,
        value=trial.work.input,
        load=trial.load,
        seed=trial.seed,
        deadline=trial.deadline,
        patience=patience(trial.deadline, trial.gateway_timeout),
        poll_interval=trial.poll_interval,
        drain_limit=trial.drain_limit,
        max_in_flight=max_in_flight,
        retry=trial.retry,
    )


def patience(deadline: float, gateway_timeout: float) -> float:
    """Seconds a client waits for an answer: so much longer than the gateway that the 504 is the gateway's.

    Up to the deadline it has to wait in any case, or it would miss results in time.
    """
    return 1.1 * max(deadline, gateway_timeout) + 2.0
