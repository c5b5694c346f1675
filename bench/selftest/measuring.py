"""Runs scenarios side by side: real servers, the real generator, records into a real run folder."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.journal import executions
from bench.load.driver import Generator, LoadError, LoadResult
from bench.load.progress import read_progress
from bench.probes import ProcessTrees, Sampler, canary
from bench.records import RunFolder, write_json
from bench.selftest.catalogue import Scenario, trial_of
from bench.selftest.holding import Hold
from bench.selftest.pulse import Pulse
from bench.selftest.stub import StubProcess
from bench.trial import CANARY_EVERY, ROLES_EVERY, measured_seconds, write_records

READY = 60.0
"""Seconds in which every generator must be up."""
LOOK_EVERY = 0.1

Beside = Callable[[str, threading.Event], None]
"""What else is done to a server while the loads run: takes its base URL, ends soon after the event is set."""


@dataclass(frozen=True)
class Measured:
    """What is kept of a group besides its records."""

    pause: float
    """The longest that the machine stood still, seconds."""
    seconds: dict[str, float]
    """Measured seconds by scenario."""


def log_of(run: RunFolder, scenario: Scenario) -> Path:
    """The server's own log."""
    return run.path / "servers" / f"{scenario.host}.jsonl"


def measure(
    run: RunFolder,
    group: Sequence[Scenario],
    show: Callable[[float], None],
    beside: tuple[str, Beside] | None = None,
) -> Measured:
    """Run a group and write its records; an earlier attempt's are replaced.

    `show` is called now and then with the seconds since the loads began, 0 before. `beside`: the host it
    goes to, and what it does there. Raises LoadError.
    """
    stop = threading.Event()
    hosts = {s.host: s for s in group}
    journals = {host: run.path / "servers" / f"{host}.journal.jsonl" for host in hosts}
    with ExitStack() as outer:
        stubs = {
            host: outer.enter_context(StubProcess(s.behaviour, log_of(run, s), journals[host]))
            for host, s in hosts.items()
        }
        with ExitStack() as inner:
            generators = {s: inner.enter_context(_generator(run, s)) for s in group}
            _wait_until_ready(run, generators, show)
            trees = {s: ProcessTrees(_pid_of(g)) for s, g in generators.items()}
            samplers = {s: inner.enter_context(Sampler([(trees[s], ROLES_EVERY)])) for s in group}
            speed = inner.enter_context(Sampler([(canary, CANARY_EVERY)]))
            pulse = inner.enter_context(Pulse())
            jobs: list[Callable[[], LoadResult | None]] = [
                _load(g, s, stubs[s.host].url(s.name), stop) for s, g in generators.items()
            ]
            if beside is not None:
                jobs.append(_aside(beside[1], stubs[beside[0]].url("beside"), stop))
            loaded = _side_by_side(jobs, stop, show)
            pause = pulse.longest
        stopped = time.time()
    for scenario, result in zip(group, loaded, strict=False):
        assert result is not None
        known = set(result.jobs["job"])
        executed = [e for e in executions(journals[scenario.host], {}, stopped) if e["job"] in known]
        rows = samplers[scenario].rows + speed.rows
        write_records(run, trial_of(scenario), result, rows, [], executed)
    return Measured(
        pause,
        {s.name: measured_seconds(result) for s, result in zip(group, loaded, strict=False) if result},
    )


def _generator(run: RunFolder, scenario: Scenario) -> Generator:
    trial = trial_of(scenario)
    folder = run.trial(trial.id)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "trial.json", trial.to_json())
    return Generator(trial, folder, max_in_flight=scenario.max_in_flight)


def _pid_of(generator: Generator) -> Callable[[], list[tuple[str, int]]]:
    return lambda: [("generator", generator.pid)]


def _wait_until_ready(
    run: RunFolder, generators: dict[Scenario, Generator], show: Callable[[float], None]
) -> None:
    """A Locust that starts takes a core to itself: none does while a load runs."""
    deadline = time.monotonic() + READY
    folders = [run.trial(s.name) for s in generators]
    while any(read_progress(folder / "progress.json").phase == "starting" for folder in folders):
        if any(_ended(generator.pid) for generator in generators.values()):
            return  # whoever lets it begin is told why it did not
        if time.monotonic() > deadline:
            raise LoadError(f"the load generators did not start within {READY:g} s; their logs: {run.path}")
        show(0.0)
        time.sleep(LOOK_EVERY)


def _ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _load(
    generator: Generator, scenario: Scenario, url: str, stop: threading.Event
) -> Callable[[], LoadResult]:
    def go() -> LoadResult:
        if not scenario.hold:
            return generator.go(url, stop=stop)
        with Hold(generator, scenario.load.warmup, scenario.hold) as hold:
            return generator.go(url, hold.see, stop)

    return go


def _aside(beside: Beside, url: str, stop: threading.Event) -> Callable[[], None]:
    return lambda: beside(url, stop)


def _side_by_side(
    jobs: Sequence[Callable[[], LoadResult | None]], stop: threading.Event, show: Callable[[float], None]
) -> list[LoadResult | None]:
    """Their results in order. When one fails, or this thread is interrupted, all are stopped."""
    began = time.monotonic()
    with ThreadPoolExecutor(len(jobs)) as pool:
        futures: list[Future[Any]] = [pool.submit(job) for job in jobs]
        try:
            while True:
                done, pending = wait(futures, timeout=LOOK_EVERY)
                for future in done:
                    future.result()
                if not pending:
                    return [future.result() for future in futures]
                show(time.monotonic() - began)
        finally:
            stop.set()
