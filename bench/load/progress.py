"""How a load is getting on: written by the generator a few times a second, read by the harness."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

LoadPhase = Literal["starting", "ready", "warmup", "window", "drain", "done"]


@dataclass(frozen=True)
class Progress:
    """Counts so far."""

    phase: LoadPhase = "starting"
    elapsed: float = 0.0
    """Seconds since the start of the load."""
    total: int | None = None
    """Jobs that will arrive, where the schedule says so."""
    due: int = 0
    """Jobs that have arrived."""
    sent: int = 0
    """Of these, those whose client has begun."""
    in_flight: int = 0
    in_time: int = 0
    late: int = 0
    rejected: int = 0
    dropped: int = 0
    """Never sent: beyond the bound on jobs in flight."""
    failed: int = 0
    """Ended in any other way."""
    cpu: float = 0.0
    """CPU seconds the generator has used since its start."""


def write_progress(path: Path, progress: Progress) -> None:
    """Write whole or not at all."""
    half = path.with_suffix(".half")
    half.write_text(json.dumps(asdict(progress)))
    half.replace(path)


def read_progress(path: Path) -> Progress:
    """Read what was last written; the initial state where nothing was."""
    try:
        return Progress(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return Progress()
