"""Systems as child processes of the harness, in a box that it makes itself."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bench.plan import Box, Calibration, Trial
from bench.stack.box import Caps, detect_caps
from bench.stack.calibrate import calibrate
from bench.stack.deploy import Deployment, deployment
from bench.stack.runtime import RuntimeName
from bench.stack.services import Services


class Local:
    """The runtime `local`. Its services are opened and closed by whoever made them."""

    name: RuntimeName = "local"

    def __init__(self, services: Services) -> None:
        self._services = services

    def deployment(self, trial: Trial, *, folder: Path, journal: Path) -> AbstractContextManager[Deployment]:
        """See Runtime."""
        return deployment(trial, services=self._services, folder=folder, journal=journal)

    def calibrate(self, task: str, value: Any, box: Box, *, budget: float, folder: Path) -> Calibration:
        """See Runtime."""
        return calibrate(task, value, box, budget=budget, folder=folder)

    def caps(self, _box: Box, /) -> Caps:
        """See Runtime."""
        return detect_caps()

    def notes(self) -> list[str]:
        """See Runtime: whatever there is to say is in the caps."""
        return []

    def describe(self) -> dict[str, str]:
        """See Runtime: all is in the environment already."""
        return {}
