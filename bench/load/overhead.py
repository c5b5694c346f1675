"""What the generator itself costs: `python -m bench.load.overhead`, part of `make benchmark-harness`.

Locust drives a server that does nothing, in a process of its own, at rising rates. Printed for each rate: the
generator's CPU per job, and how late jobs are sent; and at the end the highest rate at which 99 % of jobs are
sent less than 5 ms after they were due. Above that rate a generator on this machine is a part of what it
measures. These are figures to look at, not a test: they depend on the machine and on what else it does.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load.driver import run_load
from bench.load.progress import Progress
from bench.plan import Box, Kind, Load, System, Trial, Work

RATES = (50.0, 100.0, 200.0, 400.0, 800.0)
"""Jobs per second."""
WINDOW = 4.0
"""Seconds for each."""
LATE = 0.005
"""Seconds: a send delay up to here is no part of a result worth mentioning."""

_OUTPUT = b'{"output": {"seconds": 0.0}}'
_STATE = b'{"id": "1", "state": "done"}'


@dataclass(frozen=True)
class Overhead:
    """One rate at one kind of system that does nothing."""

    kind: Kind
    rate: float
    jobs: int
    cpu_per_job: float
    """Generator CPU seconds for each job."""
    delay_p50: float
    delay_p99: float
    """Seconds from the arrival to the moment the generator began to send."""
    response_p50: float
    """Seconds from the arrival to the result, none of which is work."""


def measure(
    kind: Kind, rates: Sequence[float] = RATES, window: float = WINDOW, poll_interval: float = 0.01
) -> Iterator[Overhead]:
    """Measure at each rate. Raises LoadError when the generator fails."""
    with _idle_server() as url, tempfile.TemporaryDirectory(prefix="queuebench-") as folder:
        for rate in rates:
            start: list[Progress] = []
            work = Work("spin", {"seconds": 0.0, "gil": "held"}, service_time=0.0, cpu_time=0.0)
            trial = Trial(
                id="overhead",
                part="overhead",
                shows="load",
                system=System("idle", kind),
                work=work,
                load=Load("poisson", rate=rate, warmup=1.0, window=window),
                box=Box(1, 0),
                deadline=10,
                gateway_timeout=10,
                poll_interval=poll_interval,
                drain_limit=10,
                repeat=1,
                seed=1,
                capacity=rate,
            )
            result = run_load(trial, url, Path(folder), _keeper(start))
            jobs = result.jobs[result.jobs["phase"] == "window"]
            delay = jobs["sent"] - jobs["arrival"]
            yield Overhead(
                kind=kind,
                rate=rate,
                jobs=len(jobs),
                cpu_per_job=(start[-1].cpu - start[0].cpu) / max(1, start[-1].due - start[0].due),
                delay_p50=float(delay.quantile(0.5)),
                delay_p99=float(delay.quantile(0.99)),
                response_p50=float((jobs["done"] - jobs["arrival"]).quantile(0.5)),
            )


def report() -> str:
    """Measure a blocking and a polling load, and say it as text."""
    load = os.getloadavg()[0]
    lines = [f"load generator against a server that does nothing (load average before: {load:.1f}):"]
    for kind in ("blocking", "queued"):
        best = 0.0
        for found in measure(kind):
            lines.append(
                f"  {kind:8} {found.rate:5.0f}/s  {found.cpu_per_job * 1e3:5.2f} ms CPU a job   "
                f"send delay p50 {found.delay_p50 * 1e3:5.2f} ms, p99 {found.delay_p99 * 1e3:6.2f} ms   "
                f"response p50 {found.response_p50 * 1e3:5.2f} ms"
            )
            if found.delay_p99 < LATE:
                best = max(best, found.rate)
        lines.append(f"  {kind:8} p99 send delay stays under {LATE * 1e3:g} ms up to {best:g} jobs/s")
    return "\n".join(lines)


def _keeper(kept: list[Progress]) -> Callable[[Progress], None]:
    """Keep the first progress of the window and the last of all."""

    def keep(progress: Progress) -> None:
        if progress.phase == "window" and not kept:
            kept.append(progress)
        elif kept:
            kept[1:] = [progress]

    return keep


@contextmanager
def _idle_server() -> Iterator[str]:
    """Run this module as a server that answers every face at once."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.load.overhead", "serve"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


class _Idle(asyncio.Protocol):
    """Answers whatever it is asked, as cheaply as Python can. Requests here come in one piece."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        route = data[: data.index(b" HTTP")]
        if route == b"POST /jobs":
            head, body = b"202 Accepted\r\nLocation: /jobs/1\r\nRetry-After: 0", b"{}"
        elif route == b"GET /jobs/1":
            head, body = b"200 OK", _STATE
        else:
            head, body = b"200 OK\r\nServer-Timing: wait;dur=0, run;dur=0", _OUTPUT
        self.transport.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (head, len(body), body))


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Idle, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201 - for the parent
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(_serve())
    else:
        print(report())  # noqa: T201 - what it is for
