"""A workspace ends what it started, whatever the moment at which it is told to stop."""

import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.interrupt import Interrupted, interruptible
from bench.stack.process import Command
from bench.stack.workspace import Workspace

pytestmark = pytest.mark.integration

NAMELESS = ("env", "-i", "sleep", "600")
"""Hides the mark in its environment, as nginx does by writing its title over it."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_between_the_start_of_a_process_and_its_name_in_the_list(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is known by then, so that it is ended too."""
    started: list[int] = []

    class Cut(subprocess.Popen[bytes]):
        def __init__(self, *words: Any, **named: Any) -> None:
            super().__init__(*words, **named)
            started.append(self.pid)
            signal.raise_signal(number)

    with Workspace() as workspace:
        monkeypatch.setattr(subprocess, "Popen", Cut)
        with interruptible(), pytest.raises(Interrupted):
            workspace.spawn(Command("web", NAMELESS, tmp_path / "log"))
    assert len(started) == 1
    assert not psutil.pid_exists(started[0])
