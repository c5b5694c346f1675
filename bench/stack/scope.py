"""A box by the user's own systemd, for users who may not make control groups themselves.

A transient slice carries the limits; each process enters it by `systemd-run --user --scope`, which becomes
the command, so that its pid is the command's.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.stack.cgroups import Cgroup2, GroupError, read

MANAGER = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
MICRO = 1_000_000
TIMEOUT = 10
"""Seconds for one call; a session without a manager answers at once."""


@dataclass(frozen=True)
class Scope:
    """A transient slice; its counters are a version-2 group's."""

    slice: str
    group: Cgroup2

    @property
    def folders(self) -> list[Path]:
        """See Group."""
        return self.group.folders

    def limit(self, cpus: float, memory: int) -> None:
        """See Group."""
        call("SetUnitProperties", "sba(sv)", self.slice, "true", *properties(cpus, memory))

    def in_force(self) -> tuple[float | None, int | None]:
        """See Group: read from the kernel, not from systemd, which accepts what it can't do."""
        return self.group.in_force()

    def swap_off(self) -> bool:
        """See Group."""
        return self.group.swap_off()

    def usage(self) -> dict[str, float]:
        """See Group."""
        return self.group.usage()

    def enter_prefix(self) -> list[str]:
        """See Group."""
        return ["systemd-run", "--user", "--scope", "--quiet", "--collect", f"--slice={self.slice}", "--"]

    def pids(self) -> set[int]:
        """See Group: each process has a scope of its own below the slice."""
        pids: set[int] = set()
        for file in self.group.folder.rglob("cgroup.procs"):
            pids |= {int(word) for word in read(file).split()}
        return pids

    def remove(self) -> bool:
        """See Group."""
        subprocess.run(
            ["systemctl", "--user", "stop", self.slice], capture_output=True, timeout=TIMEOUT, check=False
        )
        return not self.group.folder.exists()


def properties(cpus: float, memory: int) -> list[str]:
    """Return the limits as busctl takes them: the number of properties, then name, type and value of each."""
    quota = str(round(cpus * MICRO))
    limits = [("CPUQuotaPerSecUSec", quota), ("MemoryMax", str(memory)), ("MemorySwapMax", "0")]
    return [str(len(limits)), *(word for name, value in limits for word in (name, "t", value))]


def make(name: str, cpus: float, memory: int) -> Scope:
    """Make a slice with these limits. Raises GroupError."""
    if shutil.which("systemd-run") is None or shutil.which("busctl") is None:
        raise GroupError("no systemd")
    # A dash in a slice's name would mean a tree of slices.
    unit = f"{name.replace('-', '_')}.slice"
    call("StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "replace", *properties(cpus, memory), "0")
    told = run(["systemctl", "--user", "show", "--value", "--property=ControlGroup", unit])
    folder = Path("/sys/fs/cgroup") / told.strip().lstrip("/")
    if not told.strip() or not (folder / "cgroup.procs").exists():
        raise GroupError(f"systemd made {unit} without a version-2 group")
    return Scope(unit, Cgroup2(folder))


def call(method: str, signature: str, *words: str) -> str:
    """Call the user's manager over D-Bus. Raises GroupError."""
    return run(["busctl", "--user", "call", *MANAGER, method, signature, *words])


def run(argv: list[str]) -> str:
    """Run a short command and return what it says. Raises GroupError with its own words."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GroupError(f"{argv[0]}: {error}") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise GroupError(said[-1] if said else f"{argv[0]}: exit code {done.returncode}")
    return done.stdout
