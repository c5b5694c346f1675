"""Owns what must be gone in the end: processes, cgroups and a temporary folder."""

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.interrupt import uninterrupted
from bench.stack.errors import StackError
from bench.stack.process import Command, Process, stop_all
from bench.stack.sweep import MARK, sweep

PREFIX = "queuebench-"
"""Every folder and cgroup that the stack makes is named so, followed by its workspace's mark."""


def temporary_root() -> Path:
    """Where throwaway data goes.

    `/var/tmp` rather than `/tmp`: the latter is memory on many systems, and what a broker inside a box writes
    there would count against the box's memory. TMPDIR wins when it is set.
    """
    if chosen := os.environ.get("TMPDIR"):
        return Path(chosen)
    lasting = Path("/var/tmp")
    return lasting if os.access(lasting, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


class Workspace:
    """A context manager around everything that one stack starts; safe to use from several threads.

    Leaving it ends every process it spawned (and their children), removes its cgroups and its folder, in good
    order or by force. A guard process does the same when this process is killed.
    """

    def __init__(self) -> None:
        self.mark = f"{os.getpid()}-{secrets.token_hex(4)}"
        """Names this workspace: the owner's pid and something random."""
        self._lock = threading.Lock()
        self._processes: list[Process] = []
        self._cgroups: list[Path] = []
        self._guard: subprocess.Popen[str] | None = None
        self._folder: Path | None = None

    @property
    def folder(self) -> Path:
        """The temporary folder; only there while the workspace is open."""
        if self._folder is None:
            raise RuntimeError("the workspace is not open")
        return self._folder

    def __enter__(self) -> Self:
        try:
            folder = temporary_root() / f"{PREFIX}{self.mark}"
            folder.mkdir(mode=0o700)
            self._folder = folder
        except OSError as error:
            raise StackError(
                f"No temporary folder can be made in {temporary_root()}: {error.strerror}.",
                hint="Free some space there, or set TMPDIR to a folder you can write to.",
            ) from None
        self._guard = subprocess.Popen(
            [sys.executable, "-m", "bench.stack.guard", self.mark, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            cwd="/",
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def spawn(self, command: Command) -> Process:
        """Start a process that this workspace will end. Raises StackError when it can't be started at all."""
        process = Process(command, mark=(MARK, self.mark), on_group=self._tell_group)
        # Ctrl-C between the start and the list would lose it: nginx writes over the mark in its environment.
        with uninterrupted():
            process.start()
            with self._lock:
                self._processes.append(process)
        return process

    def own_cgroups(self, folders: list[Path]) -> None:
        """Take charge of cgroup folders: they go when the workspace goes."""
        with self._lock:
            self._cgroups += folders
        for folder in folders:
            self._tell(f"cgroup {folder}")

    def own_project(self, name: str) -> None:
        """Have the guard remove a Compose project when this process is killed."""
        self._tell(f"project {name}")

    def disown_cgroups(self, folders: list[Path]) -> None:
        """Forget cgroup folders that have been removed."""
        with self._lock:
            self._cgroups = [folder for folder in self._cgroups if folder not in folders]

    def end(self, processes: Iterable[Process], grace: float = 0.0) -> None:
        """End processes and forget them: SIGTERM, `grace` seconds for all of them together, then SIGKILL."""
        processes = list(processes)
        stop_all(processes, grace)
        for process in processes:
            with self._lock, contextlib.suppress(ValueError):
                self._processes.remove(process)
            if process.group:
                self._tell(f"gone {process.group}")

    def pids(self) -> list[int]:
        """Return the pids of the living processes spawned here, the guard's included."""
        with self._lock:
            pids = [p.pid for p in self._processes if p.running]
        return pids + ([self._guard.pid] if self._guard is not None else [])

    def close(self) -> None:
        """End and remove everything. Safe to call twice. Raises StackError when something would not go."""
        with self._lock:
            processes, self._processes = self._processes, []
            cgroups, self._cgroups = self._cgroups, []
        folder, self._folder = self._folder, None
        guard, self._guard = self._guard, None
        if guard is None:
            return
        for process in reversed(processes):
            process.kill()
        left = sweep(self.mark, [], cgroups, folder)
        with contextlib.suppress(OSError):
            assert guard.stdin is not None
            guard.stdin.write("done\n")
            guard.stdin.close()
        try:
            guard.wait(5)
        except subprocess.TimeoutExpired:
            guard.kill()
            guard.wait()
        if left:
            raise StackError(f"Left behind: {', '.join(left)}.", hint="End and remove them by hand.")

    def _tell_group(self, group: int) -> None:
        self._tell(f"group {group}")

    def _tell(self, line: str) -> None:
        """Tell the guard. Its death is no reason to fail: it is the second line of defence."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            if self._guard is not None and self._guard.stdin is not None:
                self._guard.stdin.write(line + "\n")
                self._guard.stdin.flush()
