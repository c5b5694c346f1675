"""How a load is getting on: written by the generator a few times a second, read by the harness."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Literal

LoadPhase = Literal["starting", "ready", "warmup", "window", "drain", "done"]


@dataclass(frozen=True)
class Standing:
    """Where the jobs of one process stand, or of all."""

    launched: int = 0
    """Jobs that have arrived and were started or dropped."""
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
    users_done: int = 0
    """Closed model: users who start no more jobs."""
    arrivals_over: bool = False
    """Open model: the last job of the schedule has arrived."""
    last_arrival: float = -inf
    """Unix time in seconds."""
    last_sign: float = -inf
    """When a job last arrived or ended, Unix time in seconds."""
    cpu: float = 0.0
    """CPU seconds the process has used since its start."""


def together(parts: Sequence[Standing]) -> Standing:
    """The standing of all, from each process's."""
    return Standing(
        launched=sum(s.launched for s in parts),
        sent=sum(s.sent for s in parts),
        in_flight=sum(s.in_flight for s in parts),
        in_time=sum(s.in_time for s in parts),
        late=sum(s.late for s in parts),
        rejected=sum(s.rejected for s in parts),
        dropped=sum(s.dropped for s in parts),
        failed=sum(s.failed for s in parts),
        users_done=sum(s.users_done for s in parts),
        arrivals_over=all(s.arrivals_over for s in parts),
        last_arrival=max((s.last_arrival for s in parts), default=-inf),
        last_sign=max((s.last_sign for s in parts), default=-inf),
        cpu=sum(s.cpu for s in parts),
    )


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
    """CPU seconds the generator has used since its start, all its processes together."""


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
