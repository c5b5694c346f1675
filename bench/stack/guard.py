"""Outlives a harness that is killed outright, and cleans up after it.

`python -m bench.stack.guard MARK FOLDER` reads from its standard input what the workspace starts and makes,
one thing a line: `group PGID`, `cgroup PATH`, `project NAME` (of Compose). The pipe breaks when the harness
dies, however it dies, and the guard then ends and removes all of it. A workspace that closed in good order
says `done` first.

Why not the kernel's parent-death signal: it fires when the *thread* that forked ends, is lost by children of
children, does not exist on macOS, and leaves folders and cgroups behind.
"""

import contextlib
import os
import signal
import sys
from pathlib import Path

from bench.stack.errors import StackError
from bench.stack.sweep import sweep


def main(mark: str, folder: Path) -> None:
    """Read until the pipe breaks, then sweep."""
    # Ctrl-C and SIGTERM are for the harness. What it does about them ends this process too.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.chdir("/")
    groups: set[int] = set()
    cgroups: list[Path] = []
    projects: list[str] = []
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        match word:
            case "group":
                groups.add(int(rest))
            case "gone":
                groups.discard(int(rest))
            case "cgroup":
                cgroups.append(Path(rest))
            case "project":
                projects.append(rest)
            case "done":
                return
    # Containers first: the engine would start those again whose processes a sweep of cgroups kills.
    _remove(projects)
    sweep(mark, groups, cgroups, folder)


def _remove(projects: list[str]) -> None:
    if projects:
        from bench.stack.containers.engine import find_engine
        from bench.stack.containers.project import remove_project

        with contextlib.suppress(StackError):
            client = find_engine().client
            for name in projects:
                remove_project(client, name)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
