"""Where a control group can be made, and making one there.

The texts of `/proc` are arguments, so that tests can hand in a machine of their own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.stack.cgroups import CONTROLLERS, Cgroup1, Cgroup2, Controller, GroupError, read, write


@dataclass(frozen=True)
class Places:
    """Where this process stands in each hierarchy, as folders, nearest first, up to the root of the mount."""

    v1: Mapping[Controller, list[Path]]
    v2: list[Path]


def places(mountinfo: str, own: str) -> Places:
    """Work out the folders from the texts of `/proc/self/mountinfo` and `/proc/self/cgroup`."""
    paths: dict[str, str] = {}
    for line in own.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    v1: dict[Controller, list[Path]] = {}
    v2: list[Path] = []
    for line in mountinfo.splitlines():
        mount, _, rest = line.partition(" - ")
        root, point = mount.split()[3:5]
        kind, _, options = rest.partition(" ")
        if kind == "cgroup2":
            v2 = _upwards(point, root, paths.get("", "/"))
        elif kind == "cgroup":
            present = set(options.split()[-1].split(","))
            for controller in CONTROLLERS:
                if controller in present and controller in paths:
                    v1[controller] = _upwards(point, root, paths[controller])
    return Places(v1, v2)


def _upwards(point: str, root: str, path: str) -> list[Path]:
    """Return the folder of a group and those above it. In a container the mount may show only a part."""
    top = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), point))
    if root != "/" and (path + "/").startswith(root + "/"):
        path = path[len(root) :]
    inner = top / path.strip("/") if ".." not in path.split("/") else top
    if inner == top:
        return [top]
    return [inner, *(parent for parent in inner.parents if parent.is_relative_to(top))]


def make1(there: Places, name: str) -> Cgroup1:
    """Make a group in as many hierarchies of version 1 as can be written. Raises GroupError."""
    by: dict[Controller, Path] = {}
    reasons = []
    for controller, folders in there.v1.items():
        for parent in folders:
            folder = parent / name
            try:
                if folder not in by.values():  # two controllers may share a hierarchy
                    folder.mkdir()
            except OSError as error:
                reasons.append(f"{parent}: {error.strerror}")
            else:
                by[controller] = folder
                break
    if not by.keys() & {"cpu", "memory"}:
        raise GroupError(reasons[0] if reasons else "not mounted with the cpu or memory controller")
    return Cgroup1(by)


def make2(there: Places, name: str) -> Cgroup2:
    """Make a group of version 2 with both controllers, or else with one. Raises GroupError."""
    reasons = []
    for wanted in ({"cpu", "memory"}, {"memory"}, {"cpu"}):
        for parent in there.v2:
            try:
                return Cgroup2(_make2_under(parent, name, wanted))
            except GroupError as error:
                reasons.append(str(error))
    raise GroupError(reasons[0] if reasons else "not mounted")


def _make2_under(parent: Path, name: str, wanted: set[str]) -> Path:
    if not wanted <= set(read(parent / "cgroup.controllers").split()):
        raise GroupError(f"{parent} has no {' and '.join(sorted(wanted))} controller")
    lacking = wanted - set(read(parent / "cgroup.subtree_control").split())
    if lacking:
        # Left on afterwards: harmless, and switching it off could lift another harness's cap.
        write(parent / "cgroup.subtree_control", " ".join(f"+{controller}" for controller in sorted(lacking)))
    folder = parent / name
    try:
        folder.mkdir()
    except OSError as error:
        raise GroupError(f"{folder.parent}: {error.strerror}") from None
    return folder
