"""Which runtime a run uses, and why: processes of this machine (`local`) or containers (`docker`)."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from bench.environment import usable_cores
from bench.spec import SpecError
from bench.stack.box import Caps, detect_caps
from bench.stack.errors import StackError
from bench.stack.installed import PROGRAMS
from bench.stack.local import Local
from bench.stack.runtime import Runtime, RuntimeName
from bench.stack.services import Services

Wanted = Literal["local", "docker", "auto"]


@dataclass(frozen=True)
class Chosen:
    """A runtime that can be opened here."""

    name: RuntimeName
    why: str
    """One line, for who left the choice to us; empty where it was asked for."""
    caps: Caps
    """What it caps, as far as is known before it is opened."""
    cores: int
    """Of the machine that the systems run on."""
    memory: int
    """Bytes of that machine."""


def wanted(text: str) -> Wanted:
    """Read what `--runtime` says. Raises SpecError."""
    known: dict[str, Wanted] = {"local": "local", "docker": "docker", "auto": "auto"}
    if text not in known:
        raise SpecError(f"--runtime {text}: write local, docker or auto")
    return known[text]


def choose(asked: Wanted, *, apart: bool = False) -> Chosen:
    """Decide. `auto` prefers processes, which cost nothing. `apart`: each worker has a box of its own.

    Raises SpecError where that can't be, StackError where docker can't be had.
    """
    if apart and asked == "local":
        raise SpecError("worker_box: workers have boxes of their own in containers only: --runtime docker")
    if apart:
        return _docker("each worker has a box of its own" if asked == "auto" else "")
    if asked == "local":
        return _local("")
    if asked == "docker":
        return _docker("")
    lacking = [program.name for program in PROGRAMS.values() if program.find() is None]
    caps = detect_caps()
    if not lacking and caps.cpu and caps.memory:
        return _local("all programs are installed, and this machine caps CPU and memory")
    without = f"{', '.join(lacking)} missing" if lacking else f"no cap of its own ({caps.why})"
    try:
        return _docker(f"this machine has {without}, and an engine answers")
    except StackError as error:
        return _local(f"there is {without}, but no containers either: {error.what.rstrip('.')}")


def _local(why: str) -> Chosen:
    return Chosen("local", why, detect_caps(), usable_cores(), psutil.virtual_memory().total)


def _docker(why: str) -> Chosen:
    # The engine's library takes a third of a second to import: only where containers are meant.
    from bench.stack.containers.engine import find_engine

    engine = find_engine()
    engine.close()
    return Chosen(
        "docker", why, Caps("containers", True, True, "each container"), engine.cores, engine.memory
    )


def opened(name: RuntimeName, folder: Path, say: Callable[[str], None]) -> AbstractContextManager[Runtime]:
    """Open a runtime: a context manager. Logs go to `folder/logs`; `say` is told what takes long."""
    if name == "local":
        return _opened_local(folder)
    from bench.stack.containers.runtime import Containers

    return Containers(folder, say)


@contextmanager
def _opened_local(folder: Path) -> Iterator[Runtime]:
    with Services(folder) as services:
        yield Local(services)
