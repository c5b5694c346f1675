"""Watches a system's processes while it is under load: notes who died of what, and starts them again."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bench.stack.box import BoxHandle
from bench.stack.errors import StackError
from bench.stack.process import Process, ending

TICK = 0.05
"""Seconds between looks: a look costs some microseconds per process."""
RESTART_AFTER = 1.0
"""Seconds that a process stays down, for both architectures alike."""
OOM_PATIENCE = 1.0
"""Seconds in which the victim of a memory kill must have vanished to be named."""


BRIEF = 0.2
"""Seconds: who lived shorter was a helper (RabbitMQ runs `df` now and then), not who held the memory."""


@dataclass
class _Watched:
    process: Process
    restart: bool
    died: float | None = None
    """Monotonic time of a death that has been noted; None while it runs."""


@dataclass(frozen=True)
class _Inmate:
    """A process in the box."""

    role: str
    since: float
    """Monotonic time of the first look that saw it."""


@dataclass(frozen=True)
class _Vanished:
    """A process that was there and is not any more."""

    look: int
    pid: int
    role: str


@dataclass(frozen=True)
class _Kill:
    """A memory kill whose victim is not known yet."""

    look: int
    seen: float
    """Monotonic time."""
    t: float
    """Unix time."""


class Supervisor:
    """A thread that watches processes and their box. Start it once everything is up; `stop` before the end.

    `events` holds rows of EVENTS without the trial: died, restarted, oom_kill.
    """

    def __init__(self, box: BoxHandle, watched: Iterable[tuple[Process, bool]]) -> None:
        """Take pairs of a process and whether it is started again."""
        self._box = box
        self._watched = [_Watched(process, restart) for process, restart in watched]
        self._events: list[dict[str, Any]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="supervisor", daemon=True)
        self._kills = 0
        self._look = 0
        self._inside: dict[int, _Inmate] = {}
        self._vanished: list[_Vanished] = []
        self._unnamed: list[_Kill] = []

    def start(self) -> None:
        """Begin to watch; what the box counted before does not matter."""
        self._kills = self._box.oom_kills()
        self._inside = self._look_inside(float("-inf"))
        self._thread.start()

    def stop(self) -> None:
        """Stop watching: what ends from now on was ended by us."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._name_kills(patient=False)

    def events(self) -> list[dict[str, Any]]:
        """Return what was noted so far."""
        return list(self._events)

    def _loop(self) -> None:
        while not self._stop.wait(TICK):
            self._look += 1
            for watched in self._watched:
                self._look_at(watched)
            self._look_for_kills()

    def _look_at(self, watched: _Watched) -> None:
        process = watched.process
        if watched.died is None:
            code = process.poll()
            if code is not None:
                watched.died = time.monotonic()
                self._note("died", process.role, process.pid, ending(code))
                if code == -signal.SIGKILL:
                    self._vanished.append(_Vanished(self._look, process.pid, process.role))
        elif watched.restart and time.monotonic() - watched.died >= RESTART_AFTER:
            process.kill()  # children that outlived it would hold its port
            try:
                process.start()
            except StackError as error:
                watched.died = time.monotonic()
                self._note("died", process.role, 0, error.what)
            else:
                watched.died = None
                self._note("restarted", process.role, process.pid, f"{RESTART_AFTER:g} s after its death")

    def _look_for_kills(self) -> None:
        kills = self._box.oom_kills()
        now = time.monotonic()
        inside = self._look_inside(now)
        self._vanished = [v for v in self._vanished if self._look - v.look < OOM_PATIENCE / TICK]
        self._vanished += [
            _Vanished(self._look, pid, inmate.role)
            for pid, inmate in self._inside.items()
            if pid not in inside and now - inmate.since >= BRIEF
        ]
        self._inside = inside
        self._unnamed += [_Kill(self._look, now, time.time())] * (kills - self._kills)
        self._kills = kills
        self._name_kills(patient=True)

    def _name_kills(self, *, patient: bool) -> None:
        """Give each memory kill the process that vanished with it, or after a while the box as a whole."""
        waiting = []
        for kill in self._unnamed:
            # The kernel counts first and the process goes then; a look may fall between the two.
            victim = next((v for v in self._vanished if v.look >= kill.look - 1), None)
            if victim is not None:
                self._vanished = [v for v in self._vanished if v.pid != victim.pid]
                self._note("oom_kill", victim.role, victim.pid, "the box was out of memory", kill.t)
            elif patient and time.monotonic() - kill.seen < OOM_PATIENCE:
                waiting.append(kill)
            else:
                self._note(
                    "oom_kill", "box", 0, "the box was out of memory; the process is not known", kill.t
                )
        self._unnamed = waiting

    def _look_inside(self, now: float) -> dict[int, _Inmate]:
        """Return who is in the box, with the role of the process that leads their session."""
        leaders = {watched.process.pid: watched.process.role for watched in self._watched}
        inside: dict[int, _Inmate] = {}
        for pid in self._box.pids():
            if pid in self._inside:
                inside[pid] = self._inside[pid]
                continue
            with contextlib.suppress(ProcessLookupError, PermissionError):
                inside[pid] = _Inmate(leaders.get(pid) or leaders.get(os.getsid(pid), "box"), now)
        return inside

    def _note(self, event: str, role: str, pid: int, detail: str, t: float | None = None) -> None:
        self._events.append(
            {"t": t or time.time(), "event": event, "role": role, "pid": pid, "detail": detail}
        )
