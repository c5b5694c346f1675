"""The records of a storm: what users saw of their jobs, what was struck. JSON lines, one a record. A leaf.

All instants are Unix time in seconds.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FINAL = frozenset({"done", "failed", "cancelled", "expired"})
"""States that must never change."""


@dataclass(slots=True)
class JobRow:
    """One job as its user knows it."""

    number: int
    request: str
    """The X-Request-ID, by which journal and server know it."""
    keyed: bool
    fails: bool
    due: float
    sent: float | None = None
    """When the first submission was begun."""
    asked: float | None = None
    """When the submission was begun that was accepted."""
    tries: int = 0
    """How often it was submitted until it was accepted."""
    refusals: dict[str, int] = field(default_factory=dict)
    """Why submissions were not accepted: status, or `no answer` → how often."""
    accepted: float | None = None
    """When a 2xx to the submission was read: from here on the service answers for it."""
    id: str = ""
    polls: int = 0
    unknown: int = 0
    """How often the service did not know the job though it had accepted it."""
    done: float | None = None
    """When it was first seen in a final state."""
    state: str = ""
    """The final state first seen, else the last state seen."""
    stamp: float | None = None
    """When it ended, by the service's own word."""
    digest: str = ""
    """Of the result."""
    right: bool | None = None
    """Whether the result is this job's; None: it has none."""
    problem: str = ""
    """What the service said of a job that did not end well."""
    readings: int = 0
    """How often it was read again after it had been seen final."""
    changed: str = ""
    """The first difference between two readings of a job seen final, in words."""
    another: str = ""
    """The id of a second job that a repeated submission with the same key made."""


@dataclass(frozen=True)
class StrikeRow:
    """One strike as it was carried out."""

    number: int
    kind: str
    name: str
    role: str
    """Whom it struck, e.g. `worker 1`."""
    seam: str
    planned: float
    """Seconds of the storm."""
    began: float | None
    """None: it could not be carried out, or nobody came by the seam."""
    ended: float | None
    """For what lasts: when it was over; for a kill: when the process was started again."""
    detail: str = ""


def write(path: Path, rows: Iterable[Any]) -> None:
    """Write records as JSON lines, whole or not at all."""
    half = path.with_suffix(path.suffix + ".half")
    with half.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row if isinstance(row, dict) else asdict(row)) + "\n")
    half.replace(path)


def read(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines. Raises OSError, or ValueError where a line is none."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]
