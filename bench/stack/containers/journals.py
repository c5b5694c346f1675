"""The journals of containers as one: each has a file of its own, and counts its processes from 1."""

import io
import json
import math
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from docker.models.containers import Container

from bench.journal import lines
from bench.stack.containers.project import ENGINE_ERRORS

FOLDER = "/var/lib/queuebench"
FILE = f"{FOLDER}/journal.jsonl"
"""Where a container writes: a volume of its own, since the rest of its files can't be written."""


@dataclass(frozen=True)
class Journal:
    """What one container wrote."""

    container: str
    text: str
    alone: bool
    """Whether one job at a time runs in it."""
    died: Sequence[float] = ()
    """Unix times at which the container died, in order."""


@dataclass
class Merged:
    """All of them, with numbers for processes that are unique."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    deaths: dict[int, float] = field(default_factory=dict)
    """Unix time by number."""

    def text(self) -> str:
        """As a journal's file."""
        return "".join(json.dumps(line) + "\n" for line in self.lines)


def fetch(container: Container) -> str:
    """Copy the journal out of a container, running or not; empty where there is none."""
    try:
        chunks, _ = container.get_archive(FILE)
        data = io.BytesIO(b"".join(chunks))
    except ENGINE_ERRORS:
        return ""
    with tarfile.open(fileobj=data) as archive:
        file = archive.extractfile(archive.getmembers()[0])
        return file.read().decode(errors="replace") if file else ""


def merge(journals: Sequence[Journal]) -> Merged:
    """Put them together in the order of time; a process dies with its container's life.

    Of a child that was killed in a living container nobody tells; where only one job runs at a time, it was
    gone when the next one began, which is taken as its death: at most some tenths of a second too late.
    """
    merged = Merged()
    numbers: dict[tuple[str, int, int], int] = {}
    for journal in journals:
        open_runs: dict[int, str] = {}
        for line in lines(journal.text):
            life = sum(1 for t in journal.died if t < line["t"])
            key = (journal.container, life, line["pid"])
            number = numbers.setdefault(key, len(numbers) + 1)
            if life < len(journal.died):
                merged.deaths.setdefault(number, journal.died[life])
            if line["event"] == "start" and journal.alone:
                for other in open_runs.keys() - {number}:
                    merged.deaths[other] = min(line["t"], merged.deaths.get(other, math.inf))
                open_runs = {}
            if line["event"] == "start":
                open_runs[number] = line["job"]
            else:
                open_runs.pop(number, None)
            merged.lines.append({**line, "pid": number})
    merged.lines.sort(key=lambda line: float(line["t"]))
    return merged
