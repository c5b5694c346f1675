"""What `bench selftest --generator` found of this machine, kept beside the run folders.

A trial that asks for more than the generator can send measures the generator: `bench run` says so before it
starts, and run.json keeps the figures (`environment.generator_limit`) for whoever judges the trial.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import environment
from bench.analysis.trial.generator import Limit
from bench.records import write_json

FILE = "generator-limit.json"
FORMAT = 1
MACHINE = ("cpu", "cores", "memory", "system", "machine")
"""Facts of `environment.describe` by which a machine is known again."""


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


def known(folder: Path) -> list[Limit]:
    """What is known for a run in this folder: from beside it, or from where reports usually are."""
    for place in (*folder.parents[:2], Path("reports")):
        if found := read(place):
            return found
    return []
