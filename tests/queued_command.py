"""The queue's commands (`queued status`, `dead`, `submit`), run as a user would run them."""

import subprocess
import sys
from dataclasses import dataclass

from queued_system import PATIENCE, QueueSystem


@dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


def queued(system: QueueSystem, *words: str, **more: str) -> Said:
    """Run a command to its end; settings beyond the system's own as keywords."""
    done = subprocess.run(
        [sys.executable, "-m", "queued", *words],
        capture_output=True,
        text=True,
        check=False,
        env=system.environment(**more),
        cwd=system.folder,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE,
    )
    return Said(done.returncode, done.stdout, done.stderr)
