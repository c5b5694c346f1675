"""The system's programs that the stack starts: where packages put them, and which version is there."""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.stack.errors import StackError

BROKER_VARIABLE = "QUEUEBENCH_BROKER_URL"
STORE_VARIABLE = "QUEUEBENCH_STORE_URL"

FOLDERS = "/usr/bin:/usr/sbin:/usr/local/bin:/usr/local/sbin:/opt/homebrew/bin:/home/linuxbrew/.linuxbrew/bin"
"""Looked through after PATH: an ordinary user's does not hold /usr/sbin."""

# The real script: the one in /usr/sbin on Debian changes to the user `rabbitmq` and to that user's folder.
RABBITMQ = (
    "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server",
    "/opt/homebrew/opt/rabbitmq/sbin/rabbitmq-server",
    "/usr/local/opt/rabbitmq/sbin/rabbitmq-server",
    "/home/linuxbrew/.linuxbrew/opt/rabbitmq/sbin/rabbitmq-server",
    "/opt/rabbitmq*/sbin/rabbitmq-server",
)
EPMD = (
    "/usr/lib/erlang/bin/epmd",
    "/usr/lib/erlang/erts-*/bin/epmd",
    "/usr/lib64/erlang/erts-*/bin/epmd",
    "/opt/homebrew/opt/erlang*/lib/erlang/bin/epmd",
    "/usr/local/opt/erlang*/lib/erlang/bin/epmd",
    "/usr/local/lib/erlang/bin/epmd",
)


@dataclass(frozen=True)
class Installation:
    """A program that is there."""

    path: Path
    version: tuple[int, ...]
    """Empty where it can't be told."""


@dataclass(frozen=True)
class Program:
    """A program that is needed."""

    name: str
    package: str
    """Its package in Debian and Ubuntu; Homebrew's has no `-server` in its name."""
    minimum: tuple[int, ...]
    find: Callable[[], Installation | None]
    elsewhere: str = ""
    """Environment variable that can name a running one instead."""


def find_rabbitmq() -> Installation | None:
    """Look for RabbitMQ where packages put it, then along PATH; it is of no use without Erlang's epmd."""
    server = _first(RABBITMQ) or _on_path("rabbitmq-server")
    if server is None or find_epmd() is None:
        return None
    # Read off the installation's own files: asking the program takes seconds.
    home = server.resolve().parent.parent
    for path in (*home.glob("plugins/rabbit-[0-9]*"), home):
        if version := _version(r"(\d+)\.(\d+)\.(\d+)", path.name):
            return Installation(server, version)
    return Installation(server, ())


def find_epmd() -> Path | None:
    """Look for Erlang's port mapper."""
    return _on_path("epmd") or _first(EPMD)


def find_redis() -> Installation | None:
    """Look for redis-server."""
    return _asked("redis-server", "--version", r"v=(\d+)\.(\d+)\.(\d+)")


def find_nginx() -> Installation | None:
    """Look for nginx."""
    return _asked("nginx", "-v", r"nginx/(\d+)\.(\d+)\.(\d+)")


PROGRAMS = {
    program.name: program
    for program in (
        Program("RabbitMQ", "rabbitmq-server", (3, 10), find_rabbitmq, BROKER_VARIABLE),
        Program("Redis", "redis-server", (7, 0), find_redis, STORE_VARIABLE),
        Program("nginx", "nginx", (1, 18), find_nginx),
    )
}


def required(name: str) -> Installation:
    """Return where one of PROGRAMS is. Raises StackError where it is missing or too old."""
    program = PROGRAMS[name]
    found = program.find()
    if found is not None and (not found.version or found.version >= program.minimum):
        return found
    fault = f"{dotted(found.version)} is too old" if found else "is not installed"
    raise StackError(
        f"{name} {fault}: {dotted(program.minimum)} or later is needed.",
        hint="`bench doctor` says how to get it.",
    )


def dotted(version: tuple[int, ...]) -> str:
    """Write a version as people do."""
    return ".".join(map(str, version))


def _first(patterns: tuple[str, ...]) -> Path | None:
    """Return the first that is there, of several by one pattern the last."""
    for pattern in patterns:
        for path in sorted(Path("/").glob(pattern.removeprefix("/")), reverse=True):
            if path.exists():
                return path
    return None


def _on_path(name: str) -> Path | None:
    found = shutil.which(name) or shutil.which(name, path=FOLDERS)
    return Path(found) if found else None


def _asked(name: str, option: str, pattern: str) -> Installation | None:
    """Find a program and ask it for its version."""
    path = _on_path(name)
    if path is None:
        return None
    try:
        told = subprocess.run([path, option], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Installation(path, _version(pattern, told.stdout + told.stderr))


def _version(pattern: str, text: str) -> tuple[int, ...]:
    found = re.search(pattern, text)
    return tuple(int(number) for number in found.groups()) if found else ()
