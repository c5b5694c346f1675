"""The cap around a system's containers: one control group above them all where it can be made, else shares.

With a group above them containers use the box as processes do: whoever needs CPU or memory takes it. Without
(the engine's machine is another one, or systemd keeps its groups) each container gets a fixed share, so that
the shares of a system add up to the box.
"""

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.interrupt import uninterrupted
from bench.plan import Box
from bench.stack.box import cores_for, has_swap
from bench.stack.cgroup_places import make1, make2, places
from bench.stack.cgroups import CONTROLLERS, Group, GroupError
from bench.stack.containers.engine import Engine
from bench.stack.sweep import remove_cgroup
from bench.stack.workspace import PREFIX, Workspace

SERVICES_SHARE: Mapping[str, tuple[float, float]] = {
    "broker": (0.15, 0.20),
    "store": (0.10, 0.125),
    "web": (0.20, 0.175),
}
"""Shares of CPU and memory where the box has to be split; workers get the rest."""


@dataclass(frozen=True)
class Parent:
    """One control group above the containers of a system."""

    name: str
    """As the engine is told: the path from the root of every hierarchy."""
    group: Group
    folders: list[Path]
    """Everything to be removed in the end: version 1 has the group in hierarchies that cap nothing, too."""


class ContainerBox:
    """The box of one system or, for a queue, of the services that its systems share."""

    def __init__(self, box: Box, parent: Parent | None) -> None:
        self.box = box
        self.parent = parent
        self.cores = cores_for(box.cpus)

    def limits(self, services: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        """Return what the override file says of each service, given how many containers each has."""
        shares = dict.fromkeys(services, self.box) if self.parent else split(self.box, services)
        return {name: self._limit(share) for name, share in shares.items()}

    def in_force(self) -> dict[str, Any] | None:
        """Read the group above back, as `BoxHandle.in_force` does; None where there is none."""
        if self.parent is None:
            return None
        cpus, memory = self.parent.group.in_force()
        return {
            "cpus": cpus,
            "cpus_by": None if cpus is None else "quota",
            "memory": memory,
            "swap_off": memory is not None and (self.parent.group.swap_off() or not has_swap()),
            "kind": "one control group above the containers",
            "pinned": self.cores,
        }

    def _limit(self, share: Box) -> dict[str, Any]:
        said = limit(share)
        if self.cores:
            said["cpuset"] = ",".join(map(str, self.cores))
        if self.parent:
            said["cgroup_parent"] = self.parent.name
        return said


def limit(share: Box) -> dict[str, Any]:
    """What the override file says of a container's cap; with as much swap as memory, which is none."""
    return {
        "deploy": {"resources": {"limits": {"cpus": f"{share.cpus:.3f}", "memory": str(share.memory)}}},
        "memswap_limit": str(share.memory),
    }


def split(box: Box, services: Mapping[str, int]) -> dict[str, Box]:
    """Divide a box among services, given how many containers each has: the last one gets what is left.

    A system of one service gets all. Shares are of each container.
    """
    *others, last = services
    given = {name: SERVICES_SHARE[name.removeprefix("published-")] for name in others}
    rest = tuple(1 - sum(share[n] for share in given.values()) for n in (0, 1))
    each = {**given, last: (rest[0] / services[last], rest[1] / services[last])}
    return {name: Box(box.cpus * cpu, int(box.memory * memory)) for name, (cpu, memory) in each.items()}


@contextlib.contextmanager
def container_box(engine: Engine, box: Box, workspace: Workspace) -> Iterator[ContainerBox]:
    """Make the group above the containers, where that can be done, and remove it in the end.

    The containers must be gone by then.
    """
    name = f"{PREFIX}{workspace.mark}-{secrets.token_hex(2)}"
    parent: Parent | None = None
    with contextlib.suppress(GroupError), uninterrupted():
        parent = make_parent(engine, name, box)
        workspace.own_cgroups(parent.folders)
    try:
        yield ContainerBox(box, parent)
    finally:
        if parent is not None and remove(parent):
            workspace.disown_cgroups(parent.folders)


def make_parent(engine: Engine, name: str, box: Box) -> Parent:
    """Make and limit it. Raises GroupError, with nothing left, where it can't be made or would not hold."""
    if not engine.here:
        raise GroupError("the engine's machine is another one")
    if engine.cgroup_driver != "cgroupfs":
        raise GroupError(f"the engine leaves control groups to {engine.cgroup_driver}")
    mounts = Path("/proc/self/mountinfo").read_text()
    at_root = places(mounts, f"1:{','.join(CONTROLLERS)}:/\n0::/\n")
    group: Group = make2(at_root, name) if engine.cgroup_version == 2 else make1(at_root, name)
    parent = Parent(f"/{name}", group, [top / name for top in _hierarchies(mounts)])
    try:
        group.limit(box.cpus, box.memory)
        if None in group.in_force():
            raise GroupError("its limits do not hold")
    except GroupError:
        remove(parent)
        raise
    return parent


def remove(parent: Parent) -> bool:
    """Remove the group in every hierarchy; whether it is gone."""
    left = [folder for folder in parent.folders if not remove_cgroup(folder)]
    return not left


def _hierarchies(mountinfo: str) -> list[Path]:
    """Where every hierarchy of either version is mounted."""
    found = []
    for line in mountinfo.splitlines():
        mount, _, rest = line.partition(" - ")
        if rest.split(" ")[0] in ("cgroup", "cgroup2"):
            found.append(Path(mount.split()[4]))
    return found
