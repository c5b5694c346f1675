"""What containers add: `make benchmark-containers`. Ratios measured in one run, not a test.

The same systems under the same load as processes and in containers, in turn, round by round, so that the
machine's mood meets both; medians of the rounds. Then what a user waits for: the whole service by Compose.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pika
import redis
from rich.console import Console
from rich.table import Table

from bench.environment import usable_cores
from bench.expand import default_cpus
from bench.plan import Box, Load, Trial, Work
from bench.records import RunFolder
from bench.stack.containers.parts import CHANCE
from bench.stack.containers.runtime import IMAGES, TAG, Containers
from bench.stack.errors import StackError
from bench.stack.local import Local
from bench.stack.runtime import Runtime
from bench.stack.services import Services
from bench.stack.systems import SYSTEMS
from bench.sweep import TrialFailed
from bench.trial import execute

ROUNDS = 5
SPIN = 0.05
IDLE = 2.0
"""Jobs a second at which each finds nobody there."""
BUSY = 15.0
"""Jobs a second at which two workers are half busy or more."""
WINDOW = 10.0
"""Seconds."""
ROOT = Path(__file__).parents[1]
PROJECT = f"queuebench-{os.getpid()}-cold"


@dataclass(frozen=True)
class Seen:
    """One trial. Times in seconds."""

    response: float
    """Median."""
    accept: float
    """p95; of a server without a queue the response."""
    seconds: float
    """All of it."""
    measured: float
    """From the first arrival to the end of the drain: the rest is bringing up and down."""


def trial(system: str, rate: float, number: int) -> Trial:
    """Jobs of 50 ms on two workers, polled every 20 ms."""
    return Trial(
        id=f"{number:03d}-{system}",
        part="containers",
        shows="load",
        system=replace(SYSTEMS[system], workers=2),
        work=Work("spin", {"seconds": SPIN, "gil": "held"}, service_time=SPIN, cpu_time=SPIN),
        load=Load("constant", rate=rate, warmup=1.0, window=WINDOW, label=f"{rate:g}/s"),
        box=Box(default_cpus(usable_cores()), 2 * 2**30),
        deadline=5.0,
        gateway_timeout=5.0,
        poll_interval=0.02,
        drain_limit=10.0,
        repeat=1,
        seed=number,
        capacity=2 / SPIN,
    )


def measured(asked: Trial, runtime: Runtime, folder: RunFolder) -> Seen:
    """Run one trial. Raises TrialFailed."""
    result = execute(asked, runtime, folder, lambda _: None)
    jobs = folder.read("jobs")
    jobs = jobs[(jobs.trial == asked.id) & (jobs.phase == "window") & (jobs.outcome == "ok")]
    accepted = jobs.accepted if asked.system.kind == "queued" else jobs.done
    return Seen(
        float(np.median(jobs.done - jobs.arrival)),
        float(np.quantile(accepted - jobs.arrival, 0.95)),
        result.seconds,
        result.measured_seconds,
    )


def rounds(console: Console) -> None:
    """Print both, side by side."""
    with ExitStack() as stack:
        place = RunFolder(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="queuebench-"))))
        services = stack.enter_context(Services(place.path))
        containers = stack.enter_context(Containers(place.path, lambda text: console.print(f"{text} …")))
        runtimes: dict[str, Runtime] = {"processes": Local(services), "containers": containers}
        cases = [("blocking", IDLE), ("queued", IDLE), ("queued", BUSY)]
        found: dict[tuple[str, float, str], list[Seen]] = {}
        number = 0
        for turn in range(ROUNDS):
            for system, rate in cases:
                order = list(runtimes) if turn % 2 == 0 else list(runtimes)[::-1]
                for name in order:
                    number += 1
                    console.print(f"round {turn + 1} of {ROUNDS}: {system} at {rate:g}/s, {name}")
                    seen = measured(trial(system, rate, number), runtimes[name], place)
                    found.setdefault((system, rate, name), []).append(seen)
        console.print(table(cases, found))
        console.print(versions(services, containers))


def table(cases: Sequence[tuple[str, float]], found: dict[tuple[str, float, str], list[Seen]]) -> Table:
    """Medians of the rounds."""
    laid = Table("", "processes", "containers", "added", "ratio", title=f"medians of {ROUNDS} rounds")

    def row(what: str, key: tuple[str, float], value: str) -> None:
        both = [
            statistics.median(getattr(seen, value) for seen in found[*key, name])
            for name in ("processes", "containers")
        ]
        cells = [f"{1e3 * v:.1f} ms" for v in (*both, both[1] - both[0])]
        laid.add_row(what, *cells, f"{both[1] / both[0]:.2f}")

    for system, rate in cases:
        where = "idle" if rate == IDLE else f"{rate:g}/s"
        row(f"{system}, {where}: response p50", (system, rate), "response")
        if system == "queued":
            row(f"{system}, {where}: accept p95", (system, rate), "accept")
    for system in ("blocking", "queued"):
        between = {
            name: [s.seconds - s.measured for s in found[system, IDLE, name][1:]]
            for name in ("processes", "containers")
        }
        both = [statistics.median(between[name]) for name in ("processes", "containers")]
        cells = [f"{v:.2f} s" for v in (*both, both[1] - both[0])]
        laid.add_row(f"{system}: up and down, a trial", *cells, f"{both[1] / both[0]:.2f}")
    return laid


def versions(services: Services, containers: Containers) -> str:
    """Of broker and store on either side: they come from different places."""
    place = containers.place(trial("queued", IDLE, 0).box)
    sides = {
        "processes": (services.broker_url, services.store_url),
        "containers": (place.broker_url, place.store_url),
    }
    told = []
    for name, (broker, store) in sides.items():
        with pika.BlockingConnection(pika.URLParameters(broker)) as connection:
            rabbitmq = connection._impl.server_properties["version"]
        with redis.Redis.from_url(store) as client:
            version = client.info("server")["redis_version"]
        told.append(f"{name}: RabbitMQ {rabbitmq}, Redis {version}")
    return "; ".join(told)


def cold_start(console: Console) -> None:
    """Time `docker compose up --wait`, after the build, and print the sizes of the images."""
    at = ["--project-directory", str(ROOT)]
    build, compose = (["docker", "compose", "-p", name, *at] for name in (IMAGES, PROJECT))
    environment = {**os.environ, **CHANCE}
    try:
        subprocess.run([*build, "build", "-q"], env=environment, check=True, capture_output=True)
        began = time.monotonic()
        subprocess.run([*compose, "up", "-d", "--wait"], env=environment, check=True, capture_output=True)
        console.print(f"docker compose up --wait, cold: {time.monotonic() - began:.1f} s")
    finally:
        subprocess.run([*compose, "down", "-v", "-t", "5"], env=environment, check=False, capture_output=True)
    ours = f"reference=queuebench/*:{os.environ.get(TAG) or 'latest'}"
    told = subprocess.run(
        ["docker", "image", "ls", "--format", "{{json .}}", "--filter", ours],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    images = {i["Repository"]: i["Size"] for i in map(json.loads, told.splitlines())}
    console.print("images: " + ", ".join(f"{name} {size}" for name, size in sorted(images.items())))


def main() -> int:
    """Measure and print; 1 where this machine can't."""
    console = Console(highlight=False)
    try:
        cold_start(console)
        rounds(console)
    except (StackError, TrialFailed) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"{' '.join(error.cmd[:2])} failed: {error.stderr.decode()[-400:]}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
