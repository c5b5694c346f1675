"""What each container has used: from its control group where that can be seen, else as the engine tells."""

import time
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import Any

from bench.stack.cgroup_places import Places, places
from bench.stack.cgroups import Cgroup1, Cgroup2, Group
from bench.stack.containers.engine import Engine

ENGINE_EVERY = 1.0
"""Seconds between two questions to the engine. It answers after a second, so nobody waits for it."""
SUMMED = ("cpu", "throttled", "periods", "throttled_periods", "oom_kills")
"""Counters: what a container had before it was started again stays counted, so that no sum falls."""


def group_of(pid: int, container: str) -> Group | None:
    """The control group of a container's first process; None where it can't be seen from here."""
    own = Path("/proc", str(pid))
    try:
        there = places(Path("/proc/self/mountinfo").read_text(), (own / "cgroup").read_text())
    except (OSError, ValueError):
        return None
    # A process of the same number in another namespace is not ours.
    v1 = {c: f[0] for c, f in there.v1.items() if f and f[0].name == container and f[0].is_dir()}
    if "memory" in v1 or "cpu" in v1:
        return Cgroup1(v1)
    return _of_version2(there, container)


def _of_version2(there: Places, container: str) -> Group | None:
    # systemd's name for it is docker-ID.scope.
    folder = there.v2[0] if there.v2 else None
    return Cgroup2(folder) if folder and container in folder.name and folder.is_dir() else None


def told_by_engine(stats: Mapping[str, Any]) -> dict[str, float]:
    """The engine's figures of one container by the names of `BoxHandle.usage`, with `processes`.

    Its API is the same on both versions of control groups but for the name of the idle file cache.
    """
    cpu, memory = stats.get("cpu_stats", {}), stats.get("memory_stats", {})
    throttling = cpu.get("throttling_data", {})
    details = memory.get("stats", {})
    idle = details.get("total_inactive_file", details.get("inactive_file", 0))
    found = {
        "cpu": cpu.get("cpu_usage", {}).get("total_usage", 0) / 1e9,
        "throttled": throttling.get("throttled_time", 0) / 1e9,
        "periods": throttling.get("periods", 0),
        "throttled_periods": throttling.get("throttled_periods", 0),
        "processes": stats.get("pids_stats", {}).get("current", 0),
    }
    if "usage" in memory:
        found["memory"] = max(0, memory["usage"] - idle)
    return {name: float(value) for name, value in found.items()}


class ContainerUsage:
    """One container's counters, over all its lives."""

    def __init__(self, engine: Engine, container: str, pid: int) -> None:
        self._engine = engine
        self._container = container
        self._group = group_of(pid, container)
        self._last: dict[str, float] = {}
        self._before: dict[str, float] = {}
        self._asked = float("-inf")
        self._told: dict[str, float] = {}
        """What the engine told last."""
        self._asking: Thread | None = None

    def __call__(self) -> dict[str, float]:
        """Read it now; what was last known while the container is down."""
        now = self._read()
        if now:
            for name in SUMMED:
                if now.get(name, 0.0) < self._last.get(name, 0.0):  # a new life counts from nothing
                    self._before[name] = self._before.get(name, 0.0) + self._last[name]
            self._last = now
        known = dict(self._last) if now else {n: v for n, v in self._last.items() if n in SUMMED}
        return {name: value + self._before.get(name, 0.0) for name, value in known.items()}

    def known(self, patience: float) -> None:
        """Wait so many seconds at most until something is known: a sum that lacks a part would leap."""
        self()
        if self._asking is not None:
            self._asking.join(patience)

    def oom_kills(self) -> int:
        """Read that counter of the present life alone; 0 where it can't be seen."""
        return (self._group.oom_kills() or 0) if self._group else 0

    def _read(self) -> dict[str, float]:
        if self._group is not None:
            now = self._group.usage()
            return now | {"processes": float(len(self._group.pids()))} if now else {}
        idle = self._asking is None or not self._asking.is_alive()
        if idle and time.monotonic() - self._asked >= ENGINE_EVERY:
            self._asked = time.monotonic()
            self._asking = Thread(target=self._ask, name="engine stats", daemon=True)
            self._asking.start()
        return self._told

    def _ask(self) -> None:
        try:
            stats = self._engine.client.api.stats(self._container, stream=False, one_shot=True)
        except Exception:  # noqa: BLE001 - a container that is just coming back has nothing to tell
            self._told = {}
        else:
            self._told = told_by_engine(stats) if stats.get("memory_stats") else {}


def summed(usages: Mapping[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Add up the containers of each role."""
    return {
        role: {name: sum(one.get(name, 0.0) for one in each) for name in {n for one in each for n in one}}
        for role, each in usages.items()
    }
