"""What the machine did during a trial: CPU, memory and throttling of the box and of each role, queue depth,
and the speed of the machine itself, sampled beside the load.

A probe is any function that returns `{subject: {metric: value}}`; the sampler calls each at its interval and
keeps the rows (see `bench.records.RESOURCES`). It knows nothing of stacks or generators: `bench.trial` hands
it the functions.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import psutil

Reading = Mapping[str, Mapping[str, float]]
Probe = Callable[[], Reading]

CANARY_SPINS = 120_000
"""Turns of the canary's fixed loop: some 3 ms of CPU on a 2020s core."""


class Sampler:
    """Calls probes on a thread of its own and keeps what they say. Use as a context manager.

    A probe that fails (a process that has just gone, a broker that restarts) leaves a gap, not an error: a
    trial whose system dies is the very thing to be recorded.
    """

    def __init__(self, probes: Iterable[tuple[Probe, float]]) -> None:
        """Take (probe, interval in seconds) pairs."""
        self._probes = list(probes)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="sampler", daemon=True)
        self.rows: list[dict[str, Any]] = []

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def _loop(self) -> None:
        due = [time.monotonic()] * len(self._probes)
        while not self._stop.wait(max(0.0, min(due) - time.monotonic())):
            now = time.monotonic()
            for n, (probe, interval) in enumerate(self._probes):
                if now < due[n]:
                    continue
                due[n] = max(due[n] + interval, now)
                self._take(probe)

    def _take(self, probe: Probe) -> None:
        began = time.time()
        try:
            reading = probe()
        except Exception:  # noqa: BLE001 - whatever a dying system throws is a gap in the curve, see above
            return
        t = (began + time.time()) / 2  # what was asked over a socket was seen somewhere between
        self.rows += [
            {"t": t, "subject": subject, "metric": metric, "value": float(value)}
            for subject, metrics in reading.items()
            for metric, value in metrics.items()
        ]


class ProcessTrees:
    """CPU seconds (cumulative), resident memory (bytes) and number of each role's processes and descendants.

    Looking for new descendants walks the whole process table, so it is done only every `refresh` seconds. CPU
    of a process that has gone stays counted, so that the sum never falls.
    """

    def __init__(self, roles: Callable[[], Iterable[tuple[str, int]]], refresh: float = 2.0) -> None:
        """Take a function that names the (role, pid) pairs of the moment."""
        self._roles = roles
        self._refresh = refresh
        self._looked = float("-inf")
        self._known: dict[psutil.Process, str] = {}
        self._cpu: dict[psutil.Process, tuple[str, float]] = {}
        self.gone: dict[int, float] = {}
        """When each process that ended was first missed, Unix time: a child's death shows nowhere else."""

    def __call__(self) -> Reading:
        """Sample now."""
        if time.monotonic() - self._looked >= self._refresh:
            self._look()
        memory: dict[str, float] = {}
        for process, role in list(self._known.items()):
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    memory[role] = memory.get(role, 0.0) + process.memory_info().rss
                self._cpu[process] = (role, times.user + times.system)
            except psutil.Error:
                del self._known[process]
                self.gone[process.pid] = time.time()
        cpu: dict[str, float] = {}
        for role, seconds in self._cpu.values():
            cpu[role] = cpu.get(role, 0.0) + seconds
        alive = Counter(self._known.values())
        return {
            role: {"cpu": cpu[role], "memory": memory.get(role, 0.0), "processes": alive[role]}
            for role in cpu
        }

    def _look(self) -> None:
        self._looked = time.monotonic()
        for role, pid in self._roles():
            try:
                root = psutil.Process(pid)
                for process in [root, *root.children(recursive=True)]:
                    self._known.setdefault(process, role)
            except psutil.Error:
                continue


def canary() -> Reading:
    """CPU seconds of a short fixed loop: the machine's own speed at this moment (design, traps)."""
    start = time.thread_time()
    total = 0
    for n in range(CANARY_SPINS):
        total += n
    return {"canary": {"loop": time.thread_time() - start}}
