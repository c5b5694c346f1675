"""A box by the user's own systemd, for users who may not make control groups themselves.

A slice carries the limits; each process enters it by `systemd-run --user --scope`, which becomes the
command, so that its pid is the command's. Everything goes through systemctl rather than D-Bus, because it
also reaches the manager of a session that has no bus.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.stack.cgroups import Cgroup2, GroupError
from bench.stack.sweep import members

ROOT = Path("/sys/fs/cgroup")
TIMEOUT = 10
"""Seconds for one call; a session without a manager answers at once."""


@dataclass(frozen=True)
class Scope:
    """A slice of the user's manager; its counters are a version-2 group's."""

    slice: str
    group: Cgroup2

    @property
    def folders(self) -> list[Path]:
        """See Group."""
        return self.group.folders

    def limit(self, cpus: float, memory: int) -> None:
        """See Group."""
        set_limits(self.slice, cpus, memory)

    def in_force(self) -> tuple[float | None, int | None]:
        """See Group: read from the kernel, not from systemd, which accepts what it can't do."""
        return self.group.in_force()

    def swap_off(self) -> bool:
        """See Group."""
        return self.group.swap_off()

    def usage(self) -> dict[str, float]:
        """See Group."""
        return self.group.usage()

    def oom_kills(self) -> int | None:
        """See Group."""
        return self.group.oom_kills()

    def enter_prefix(self) -> list[str]:
        """See Group."""
        return ["systemd-run", "--user", "--scope", "--quiet", "--collect", f"--slice={self.slice}", "--"]

    def pids(self) -> set[int]:
        """See Group: each process has a scope of its own below the slice."""
        return members(self.folders)

    def remove(self) -> bool:
        """See Group."""
        forget(self.slice)
        return not self.group.folder.exists()


def make(name: str, cpus: float, memory: int) -> Scope:
    """Make a slice with these limits. Raises GroupError, with nothing left."""
    if shutil.which("systemd-run") is None:
        raise GroupError("no systemd")
    # A dash in a slice's name would mean a tree of slices.
    unit = f"{name.replace('-', '_')}.slice"
    try:
        set_limits(unit, cpus, memory)
        manage("start", unit)
        folder = ROOT / manage("show", "--value", "--property=ControlGroup", unit).strip().lstrip("/")
        if folder == ROOT or not (folder / "cgroup.procs").exists():
            raise GroupError(f"systemd made {unit} without a group of version 2")
    except GroupError:
        forget(unit)
        raise
    return Scope(unit, Cgroup2(folder))


def set_limits(unit: str, cpus: float, memory: int) -> None:
    """Set all three limits of a slice at once, until it is forgotten. Raises GroupError."""
    limits = (f"CPUQuota={100 * cpus:g}%", f"MemoryMax={memory}", "MemorySwapMax=0")
    manage("set-property", "--runtime", unit, *limits)


def forget(unit: str) -> None:
    """Stop a slice and take its limits back; silent where there is nothing to forget."""
    for verb in ("stop", "revert"):
        try:
            manage(verb, unit)
        except GroupError:
            continue


def manage(*words: str) -> str:
    """Tell the user's manager and return what it answers. Raises GroupError with its own words."""
    try:
        done = subprocess.run(
            ["systemctl", "--user", *words], capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GroupError(f"systemctl: {error}") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        # The last line holds the reason; what follows in brackets is advice for administrators.
        raise GroupError(said[-1].split(" (")[0] if said else f"systemctl: exit code {done.returncode}")
    return done.stdout
