"""What every place offers in which systems are brought up: processes of this machine, or containers."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from bench.plan import Box, Calibration, Trial
from bench.stack.box import Caps

RuntimeName = Literal["local", "docker"]


@dataclass(frozen=True)
class ProcessInfo:
    """A living process of a deployed system."""

    role: str
    pid: int


class Deployed(Protocol):
    """A system that is up, and has proved it."""

    base_url: str
    """Where clients go: the gateway."""

    def in_force(self) -> dict[str, Any]:
        """Read the caps back, see `bench.stack.box.BoxHandle.in_force`."""

    def usage(self) -> Mapping[str, Mapping[str, float]]:
        """Counters since the start, by subject: `box`, and each role whose processes can't be seen."""

    def processes(self) -> list[ProcessInfo]:
        """Return what is alive now, as far as this machine's process table shows it."""

    def queue_depth(self) -> dict[str, int] | None:
        """`ready` and `consumers` of the queue; None where there is no queue or its broker is down."""

    def requests_in_progress(self) -> int | None:
        """Requests that the gateway has in progress; None while it can't tell."""

    def events(self) -> list[dict[str, Any]]:
        """Return rows of EVENTS without the trial: died, restarted, oom_kill, stopped."""

    def deaths(self) -> Mapping[int, float]:
        """Unix time at which processes named in the journal died, by pid; whole once stopped."""

    def stop(self) -> None:
        """Bring the system down and the journal home; services stay. Safe to call twice."""


class Runtime(Protocol):
    """Brings systems up, one at a time, and keeps between trials what they share."""

    name: RuntimeName

    def deployment(self, trial: Trial, *, folder: Path, journal: Path) -> AbstractContextManager[Deployed]:
        """Bring the trial's system up. Logs go to `folder/logs`. Raises StackError."""

    def calibrate(self, task: str, value: Any, box: Box, *, budget: float, folder: Path) -> Calibration:
        """Measure one job alone in an idle box for `budget` seconds. Raises StackError."""

    def caps(self, box: Box, /) -> Caps:
        """What is capped, and how."""

    def notes(self) -> list[str]:
        """What a reader must know before believing a figure."""

    def describe(self) -> dict[str, str]:
        """What a figure depends on besides the machine, by name, for the record."""
