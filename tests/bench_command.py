"""The `bench` command inside the test's own process: for what is told before anything is started.

A process of its own takes a second of a core to import the harness; the words and the exit code are the same.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench import cli


@dataclass(frozen=True)
class Said:
    """What a command that has ended leaves, named as by `subprocess`."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def bench_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Said]:
    """Run `bench` with these words in `tmp_path`; where a traceback would be printed, the test fails."""

    def run(*words: str) -> Said:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["bench", *words])
        monkeypatch.setattr(sys, "path", [*sys.path])  # a task of one's own is looked for where one is
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        said = capsys.readouterr()
        return Said(code if isinstance(code, int) else 0 if code is None else 1, said.out, said.err)

    return run
