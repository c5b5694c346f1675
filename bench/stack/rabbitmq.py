"""A private RabbitMQ node: found, started, made sure of, with nothing of the system's own service touched."""

import contextlib
import logging
import re
import secrets
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pika

from bench.stack.errors import TAIL_LINES, PortTaken, StackError, log_says, tail
from bench.stack.installed import find_epmd, required
from bench.stack.ports import LOOPBACK, TAKEN, free_ports
from bench.stack.process import Command, Enterable, Process, ending
from bench.stack.workspace import Workspace

MIB = 2**20
BOOT_LIMIT = 90.0
"""Seconds. Booting is bound by the processor: 5 to 10 s on an idle core, far more in a small or busy box."""

TRY = ("", "-second-try", "-third-try")
"""What names of logs and folders end in, by attempt."""

# One scheduler, no busy-waiting, small tables: 110 MB become 96, and an idle node uses no CPU of its box.
# `-start_epmd false`: Erlang would otherwise start one as a daemon that outlives us.
# The distribution listens on the loopback interface only, as everything here does.
ERLANG = (
    "+sbwt none +sbwtdcpu none +sbwtdio none +SDio 1 +P 65536 +Q 4096 +S 1:1 +A 4 "
    "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}"
)

# Quorum queues hold in memory what their write-ahead log holds: 512 MB by default, a quarter of a whole box.
CONFIG = """\
listeners.tcp.1 = {address}:{port}
default_user = queuebench
default_pass = {password}
log.file = false
log.console = true
log.console.level = warning
log.console.use_colors = off
vm_memory_high_watermark.absolute = {watermark}
disk_free_limit.absolute = 50MB
consumer_timeout = {consumer_timeout}
raft.wal_max_size_bytes = 64000000
"""

TIMESTAMP = re.compile(r"^[-0-9]+ [:.0-9]+[+-]\d\d:\d\d \[\w+\] <[\d.]+> ?")

HINTS = (
    (("enospc", "no space left"), "The disk is full: free some space."),
    (("eacces", "permission denied"), "It may not write to its folder, or read its own program files."),
    (("nxdomain", "unable to resolve"), "The name `localhost` must resolve to 127.0.0.1: see /etc/hosts."),
    (("erl: not found", "erl: command not found"), "Erlang is missing: `bench doctor` says what to install."),
    (("cannot allocate memory", "eheap_alloc"), "There was not enough memory: give the box more."),
    (
        ("config", "conf_invalid", "cuttlefish"),
        "It did not accept its configuration; `bench doctor` shows the version.",
    ),
)


@dataclass(frozen=True)
class Broker:
    """A running private node."""

    url: str
    port: int
    processes: tuple[Process, ...]
    """The node itself first, then its epmd."""


def start(
    workspace: Workspace,
    logs: Path,
    *,
    box: Enterable | None = None,
    memory: int | None = None,
    consumer_timeout: float = 86_400.0,
    name: str = "broker-1",
    channel_tick: float | None = None,
    extra_config: str = "",
) -> Broker:
    """Boot a node and wait until it answers AMQP; another try with other ports when one was snatched away.

    `memory` is the box's, in bytes: RabbitMQ would read the host's. `consumer_timeout` in seconds is
    RabbitMQ's limit for an unacknowledged delivery, which it looks at every `channel_tick` seconds (60 unless
    told otherwise). Raises StackError.
    """
    server, epmd = required("RabbitMQ").path, find_epmd()
    assert epmd is not None, "RabbitMQ is not found without it"
    for attempt in range(len(TRY)):
        try:
            return _boot(
                (server, epmd),
                workspace,
                logs,
                box=box,
                memory=memory,
                consumer_timeout=consumer_timeout,
                channel_tick=channel_tick,
                name=f"{name}{TRY[attempt]}",
                extra_config=extra_config,
            )
        except PortTaken:
            if attempt == len(TRY) - 1:
                raise
    raise AssertionError("unreachable")


def _boot(
    programs: tuple[Path, Path],
    workspace: Workspace,
    logs: Path,
    *,
    box: Enterable | None,
    memory: int | None,
    consumer_timeout: float,
    channel_tick: float | None,
    name: str,
    extra_config: str,
) -> Broker:
    server, epmd_program = programs
    home = workspace.folder / name
    password = secrets.token_hex(8)
    port, dist_port, epmd_port = free_ports(3)
    config = CONFIG.format(
        address=LOOPBACK,
        port=port,
        password=password,
        watermark=max(160 * MIB, int(0.4 * (memory or 2048 * MIB))),
        consumer_timeout=int(consumer_timeout * 1000),
    )
    try:
        _write_home(home, config + extra_config)
    except OSError as error:
        raise StackError(
            f"RabbitMQ's folder can't be written: {error.strerror} ({error.filename})."
        ) from None
    epmd_env = {"ERL_EPMD_PORT": str(epmd_port), "ERL_EPMD_ADDRESS": LOOPBACK}
    drop = ("RABBITMQ_", "ERL_", "NOTIFY_SOCKET")
    epmd = workspace.spawn(
        Command(
            role="epmd",
            argv=(str(epmd_program), "-port", str(epmd_port), "-address", LOOPBACK),
            log=logs / f"{name.replace('broker', 'epmd')}.log",
            env=epmd_env,
            drop_env=drop,
            cwd=home,
            box=box,
        )
    )
    node = workspace.spawn(
        Command(
            role="broker",
            argv=(str(server),),
            log=logs / f"{name}.log",
            env={**epmd_env, **_environment(home, port, dist_port, channel_tick)},
            drop_env=drop,
            cwd=home,
            box=box,
        )
    )
    broker = Broker(f"amqp://queuebench:{password}@{LOOPBACK}:{port}/%2F", port, (node, epmd))
    try:
        wait_ready(broker)
    except BaseException:
        workspace.end(broker.processes)
        raise
    return broker


