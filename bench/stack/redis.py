"""A private Redis: found, started, made sure of."""

import contextlib
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

import redis

from bench.stack.errors import PortTaken, StackError, log_says
from bench.stack.installed import required
from bench.stack.ports import LOOPBACK, TAKEN, free_ports
from bench.stack.process import Command, Enterable, Process, ending
from bench.stack.workspace import Workspace

BOOT_LIMIT = 30.0
"""Seconds."""

TRY = ("", "-second-try", "-third-try")
"""What names of logs and folders end in, by attempt."""
CLAIM = "queuebench:claim"
"""Key that marks a database of somebody's own Redis as emptied and used by us."""

# Nothing that starts by itself in the middle of a trial: no snapshots, no rewrite of the log (a fork that
# doubles the memory). `clear` has the log rewritten when it is empty. The process title stays as it is: Redis
# would write it over the environment, by which a process is known as ours.
CONFIG = """\
bind {address}
port {port}
requirepass {password}
dir {folder}
daemonize no
set-proc-title no
logfile ""
loglevel notice
save ""
appendonly yes
appendfsync everysec
auto-aof-rewrite-percentage 0
maxmemory 0
maxmemory-policy noeviction
shutdown-on-sigterm nosave force now
"""


@dataclass(frozen=True)
class Store:
    """A running private Redis."""

    url: str
    port: int
    process: Process


def start(
    workspace: Workspace,
    logs: Path,
    *,
    box: Enterable | None = None,
    name: str = "store-1",
    extra_config: str = "",
) -> Store:
    """Start a server and wait until it answers PING; another try with another port on a clash.

    `extra_config`: more lines of redis.conf; the last word on a setting counts. Raises StackError.
    """
    server = required("Redis").path
    for attempt in range(len(TRY)):
        try:
            return _boot(server, workspace, logs, box, f"{name}{TRY[attempt]}", extra_config)
        except PortTaken:
            if attempt == len(TRY) - 1:
                raise
    raise AssertionError("unreachable")


def _boot(
    server: Path, workspace: Workspace, logs: Path, box: Enterable | None, name: str, extra_config: str
) -> Store:
    folder = workspace.folder / name
    password = secrets.token_hex(8)
    (port,) = free_ports(1)
    try:
        folder.mkdir(mode=0o700)
        config = folder / "redis.conf"
        lines = CONFIG.format(address=LOOPBACK, port=port, password=password, folder=folder)
        config.write_text(lines + extra_config)
    except OSError as error:
        raise StackError(f"Redis's folder {folder} can't be written: {error.strerror}.") from None
    process = workspace.spawn(
        Command(
            role="store",
            argv=(str(server), str(config)),
            log=logs / f"{name}.log",
            cwd=folder,
            box=box,
        )
    )
    store = Store(f"redis://:{password}@{LOOPBACK}:{port}/0", port, process)
    try:
        wait_ready(store)
    except BaseException:
        workspace.end([process])
        raise
    return store


def wait_ready(store: Store, limit: float = BOOT_LIMIT) -> None:
    """Wait until the server answers PING. Raises StackError with its log's tail, PortTaken on a clash."""
    log = store.process.command.log
    deadline = time.monotonic() + limit
    while True:
        code = store.process.poll()
        if code is not None:
            message = f"Redis did not start: it ended with {ending(code)}."
            if log_says(log, TAKEN):
                raise PortTaken(message, log=log, hint="Its port was taken meanwhile.")
            raise StackError(message, log=log, hint="`bench doctor` shows what is installed.")
        try:
            with connect(store.url) as client:
                client.ping()
                return
        except redis.RedisError:
            if time.monotonic() > deadline:
                raise StackError(f"Redis was not ready within {limit:.0f} s.", log=log) from None
        time.sleep(0.02)


def connect(url: str) -> redis.Redis:
    """Open a client that fails fast."""
    return redis.Redis.from_url(url, socket_timeout=10, socket_connect_timeout=2)


def check_answers(url: str) -> None:
    """Make sure that it serves. Raises StackError."""
    try:
        with connect(url) as client:
            client.ping()
    except redis.RedisError as error:
        raise StackError(f"Redis does not serve: {error}.") from None


def check_external(url: str, source: str) -> None:
    """Make sure that somebody's own Redis has a database free for us. Raises StackError.

    Trials empty the database between them, so it must hold nothing when we come.
    """
    try:
        with connect(url) as client:
            if client.dbsize() and not client.exists(CLAIM):
                raise StackError(
                    f"The Redis database of {source} is not empty.",
                    hint="Queuebench empties it between trials: name a free one, e.g. redis://host:6379/5.",
                )
    except (redis.RedisError, ValueError) as error:
        raise StackError(f"The Redis of {source} can't be used: {error}.") from None


def claim_external(url: str, source: str) -> None:
    """Check somebody's own Redis and mark the database as ours. Raises StackError."""
    check_external(url, source)
    with connect(url) as client:
        client.set(CLAIM, 1)


def clear(url: str, *, private: bool) -> None:
    """Empty this URL's database, and with a private server its append-only file too.

    Raises StackError; also where a database that is not private no longer bears our mark.
    """
    try:
        with connect(url) as client:
            if private:
                client.flushall()
                with contextlib.suppress(redis.ResponseError):  # one is under way already
                    client.bgrewriteaof()
                return
            if not client.exists(CLAIM):
                raise StackError(
                    "The Redis database that was ours is used by someone else now: nothing was deleted.",
                    hint="Name a database that nobody else uses.",
                )
            client.flushdb()
            client.set(CLAIM, 1)
    except redis.RedisError as error:
        raise StackError(f"Redis did not clear what the last trial left: {error}.") from None


def release_external(url: str) -> None:
    """Empty a database that is ours, our mark included; silent when it can't be reached any more."""
    with contextlib.suppress(redis.RedisError), connect(url) as client:
        if client.exists(CLAIM):
            client.flushdb()
