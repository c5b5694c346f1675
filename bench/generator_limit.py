"""What `bench selftest --generator` found of this machine, kept beside the run folders.

A trial that asks for more than the generator can send measures the generator: `bench run` says so before it
starts, and run.json keeps the figures (`environment.generator_limit`) for whoever judges the trial.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from bench import environment
from bench.plan import Kind, Trial
from bench.records import write_json

FILE = "generator-limit.json"
FORMAT = 1
MACHINE = ("cpu", "cores", "memory", "system", "machine")
"""Facts of `environment.describe` by which a machine is known again."""
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


def write(reports: Path, limits: Iterable[Limit], measured: str) -> Path:
    """Keep them in the folder of the reports; `measured` is when, ISO 8601. Returns the file."""
    facts = environment.describe()
    reports.mkdir(parents=True, exist_ok=True)
    path = reports / FILE
    write_json(
        path,
        {
            "format": FORMAT,
            "measured": measured,
            "queuebench": facts["queuebench"],
            "commit": facts["commit"],
            "machine": {name: facts[name] for name in MACHINE},
            "limits": [asdict(limit) for limit in limits],
        },
    )
    return path


def read(reports: Path) -> list[Limit]:
    """What is known of this machine: nothing where no file is, or one of another machine or format."""
    try:
        kept: dict[str, Any] = json.loads((reports / FILE).read_text())
        if kept["format"] != FORMAT:
            return []
        facts = environment.describe()
        if any(kept["machine"][name] != facts[name] for name in MACHINE):
            return []
        return [Limit(**limit) for limit in kept["limits"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def notes(trials: Iterable[Trial], limits: Sequence[Limit]) -> list[str]:
    """One line for each rate that is more than the generator is known to keep up with."""
    return list(dict.fromkeys(line for trial in trials if (line := _note(trial, limits))))


def _note(trial: Trial, limits: Sequence[Limit]) -> str:
    way: Way = "polled" if trial.system.kind in POLLED else "blocking"
    mine = {limit.processes: limit.rate for limit in limits if limit.way == way}
    asked, able = trial.load.rate, mine.get(trial.processes)
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
