"""Plays with which programs are installed."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.stack.installed import PROGRAMS, Installation


def play(
    monkeypatch: pytest.MonkeyPatch, name: str, *, version: tuple[int, ...] = (99,), path: Path | None = None
) -> None:
    """Let one of the stack's programs be elsewhere, of another version, or (no version) not there."""
    found = PROGRAMS[name].find()
    where = path or (found.path if found else Path("/nowhere"))
    played = Installation(where, version) if version else None
    monkeypatch.setitem(PROGRAMS, name, replace(PROGRAMS[name], find=lambda: played))
