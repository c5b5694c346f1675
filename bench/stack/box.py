"""The resource cap that holds all processes of a system: made, read back, measured, removed."""

import contextlib
import functools
import math
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.interrupt import uninterrupted
from bench.plan import Box
from bench.stack import scope
from bench.stack.cgroup_places import Places, make1, make2, places
from bench.stack.cgroups import Group, GroupError
from bench.stack.errors import StackError
from bench.stack.workspace import PREFIX, Workspace

BoxKind = Literal["cgroup2", "cgroup1", "systemd", "containers", "none"]
KINDS: tuple[BoxKind, ...] = ("cgroup2", "cgroup1", "systemd")
"""In the order in which they are tried."""
TRIAL_BOX = Box(cpus=0.5, memory=64 * 2**20)
"""What a kind must be able to hold before it counts as there."""


@dataclass(frozen=True)
class Caps:
    """What this machine lets us cap."""

    kind: BoxKind
    cpu: bool
    memory: bool
    why: str
    """One line: what was found, or what stood in the way."""


class BoxHandle:
    """An open box. Its processes enter it by `enter_prefix` and are killed when it closes."""

    def __init__(self, name: str, box: Box, kind: BoxKind, group: Group | None) -> None:
        self.name = name
        self.box = box
        self.kind = kind
        self.group = group
        self.cores = cores_for(box.cpus)

    def enter_prefix(self) -> list[str]:
        """Return words to put before a command so that it runs inside from its first instruction."""
        pin = ["taskset", "-c", ",".join(map(str, self.cores))] if self.cores else []
        return [*(self.group.enter_prefix() if self.group else []), *pin]

    def in_force(self) -> dict[str, Any]:
        """Read back what holds now.

        Keys: `cpus` (float or None), `cpus_by` (`quota`, `pinning` or None), `memory` (bytes or None),
        `swap_off` (whether memory can't be dodged by swapping), `kind`, `pinned` (cores, empty where not).
        """
        cpus, memory = self.group.in_force() if self.group else (None, None)
        swap_off = memory is not None and self.group is not None and (self.group.swap_off() or not has_swap())
        by: str | None = "quota" if cpus is not None else None
        if cpus is None and self.cores:
            # Whole cores are a cap too, and need no rights; all the machine's cores are none.
            pinned = len(self.cores) < (os.cpu_count() or 1) and float(self.box.cpus).is_integer()
            cpus, by = (float(len(self.cores)), "pinning") if pinned else (None, None)
        return {
            "cpus": cpus,
            "cpus_by": by,
            "memory": memory,
            "swap_off": swap_off,
            "kind": self.kind,
            "pinned": self.cores,
        }

    def usage(self) -> dict[str, float]:
        """Read the counters since the box was opened; only the keys that are known.

        `cpu` (s), `memory` (bytes now, without idle file cache), `throttled` (s), `periods`,
        `throttled_periods`, `oom_kills`.
        """
        return self.group.usage() if self.group else {}

    def oom_kills(self) -> int:
        """Read that counter alone; 0 where it is not known. Cheap."""
        return (self.group.oom_kills() or 0) if self.group else 0

    def pids(self) -> set[int]:
        """Return the processes inside; empty where there is no group to ask."""
        return self.group.pids() if self.group else set()

    def kill(self, patience: float = 5.0) -> None:
        """Kill everything inside and wait until it is gone."""
        deadline = time.monotonic() + patience
        while (pids := self.pids()) and time.monotonic() < deadline:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)


def cores_for(cpus: float) -> list[int]:
    """Choose the cores for a box; empty where processes can't be pinned.

    A quota of 2 on an 8-core machine is not 2 vCPU: eight threads may run at once and be stopped together.
    The last cores, because the first ones take most interrupts.
    """
    if not hasattr(os, "sched_getaffinity") or shutil.which("taskset") is None:
        return []
    return sorted(os.sched_getaffinity(0))[-math.ceil(cpus) :]


def has_swap() -> bool:
    """Whether the machine has swap space at all."""
    try:
        return len(Path("/proc/swaps").read_text().splitlines()) > 1
    except OSError:
        return True


@functools.cache
def detect_caps() -> Caps:
    """Find out by doing it: make a small box, read it back, run something inside, remove it.

    Asked once a process: the answer is a fact about the machine. Never raises.
    """
    if not sys.platform.startswith("linux"):
        return Caps("none", False, False, "control groups are a part of Linux only")
    reasons = []
    best: Caps | None = None
    for kind in KINDS:
        caps = _try_kind(kind)
        if caps.cpu and caps.memory:
            return caps
        if caps.cpu or caps.memory:
            best = best or caps
        reasons.append(f"{kind}: {caps.why}")
    return best or Caps("none", False, False, "; ".join(reasons))


def _try_kind(kind: BoxKind) -> Caps:
    name = f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}-check"
    group: Group | None = None
    try:
        with uninterrupted():
            group = _make(kind, name, TRIAL_BOX)
        cpus, memory = group.in_force()
        done = subprocess.run(
            [*group.enter_prefix(), "sleep", "0.01"], capture_output=True, text=True, timeout=10, check=False
        )
        if done.returncode != 0:
            return Caps(kind, False, False, f"nothing can be moved into one: {done.stderr.strip()[-120:]}")
        has = [word for word, value in (("CPU", cpus), ("memory", memory)) if value is not None]
        why = f"{' and '.join(has) or 'nothing'} can be capped in {group.folders[0].parent}"
        return Caps(kind, cpus is not None, memory is not None, why)
    except (GroupError, OSError, subprocess.SubprocessError) as error:
        return Caps(kind, False, False, str(error))
    finally:
        if group is not None:
            with uninterrupted():
                group.remove()


def _make(kind: BoxKind, name: str, box: Box) -> Group:
    """Make a limited group of this kind. Raises GroupError, with nothing left."""
    group: Group
    if kind == "systemd":
        return scope.make(name, box.cpus, box.memory)
    there = _places()
    group = make2(there, name) if kind == "cgroup2" else make1(there, name)
    try:
        group.limit(box.cpus, box.memory)
    except GroupError:
        group.remove()
        raise
    return group


def _places() -> Places:
    own = Path("/proc/self")
    return places((own / "mountinfo").read_text(), (own / "cgroup").read_text())


@contextlib.contextmanager
def open_box(name: str, box: Box, workspace: Workspace | None = None) -> Iterator[BoxHandle]:
    """Open a box of the best kind that this machine has, and close it with everything inside killed.

    With a workspace, its guard removes the box when this process is killed. Raises StackError when a kind
    that was there a moment ago refuses.
    """
    kind = detect_caps().kind
    mark = workspace.mark if workspace else f"{os.getpid()}-{secrets.token_hex(4)}"
    group: Group | None = None
    try:
        with uninterrupted():
            if kind != "none":
                group = _make(kind, f"{PREFIX}{mark}-{name}", box)
            if workspace and group:
                workspace.own_cgroups(group.folders)
    except GroupError as error:
        raise StackError(
            f"No box of {box.cpus:g} CPUs and {box.memory / 2**20:.0f} MiB can be made: {error}.",
            hint="`bench doctor` shows what can be capped here.",
        ) from None
    handle = BoxHandle(name, box, kind, group)
    try:
        yield handle
    finally:
        handle.kill()
        # What the kernel still holds is the workspace's to remove in the end, and to tell of.
        if group is not None and group.remove() and workspace:
            workspace.disown_cgroups(group.folders)
