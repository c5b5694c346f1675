"""One child process of the stack: started in its own session and box, logged, ended with all its children."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench.stack.errors import StackError
from bench.stack.sweep import kill_group


class Enterable(Protocol):
    """Something that a process can be started inside of, such as a box."""

    def enter_prefix(self) -> list[str]:
        """Words to put before a command so that it runs inside."""


@dataclass(frozen=True)
class Command:
    """How to start one process, and start it again just so."""

    role: str
    """web | worker | broker | store | gateway | epmd; the subject in records."""
    argv: tuple[str, ...]
    log: Path
    """Takes standard output and standard error; appended to when the process is started again."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to the environment of the harness."""
    drop_env: tuple[str, ...] = ()
    """Prefixes of variables of the harness's environment that the process must not see."""
    cwd: Path | None = None
    box: Enterable | None = None
    nice: int = 0


class Process:
    """A running command. Not a context manager: its workspace ends it."""

    def __init__(
        self, command: Command, *, mark: tuple[str, str], on_group: Callable[[int], None] | None = None
    ) -> None:
        self.command = command
        self._mark = mark
        self._on_group = on_group
        self._popen: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    @property
    def role(self) -> str:
        """The command's role."""
        return self.command.role

    @property
    def pid(self) -> int:
        """Process id; 0 before the first start."""
        return self._popen.pid if self._popen is not None else 0

    @property
    def group(self) -> int:
        """Process group, which is the pid: each process leads its own."""
        return self.pid

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._popen is not None and self.poll() is None

    def start(self) -> None:
        """Start it, for the first time or again. Raises StackError when the program can't be run."""
        command = self.command
        nice = ["nice", "-n", str(command.nice)] if command.nice else []
        argv = [*(command.box.enter_prefix() if command.box else []), *nice, *command.argv]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(command.drop_env or ("\0",))}
        try:
            command.log.parent.mkdir(parents=True, exist_ok=True)
            with command.log.open("ab") as log:
                popen = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**inherited, **command.env, self._mark[0]: self._mark[1]},
                    cwd=command.cwd,
                    start_new_session=True,
                )
        except OSError as error:
            raise StackError(
                f"The {command.role} process can't be started: {error.strerror or error} "
                f"({error.filename or argv[0]})."
            ) from None
        with self._lock:
            self._popen = popen
        if self._on_group is not None:
            self._on_group(popen.pid)

    def poll(self) -> int | None:
        """Return the exit code, the negative number of the signal that ended it, or None while it runs."""
        return self._popen.poll() if self._popen is not None else None

    def wait(self, seconds: float) -> int | None:
        """Wait for the end, at most so long; return as `poll` does."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._popen is not None:
                self._popen.wait(seconds)
        return self.poll()

    def terminate(self) -> None:
        """Ask it to end: SIGTERM to the process, which tells its own children."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it and all of its group, now."""
        if self._popen is None:
            return
        kill_group(self.group)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(5)

    def stop(self, grace: float) -> int | None:
        """Ask, wait at most `grace` seconds, then kill the group; return as `poll` does."""
        self.terminate()
        self.wait(grace)
        self.kill()
        return self.poll()


def ending(code: int) -> str:
    """Say an exit in words: `exit code 3`, `SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def stop_all(processes: list[Process], grace: float) -> None:
    """Ask all at once, wait at most `grace` seconds in total, then kill what is left with its children."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + grace
    for process in processes:
        process.wait(max(0.0, deadline - time.monotonic()))
    for process in processes:
        process.kill()
