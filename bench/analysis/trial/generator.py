"""Up to which rate the generator of a machine is no part of what it measures, held against a trial. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.plan import Kind, Trial

POLLED: frozenset[Kind] = frozenset({"queued", "as_published"})

Way = Literal["blocking", "polled"]
"""A job is one request, or three: submitted, polled once, fetched. Who polls more often costs more."""


@dataclass(frozen=True)
class Limit:
    """One way of asking, by so many processes."""

    way: Way
    processes: int
    rate: float
    """Jobs per second up to which 99 % were sent less than max(5 ms, 2 % of the median response) late."""
    fails: float
    """Jobs per second at which they were not; 0 where that was never seen."""
    cpu_per_job: float
    """Generator CPU seconds for each job, at about that rate."""
    in_flight: int
    """Jobs in flight that it can hold."""


def limits_of(environment: Mapping[str, Any]) -> list[Limit]:
    """What run.json's environment says of it; nothing where it does not, or not in this form."""
    try:
        return [Limit(**limit) for limit in environment.get("generator_limit") or ()]
    except TypeError:
        return []


def notes_on(trials: Iterable[Trial], limits: Sequence[Limit]) -> list[str]:
    """One line for each rate that is more than the generator is known to keep up with."""
    return list(dict.fromkeys(line for trial in trials if (line := beyond(trial, limits))))


def peak(trial: Trial) -> float:
    """The most jobs per second that its schedule asks for."""
    return max([trial.load.rate, *(step.rate for step in trial.load.steps)])


def beyond(trial: Trial, limits: Sequence[Limit]) -> str:
    """In one line, that a trial asks for more than the generator keeps up with; empty where it does not."""
    way: Way = "polled" if trial.system.kind in POLLED else "blocking"
    mine = {limit.processes: limit.rate for limit in limits if limit.way == way}
    asked, able = peak(trial), mine.get(trial.processes)
    if able is None or asked <= able:
        return ""
    enough = [processes for processes, rate in sorted(mine.items()) if rate >= asked]
    advice = (
        f"use --generator-processes {enough[0]}"
        if enough
        else "use a lower rate, or workers on other machines"
    )
    alone = "" if trial.processes == 1 else f" with {trial.processes} processes"
    return (
        f"The generator on this machine{alone} keeps up with {able:,.0f} jobs/s; {trial.part} at "
        f"{trial.load.label or f'{asked:g}/s'} asks for {asked:,.0f}: {advice}."
    )
