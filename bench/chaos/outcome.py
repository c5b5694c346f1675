"""How a storm, a ladder or a soak begins and ends: its folder, its records, its page, its exit code."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import environment
from bench.records import write_json

FORMAT = 1
"""Version of chaos.json."""


def now() -> str:
    """When it starts, for `write`."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write(folder: Path, started: str, command: str, found: Mapping[str, Any]) -> None:
    """Write chaos.json; `found` has one entry: `storm`, `ladder` or `soak`."""
    write_json(
        folder / "chaos.json",
        {
            "format": FORMAT,
            "id": folder.name,
            "started": started,
            "command": command,
            "environment": environment.describe(),
            **found,
        },
    )


def present(folder: Path, console: Console) -> None:
    """Make the page from what was written, and say what is on it and where it is."""
    from bench.report import reliability

    page = reliability.build(folder)
    console.print(reliability.terminal(folder), highlight=False, markup=False, soft_wrap=True)
    console.print(f"\nPage: {page}", highlight=False, soft_wrap=True)
