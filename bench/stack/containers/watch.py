"""Watches a system's containers by the engine's events: who died of what, and who was brought back."""

import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.stack.containers.engine import Engine
from bench.stack.containers.project import ENGINE_ERRORS, PROJECT
from bench.stack.containers.usage import ContainerUsage
from bench.stack.process import ending

TICK = 0.1
"""Seconds between looks at what may have been a memory kill."""
OOM_PATIENCE = 2.0
"""Seconds between the engine's word that memory ran out and the end of whom it hit."""
KILLED = 137
"""Exit code of a container whose process was ended by SIGKILL."""


@dataclass
class Watched:
    """One container."""

    role: str
    usage: ContainerUsage
    pid: int
    """Of its first process, on the engine's machine."""
    died: list[float] = field(default_factory=list)
    """Unix times."""
    oom: float | None = None
    """Monotonic time of the engine's last word of it that is not explained yet."""
    kills: int = 0
    """Memory kills that its control group has counted, as far as they have been noted."""
    noted: float = float("-inf")
    """Monotonic time of the last one that was noted."""
    hit: float = 0.0
    """Unix time of it."""


class Watch:
    """Threads that listen from construction until `stop`.

    `events` holds rows of EVENTS without the trial: died, restarted, oom_kill. Version 1 of control groups
    tells every container below a group that its memory ran out: who was hit is known by its own counter, or
    by its end.
    """

    def __init__(self, engine: Engine, project: str, watched: Mapping[str, Watched]) -> None:
        """`watched` by the container's id."""
        self._engine = engine
        self._watched = dict(watched)
        self._rows: list[dict[str, Any]] = []
        self._told: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._stream = engine.client.api.events(
            decode=True, filters={"type": "container", "label": f"{PROJECT}={project}"}
        )
        self._stopped = False
        self._reader = threading.Thread(target=self._read, name="engine events", daemon=True)
        self._thread = threading.Thread(target=self._loop, name="watch", daemon=True)
        self._reader.start()
        self._thread.start()

    def events(self) -> list[dict[str, Any]]:
        """Return what was noted so far."""
        return list(self._rows)

    def stop(self) -> None:
        """Stop watching: what ends from now on was ended by us."""
        self._stopped = True
        self._told.put(None)
        self._thread.join(timeout=5)
        self._stream.close()

    def _read(self) -> None:
        try:
            for told in self._stream:
                self._told.put(told)
        except Exception:  # noqa: BLE001 - closing the stream breaks it in whatever way the socket likes
            if not self._stopped:
                self._note(time.time(), "died", "engine", 0, "its events ended: later deaths are not seen")

    def _loop(self) -> None:
        while True:
            try:
                told = self._told.get(timeout=TICK)
            except queue.Empty:
                self._look()
                continue
            if told is None:
                self._look()
                return
            watched = self._watched.get(str(told.get("id", "")))
            if watched is not None:
                self._take(watched, told)

    def _take(self, watched: Watched, told: Mapping[str, Any]) -> None:
        t = int(told.get("timeNano", 0)) / 1e9
        match told.get("Action"):
            case "oom":
                watched.oom = time.monotonic()
                self._look()
            case "die":
                code = int(told.get("Actor", {}).get("Attributes", {}).get("exitCode", 0))
                # The engine may tell of one shortage twice, when the counter has named this death already.
                named = time.monotonic() - watched.noted < OOM_PATIENCE
                if code == KILLED and not named and (watched.oom is not None or self._untold(watched, told)):
                    self._oom_kill(watched, t)
                # The engine hears of an end when all is given back: 2 GB of memory take a second.
                watched.died.append(watched.hit if named and code == KILLED else t)
                how = ending(128 - code if code > 128 else code)
                self._note(t, "died", watched.role, watched.pid, how)
            case "start":
                since = t - watched.died[-1] if watched.died else 0.0
                watched.kills, watched.oom, watched.noted = 0, None, float("-inf")
                state = self._state(told)
                watched.pid = int(state.get("Pid", 0))
                again = f", for the {state['RestartCount']}. time" if state.get("RestartCount") else ""
                self._note(t, "restarted", watched.role, watched.pid, f"{since:.1f} s after its death{again}")

    def _look(self) -> None:
        """Name the kills that only a child of a container's first process fell to: the container lives on."""
        for watched in self._watched.values():
            if watched.oom is None:
                continue
            if watched.usage.oom_kills() > watched.kills:
                self._oom_kill(watched, time.time())
            elif time.monotonic() - watched.oom > OOM_PATIENCE:
                watched.oom = None

    def _oom_kill(self, watched: Watched, t: float) -> None:
        watched.oom, watched.noted, watched.hit = None, time.monotonic(), t
        watched.kills = max(watched.kills + 1, watched.usage.oom_kills())
        self._note(t, "oom_kill", watched.role, watched.pid, "the box was out of memory")

    def _untold(self, watched: Watched, told: Mapping[str, Any]) -> bool:
        """Whether the engine says that memory killed a container of which no memory kill is known."""
        return watched.kills == 0 and bool(self._state(told).get("OOMKilled"))

    def _state(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """What the engine knows of a container, with how often it restarted it; empty if it is gone."""
        try:
            found = self._engine.client.api.inspect_container(str(told["id"]))
            return {**found["State"], "RestartCount": found.get("RestartCount", 0)}
        except (*ENGINE_ERRORS, KeyError):
            return {}

    def _note(self, t: float, event: str, role: str, pid: int, detail: str) -> None:
        self._rows.append({"t": t, "event": event, "role": role, "pid": pid, "detail": detail})