def _write_home(home: Path, config: str) -> None:
    home.mkdir(mode=0o700)
    for folder in ("mnesia", "log", "generated"):
        (home / folder).mkdir()
    (home / "rabbitmq.conf").write_text(config)
    (home / "enabled_plugins").write_text("[].\n")
    (home / "rabbitmq-env.conf").touch()
    cookie = home / ".erlang.cookie"
    cookie.write_text(secrets.token_hex(16))
    cookie.chmod(0o400)


def _environment(home: Path, port: int, dist_port: int, channel_tick: float | None) -> dict[str, str]:
    # rabbitmq.conf has no word for it
    tick = "" if channel_tick is None else f" -rabbit channel_tick_interval {int(1000 * channel_tick)}"
    return {
        "HOME": str(home),
        "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
        "RABBITMQ_NODENAME": f"queuebench-{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(dist_port),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_FEATURE_FLAGS_FILE": str(home / "feature_flags"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG + tick,
        "ERL_CRASH_DUMP_SECONDS": "0",  # no dump: it takes seconds and megabytes that nobody reads
        # The script then becomes the node instead of waiting for it, so that our child's pid, exit code and
        # signal are the node's own. It only reads this; it does not detach.
        "detached": "true",
    }


def wait_ready(broker: Broker, limit: float = BOOT_LIMIT) -> None:
    """Wait until the node opens a channel. Raises StackError with its log's tail, PortTaken on a clash."""
    node, epmd = broker.processes
    deadline = time.monotonic() + limit
    while True:
        for process in (node, epmd):
            code = process.poll()
            if code is not None:
                _raise_dead(process, code)
        if _greets(broker.port):
            with contextlib.suppress(pika.exceptions.AMQPError), connect(broker.url) as connection:
                connection.channel()
                return
        if time.monotonic() > deadline:
            log = node.command.log
            raise StackError(f"RabbitMQ was not ready within {limit:.0f} s.", log=log, hint=_hint(log))
        time.sleep(0.05)


def _raise_dead(process: Process, code: int) -> None:
    log = process.command.log
    name = "RabbitMQ" if process.role == "broker" else "RabbitMQ's epmd"
    message = f"{name} did not start: it ended with {ending(code)}."
    if log_says(log, TAKEN):
        raise PortTaken(message, log=log, hint="One of its ports was taken meanwhile.")
    raise StackError(message, log=log, telling=_reason(log), hint=_hint(log))


def _reason(log: Path) -> list[str]:
    """Return what RabbitMQ said before it gave up booting, which crash reports bury; empty if nothing."""
    lines = [TIMESTAMP.sub("", line) for line in tail(log, 400)]
    failed = next((n for n, line in enumerate(lines) if "BOOT FAILED" in line), 0)
    return [line for line in lines[:failed] if line.strip()][-TAIL_LINES:]


def _hint(log: Path) -> str:
    for phrases, hint in HINTS:
        if log_says(log, phrases):
            return hint
    return "`bench doctor` shows what is installed."


def _greets(port: int) -> bool:
    """Whether an AMQP server answers: cheaper than a client that logs each refusal."""
    try:
        with socket.create_connection((LOOPBACK, port), 0.5) as connection:
            connection.settimeout(2)
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(connection.recv(1))
    except OSError:
        return False


def connect(url: str) -> Any:
    """Open a pika connection that fails fast and logs nothing: what fails here is said by our own errors."""
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    parameters = pika.URLParameters(url)
    parameters.socket_timeout = parameters.stack_timeout = parameters.blocked_connection_timeout = 10
    return pika.BlockingConnection(parameters)


def delete_queues(url: str, names: list[str]) -> None:
    """Delete queues with all their messages; those that are not there are fine. Raises StackError."""
    try:
        with connect(url) as connection:
            channel = connection.channel()
            for name in names:
                channel.queue_delete(name)
    except pika.exceptions.AMQPError as error:
        raise StackError(f"RabbitMQ did not delete the queues of the last trial: {error!r}.") from None


def check_external(url: str, source: str) -> None:
    """Make sure that somebody's own broker lets us in. Raises StackError."""
    try:
        connect(url).close()
    except (pika.exceptions.AMQPError, OSError, ValueError, TypeError) as error:
        raise StackError(
            f"The broker of {source} can't be used: {str(error) or type(error).__name__}."
        ) from None
