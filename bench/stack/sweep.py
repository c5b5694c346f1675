"""Ends what a workspace started and removes what it made, whoever asks: the workspace itself or its guard.

Whatever is already gone is fine: a sweep has no errors, only leftovers, which it returns.
"""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

MARK = "QUEUEBENCH_OWNER"
"""Environment variable of every process that a workspace starts; children of children inherit it."""


def marked(mark: str, variable: str = MARK) -> list[int]:
    """Return the pids of living processes that carry this mark in their environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(variable) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def members(cgroups: Iterable[Path]) -> set[int]:
    """Return the pids inside these cgroups and those below them."""
    pids: set[int] = set()
    for folder in cgroups:
        for inner in (folder, *below(folder)):
            with contextlib.suppress(OSError, ValueError):
                pids |= {int(line) for line in (inner / "cgroup.procs").read_text().split()}
    return pids


def below(folder: Path) -> list[Path]:
    """Return the cgroups below this one, innermost first; systemd gives each process one."""
    with contextlib.suppress(OSError):
        if folder.stat().st_nlink == 2:  # itself and its `.`: no folder in it, as nearly always
            return []
    return [Path(inner) for inner, _, _ in os.walk(folder, topdown=False) if Path(inner) != folder]


def kill_group(group: int, number: int = signal.SIGKILL) -> None:
    """Signal a whole process group; no error when it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def sweep(mark: str, groups: Iterable[int], cgroups: Iterable[Path], folder: Path | None) -> list[str]:
    """Kill and remove everything; return what would not go, in words."""
    cgroups = list(cgroups)
    for group in groups:
        kill_group(group)
    deadline = time.monotonic() + 5
    while (pids := set(marked(mark)) | members(cgroups)) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    left = [f"process {pid}" for pid in pids]
    for cgroup in cgroups:
        if not remove_cgroup(cgroup):
            left.append(f"cgroup {cgroup}")
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            left.append(f"folder {folder}")
    return left


def remove_cgroup(folder: Path, patience: float = 5.0) -> bool:
    """Remove an emptied cgroup; the kernel may need a moment after the last process has died."""
    deadline = time.monotonic() + patience
    while True:
        for inner in below(folder):
            with contextlib.suppress(OSError):
                inner.rmdir()
        try:
            folder.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True
