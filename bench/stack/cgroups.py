"""Control groups of Linux, version 1 and 2: what one caps, and what it has used. Only files."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from bench.stack.sweep import members, remove_cgroup

PERIOD = 100_000
"""Microseconds: the kernel's default for a CPU quota. A box of 1.5 CPUs may run 150 ms in each 100 ms."""
UNLIMITED = 2**60
"""Version 1 says 'no limit' with a huge figure."""

Controller = Literal["cpu", "cpuacct", "memory"]
CONTROLLERS: tuple[Controller, ...] = ("cpu", "cpuacct", "memory")


class GroupError(Exception):
    """No group can be made here; the message says why, in a few words."""


class Group(Protocol):
    """What a box stands on."""

    @property
    def folders(self) -> list[Path]:
        """The group's folders under /sys/fs/cgroup, to be removed in the end."""

    def limit(self, cpus: float, memory: int) -> None:
        """Write both limits where there are controllers for them. Raises GroupError."""

    def in_force(self) -> tuple[float | None, int | None]:
        """Return CPUs and bytes as the kernel has them now; None is no limit."""

    def swap_off(self) -> bool:
        """Whether the memory limit can't be dodged by swapping."""

    def usage(self) -> dict[str, float]:
        """Return the counters that are known, by the names of `BoxHandle.usage`."""

    def oom_kills(self) -> int | None:
        """Return only that counter: it is read many times a second."""

    def enter_prefix(self) -> list[str]:
        """Words that put the command after them into the group."""

    def pids(self) -> set[int]:
        """Return the processes inside."""

    def remove(self) -> bool:
        """Remove the group, which must be empty; whether it is gone."""


ENTER = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 126; shift; done; shift; exec "$@"'
"""A shell that moves itself and then becomes the command: nothing of the command runs outside the box."""


def enter(folders: list[Path]) -> list[str]:
    """Return words that put the command after them into all of these groups."""
    return ["/bin/sh", "-c", ENTER, "box", *(str(folder / "cgroup.procs") for folder in folders), "--"]


@dataclass(frozen=True)
class Cgroup1:
    """A group of version 1: one folder for each controller's hierarchy."""

    by: Mapping[Controller, Path]

    @property
    def folders(self) -> list[Path]:
        """See Group."""
        return list(dict.fromkeys(self.by.values()))

    def limit(self, cpus: float, memory: int) -> None:
        """See Group. Swap counts too where the kernel keeps account of it."""
        if cpu := self.by.get("cpu"):
            write(cpu / "cpu.cfs_period_us", PERIOD)
            write(cpu / "cpu.cfs_quota_us", round(cpus * PERIOD))
        if held := self.by.get("memory"):
            with_swap = held / "memory.memsw.limit_in_bytes"
            current = read_int(held / "memory.limit_in_bytes") or 0
            steps = [held / "memory.limit_in_bytes", *([with_swap] if with_swap.exists() else [])]
            # Memory with swap may never be under memory alone: grow from the outside, shrink from the inside.
            for step in reversed(steps) if memory > current else steps:
                write(step, memory)

    def in_force(self) -> tuple[float | None, int | None]:
        """See Group."""
        cpus = memory = None
        if cpu := self.by.get("cpu"):
            quota, period = read_int(cpu / "cpu.cfs_quota_us"), read_int(cpu / "cpu.cfs_period_us")
            cpus = quota / period if quota and period and quota > 0 else None
        if held := self.by.get("memory"):
            limit = read_int(held / "memory.limit_in_bytes")
            memory = limit if limit is not None and limit < UNLIMITED else None
        return cpus, memory

    def swap_off(self) -> bool:
        """See Group."""
        held = self.by.get("memory")
        both = read_int(held / "memory.memsw.limit_in_bytes") if held else None
        return held is not None and both is not None and both == read_int(held / "memory.limit_in_bytes")

    def usage(self) -> dict[str, float]:
        """See Group."""
        found: dict[str, float | None] = {}
        if cpu := self.by.get("cpu"):
            stat = read_table(cpu / "cpu.stat")
            found["periods"] = stat.get("nr_periods")
            found["throttled_periods"] = stat.get("nr_throttled")
            found["throttled"] = scaled(stat.get("throttled_time"), 1e-9)
        if accounts := self.by.get("cpuacct"):
            found["cpu"] = scaled(read_int(accounts / "cpuacct.usage"), 1e-9)
        if held := self.by.get("memory"):
            total = read_int(held / "memory.usage_in_bytes")
            idle_cache = read_table(held / "memory.stat").get("total_inactive_file", 0)
            found["memory"] = max(0, total - idle_cache) if total is not None else None
            found["oom_kills"] = self.oom_kills()
        return {name: float(value) for name, value in found.items() if value is not None}

    def oom_kills(self) -> int | None:
        """See Group."""
        held = self.by.get("memory")
        return read_table(held / "memory.oom_control").get("oom_kill") if held else None

    def enter_prefix(self) -> list[str]:
        """See Group."""
        return enter(self.folders)

    def pids(self) -> set[int]:
        """See Group."""
        return members(self.folders)

    def remove(self) -> bool:
        """See Group."""
        left = [folder for folder in self.folders if not remove_cgroup(folder)]
        return not left


