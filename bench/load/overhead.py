"""What the generator itself costs at one rate: its CPU per job, and how late it sends."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.load.driver import run_load
from bench.load.progress import Progress
from bench.plan import Box, Kind, Load, System, Trial, Work

WARMUP = 1.0
"""Seconds."""
POLL_INTERVAL = 0.01
"""Seconds: a job of a polled system is submitted, polled once, and fetched."""
LATE, SHARE = 0.005, 0.02
"""A send delay up to max(5 ms, 2 % of the median response) is no part of a result worth mentioning."""


@dataclass(frozen=True)
class Overhead:
    """One rate at one kind of system that does nothing. Times in seconds."""

    kind: Kind
    processes: int
    rate: float
    jobs: int
    cpu_per_job: float
    """Generator CPU for each job, all its processes together."""
    delay_p50: float
    delay_p99: float
    """From the arrival to the moment the generator began to send."""
    response_p50: float
    """From the arrival to the result, none of which is work."""

    @property
    def busy(self) -> float:
        """Share of a core that each of its processes used."""
        return self.cpu_per_job * self.rate / self.processes

    @property
    def kept_up(self) -> bool:
        """Whether the generator was no part of what it measured."""
        return self.delay_p99 <= max(LATE, SHARE * self.response_p50)


def measure(url: str, kind: Kind, rate: float, window: float, processes: int = 1) -> Overhead:
    """Send to an idle server (`bench.load.idle`) for `window` seconds. Raises LoadError."""
    seen: list[Progress] = []
    trial = Trial(
        id="overhead",
        part="overhead",
        shows="load",
        system=System("idle", kind),
        work=Work("spin", {"seconds": 0.0, "gil": "held"}, service_time=0.0, cpu_time=0.0),
        load=Load("poisson", rate=rate, warmup=WARMUP, window=window),
        box=Box(1, 0),
        deadline=10,
        gateway_timeout=10,
        poll_interval=POLL_INTERVAL,
        drain_limit=10,
        repeat=1,
        seed=1,
        capacity=rate,
        processes=processes,
    )
    with tempfile.TemporaryDirectory(prefix="queuebench-") as folder:
        result = run_load(trial, url, Path(folder), _keeper(seen))
    jobs = result.jobs[(result.jobs["phase"] == "window") & (result.jobs["outcome"] != "dropped")]
    delay = jobs["sent"] - jobs["arrival"]
    return Overhead(
        kind=kind,
        processes=processes,
        rate=rate,
        jobs=len(jobs),
        cpu_per_job=(seen[-1].cpu - seen[0].cpu) / max(1, seen[-1].due - seen[0].due),
        delay_p50=float(delay.quantile(0.5)),
        delay_p99=float(delay.quantile(0.99)),
        response_p50=float((jobs["done"] - jobs["arrival"]).quantile(0.5)),
    )


def _keeper(kept: list[Progress]) -> Callable[[Progress], None]:
    """Keep the first progress of the window and the last of all."""

    def keep(progress: Progress) -> None:
        if progress.phase == "window" and not kept:
            kept.append(progress)
        elif kept:
            kept[1:] = [progress]

    return keep
