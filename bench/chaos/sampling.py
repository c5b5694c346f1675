"""What a ground's processes hold: memory, handles, connections, channels, keys. One look at a time."""

import contextlib
import os
import subprocess
from pathlib import Path

import psutil

from bench.chaos.ground import Ground
from bench.stack.installed import required

CTL_TIMEOUT = 60.0
"""Seconds; rabbitmqctl boots an Erlang of its own."""

Sample = dict[tuple[str, str], float]
"""(series, what) → value; series are `memory` (bytes), `handles`, `connections`, `channels`, `keys`."""


def look(ground: Ground) -> Sample:
    """Memory (PSS) and handles of each process and of its children, keys, connections to the broker."""
    found: Sample = {}
    numbers: dict[str, int] = {}
    for process in ground.processes:
        numbers[process.role] = numbers.get(process.role, 0) + 1
        name = f"{process.role} {numbers[process.role]}"
        with contextlib.suppress(psutil.Error, OSError):
            main = psutil.Process(process.pid)
            below = main.children(recursive=True)
            for label, group in ((name, [main]), (f"{name}, children", below)):
                if group:
                    found["memory", label] = float(sum(map(pss, group)))
                    found["handles", label] = float(sum(one.num_fds() for one in group))
    if (keys := ground.keys()) is not None:
        found["keys", "Redis"] = float(keys)
    with contextlib.suppress(psutil.Error, OSError):
        broker = psutil.Process(ground.broker.processes[0].pid)
        open_ones = [
            c
            for c in broker.net_connections("tcp")
            if c.status == psutil.CONN_ESTABLISHED and c.laddr.port == ground.broker.port
        ]
        found["connections", "RabbitMQ"] = float(len(open_ones))
    return found


def pss(process: psutil.Process) -> int:
    """Bytes of memory, with what is shared divided among those who share it; 0 once it has gone."""
    with contextlib.suppress(psutil.Error, OSError):
        return int(process.memory_full_info().pss)
    return 0


def channels(ground: Ground) -> float | None:
    """How many channels are open, by rabbitmqctl; None where it can't tell.

    It takes a second of CPU: for now and then.
    """
    node = ground.broker.processes[0].command
    ctl = Path("/usr/lib/rabbitmq/bin/rabbitmqctl")
    if not ctl.exists():
        ctl = required("RabbitMQ").path.with_name("rabbitmqctl")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(node.drop_env or ("\0",))}
    environment = {**kept, **{k: v for k, v in node.env.items() if k != "detached"}}
    environment.pop("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", None)
    try:
        done = subprocess.run(
            [str(ctl), "--silent", "--node", node.env["RABBITMQ_NODENAME"], "list_channels", "pid"],
            capture_output=True,
            text=True,
            timeout=CTL_TIMEOUT,
            env=environment,
            check=True,
            cwd=node.cwd,
        )
    except (OSError, subprocess.SubprocessError, KeyError):
        return None
    return float(sum("<" in line for line in done.stdout.splitlines()))