@dataclass(frozen=True)
class Cgroup2:
    """A group of version 2: one folder with all controllers."""

    folder: Path

    @property
    def folders(self) -> list[Path]:
        """See Group."""
        return [self.folder]

    def limit(self, cpus: float, memory: int) -> None:
        """See Group."""
        if (self.folder / "cpu.max").exists():
            write(self.folder / "cpu.max", f"{round(cpus * PERIOD)} {PERIOD}")
        if (self.folder / "memory.max").exists():
            write(self.folder / "memory.max", memory)
            if (self.folder / "memory.swap.max").exists():
                write(self.folder / "memory.swap.max", 0)

    def in_force(self) -> tuple[float | None, int | None]:
        """See Group."""
        quota, _, period = read(self.folder / "cpu.max").partition(" ")
        cpus = int(quota) / int(period) if quota.isdigit() and period.isdigit() else None
        return cpus, read_int(self.folder / "memory.max")

    def swap_off(self) -> bool:
        """See Group."""
        return read_int(self.folder / "memory.swap.max") == 0

    def usage(self) -> dict[str, float]:
        """See Group."""
        stat = read_table(self.folder / "cpu.stat")
        total = read_int(self.folder / "memory.current")
        idle_cache = read_table(self.folder / "memory.stat").get("inactive_file", 0)
        found = {
            "cpu": scaled(stat.get("usage_usec"), 1e-6),
            "periods": stat.get("nr_periods"),
            "throttled_periods": stat.get("nr_throttled"),
            "throttled": scaled(stat.get("throttled_usec"), 1e-6),
            "memory": max(0, total - idle_cache) if total is not None else None,
            "oom_kills": self.oom_kills(),
        }
        return {name: float(value) for name, value in found.items() if value is not None}

    def oom_kills(self) -> int | None:
        """See Group."""
        return read_table(self.folder / "memory.events").get("oom_kill")

    def enter_prefix(self) -> list[str]:
        """See Group."""
        return enter([self.folder])

    def pids(self) -> set[int]:
        """See Group."""
        return members([self.folder])

    def remove(self) -> bool:
        """See Group."""
        return remove_cgroup(self.folder)


# --- files ---


def read(file: Path) -> str:
    """Return a file's text without the newline; empty when it can't be read."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def read_int(file: Path) -> int | None:
    """Return a file's whole number, None when it holds none (as `max`)."""
    text = read(file)
    return int(text) if re.fullmatch(r"-?\d+", text) else None


def read_table(file: Path) -> dict[str, int]:
    """Return `name number` lines as a mapping."""
    return {name: int(value) for name, value in _pairs(read(file)) if value.isdigit()}


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        yield name, value


def write(file: Path, value: object) -> None:
    """Write a value. Raises GroupError."""
    try:
        file.write_text(str(value))
    except OSError as error:
        raise GroupError(f"{file}: {error.strerror}") from None


def scaled(value: int | None, factor: float) -> float | None:
    """Multiply what is known."""
    return None if value is None else value * factor
