"""What the harness itself costs: `make benchmark-harness`. Figures to look at, not a test.

Stack: from nothing to the first job done, and between two trials with the services kept. Trial: the share of
its wall time that is no measurement. Generator: CPU per job and the rate it keeps up with, beside wrk or hey
on the same server. Report and comparison: a run of a million jobs.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.environment import usable_cores
from bench.expand import default_cpus
from bench.plan import Box, Load, Trial, Work
from bench.records import RunFolder
from bench.selftest import generator
from bench.stack.deploy import deployment
from bench.stack.services import Services
from bench.stack.systems import SYSTEMS
from bench.trial import execute

REPEATS = 3
KEPT = ("queued", "as-published", "gunicorn", "blocking")
WORK = Work("spin", {"seconds": 0.05, "gil": "held"}, service_time=0.05, cpu_time=0.05)


def trial(system: str, window: float = 5.0) -> Trial:
    """A light load on a built-in system."""
    return Trial(
        id=f"benchmark-{system}",
        part="benchmark",
        shows="load",
        system=SYSTEMS[system],
        work=WORK,
        load=Load("poisson", rate=4, window=window, label="4ps"),
        box=Box(default_cpus(usable_cores()), 2 * 2**30),
        deadline=2.0,
        gateway_timeout=2.0,
        poll_interval=0.25,
        drain_limit=10.0,
        repeat=1,
        seed=1,
        capacity=10.0,
    )


def stack(console: Console) -> None:
    """Print times of deployment: cold once, then with the services kept, each system in turn."""
    with tempfile.TemporaryDirectory(prefix="queuebench-benchmark-") as name:
        folder = Path(name)
        began = time.monotonic()
        with Services(folder) as services:
            services.acquire(trial("queued").box)
            booted = time.monotonic() - began
            kept: dict[str, list[float]] = {system: [] for system in KEPT}
            cold = 0.0
            for _ in range(REPEATS):
                for system in KEPT:
                    start = time.monotonic()
                    with deployment(
                        trial(system), services=services, folder=folder, journal=folder / "journal.jsonl"
                    ):
                        cold = cold or time.monotonic() - began
                    kept[system].append(time.monotonic() - start)
            run = RunFolder(folder / "run")
            share = {}
            for system in ("queued", "gunicorn"):
                result = execute(trial(system), services, run, lambda _: None)
                share[system] = 1 - result.measured_seconds / result.seconds
    table = Table("what", "figure", "target", title="the stack")
    table.add_row("from nothing to the first job done", f"{cold:.1f} s", "≤ 12 s")
    table.add_row("  of which RabbitMQ and Redis boot", f"{booted:.1f} s", "5 to 10 s")
    for system, times in kept.items():
        table.add_row(
            f"between trials, services kept: {system}, up and down",
            f"{statistics.median(times):.2f} s",
            "≤ 2 s",
        )
    for system, lost in share.items():
        table.add_row(f"share of a 5-s trial that is no measurement: {system}", f"{lost:.0%}", "")
    console.print(table)


def main() -> None:
    """Print all of it."""
    console = Console()
    stack(console)
    console.rule("the load generator")
    generator.beside(console)
    console.rule("bench.report.benchmark")
    subprocess.run([sys.executable, "-m", "bench.report.benchmark"], check=True)


main()
