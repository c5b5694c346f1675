"""Runs the load of one trial: starts Locust for it, follows it, and collects what it recorded.

Locust monkey-patches the process it is imported into, so it gets one of its own. That process takes about a
second to start; `Generator` starts it early, beside the system under test, and lets it begin later.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import json as arrow_json

from bench.interrupt import uninterrupted
from bench.load.assignment import MAX_IN_FLIGHT
from bench.load.errors import LoadError
from bench.load.progress import Progress, read_progress
from bench.plan import Trial
from bench.records import JOBS, REQUESTS, write_json

__all__ = ["Generator", "LoadError", "LoadResult", "Progress", "run_load"]

SCENARIOS = Path(__file__).parents[1] / "scenarios.py"
LOOK_EVERY = 0.1
"""Seconds between two looks at the generator's progress."""
SILENCE = 60.0
"""Seconds without a sign of life from the generator after which it counts as hung. It gives four a second."""
GRACE = 20.0
"""Seconds a generator gets to write its records and end, once it is asked to."""
LOOPBACK = "127.0.0.1"
PORTS = range(29_000, 32_000)
"""Where the processes of one generator meet."""


@dataclass(frozen=True)
class LoadResult:
    """What the generator recorded of one trial."""

    jobs: pd.DataFrame
    """Rows of `bench.records.JOBS`, complete with the trial's id."""
    requests: pd.DataFrame
    """Rows of `bench.records.REQUESTS`, likewise."""
    marks: list[dict[str, Any]]
    """Rows of `bench.records.EVENTS` without the trial's id."""
    generator_pid: int
    exit_code: int
    log_tail: str
    stopped: bool
    """Ended before its time, because `stop` was set."""


class Generator:
    """The load generator of one trial: a process, or several where `Trial.processes` says so.

    Use as a context manager; nothing of it survives that. Entering starts it, and it waits; `go` lets the
    load begin. It ends with this process however that ends: it holds one end of a pipe whose other end is
    here, and an end of file is its signal to stop.
    """

    def __init__(self, trial: Trial, folder: Path, *, max_in_flight: int = MAX_IN_FLIGHT) -> None:
        """`folder` takes `trial.json`, the raw records, `progress.json` and `logs/generator.log`."""
        self._trial = trial
        self._folder = folder
        self._max_in_flight = max_in_flight
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id, 0 before the start."""
        return self._process.pid if self._process else 0

    @property
    def log(self) -> Path:
        """What Locust says."""
        return self._folder / "logs" / "generator.log"

    def __enter__(self) -> "Generator":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the process. Raises LoadError when that can't be done."""
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            for name in ("jobs.jsonl", "requests.jsonl", "marks.jsonl", "progress.json"):
                (self._folder / name).unlink(missing_ok=True)
            write_json(self._folder / "trial.json", self._trial.to_json())
            with self.log.open("wb") as log, uninterrupted():
                self._process = subprocess.Popen(
                    self._command(),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    # Its options are ours alone: Locust would read more from LOCUST_… variables.
                    env={k: v for k, v in os.environ.items() if not k.startswith("LOCUST_")},
                    start_new_session=True,
                )
        except OSError as error:
            raise LoadError(f"the load generator can't be started: {error}") from None
        except BaseException:  # a Ctrl-C that was held back; nobody else will end it
            self.close()
            raise

    def go(
        self,
        base_url: str,
        on_progress: Callable[[Progress], None] = lambda _: None,
        stop: threading.Event | None = None,
    ) -> LoadResult:
        """Let the load begin, follow it to its end, and return what was recorded.

        When `stop` is set meanwhile, jobs in flight are recorded as unfinished and the result has what there
        is. Raises LoadError when the generator fails; what it had recorded by then stays in the folder.
        """
        if self._process is None:
            raise LoadError("the load generator was not started")
        stop = stop or threading.Event()
        self._say(json.dumps({"base_url": base_url}))
        stopped = self._follow(self._process, on_progress, stop)
        code = self._process.wait()
        tail = self._tail()
        if code and not stopped:
            raise LoadError(f"the load generator failed ({_ending(code)}): {_gist(tail)} Its log: {self.log}")
        return LoadResult(
            jobs=_table(self._folder / "jobs.jsonl", JOBS, self._trial.id),
            requests=_table(self._folder / "requests.jsonl", REQUESTS, self._trial.id),
            marks=_lines(self._folder / "marks.jsonl"),
            generator_pid=self._process.pid,
            exit_code=code,
            log_tail=tail,
            stopped=stopped,
        )

    def close(self) -> None:
        """End the process if it still runs. May be called at any time and more than once."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            self._end(process)
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()

    def _command(self) -> list[str]:
        load, processes = self._trial.load, self._trial.processes
        users = str(load.size if load.arrivals == "closed" else 1)
        return [
            # -P: what lies about in the directory the harness was started in must not stand in for a library.
            *(sys.executable, "-P", "-m", "locust", "-f", str(SCENARIOS)),
            *("--headless", "--only-summary", "--loglevel", "WARNING", "--exit-code-on-error", "0"),
            *("--users", users, "--spawn-rate", users),
            *("--trial", str(self._folder / "trial.json"), "--records", str(self._folder)),
            *("--max-in-flight", str(self._max_in_flight)),
            *(_together(processes) if processes > 1 else ()),
        ]

    def _say(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except OSError:  # it has gone already; what follows reads its exit code and log
            pass

    def _follow(
        self, process: subprocess.Popen[bytes], on_progress: Callable[[Progress], None], stop: threading.Event
    ) -> bool:
        """Watch until the process has ended; true when it was stopped."""
        last, heard = Progress(), time.monotonic()
        while process.poll() is None:
            if stop.wait(LOOK_EVERY):
                self._end(process)
                return True
            progress = read_progress(self._folder / "progress.json")
            if progress != last:
                last, heard = progress, time.monotonic()
                on_progress(progress)
            elif time.monotonic() - heard > SILENCE:
                self._end(process)
                raise LoadError(
                    f"the load generator has given no sign of life for {SILENCE:g} s and was ended. "
                    f"Its log: {self.log}"
                )
        on_progress(read_progress(self._folder / "progress.json"))
        return False

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Ask it to write its records and leave; make it leave when it does not."""
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _tail(self) -> str:
        """The last lines of the log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])
        except OSError:
            return ""


def run_load(
    trial: Trial,
    base_url: str,
    folder: Path,
    on_progress: Callable[[Progress], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> LoadResult:
    """Run a trial's load against a system that is ready, from start to collected records. See `Generator`."""
    with Generator(trial, folder) as generator:
        return generator.go(base_url, on_progress, stop)


def _together(processes: int) -> list[str]:
    """Options with which Locust forks so many workers, and meets them where nobody else listens.

    The port lies below those that systems hand out to outgoing connections, of which the load has many.
    """
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            return [
                *("--processes", str(processes), "--master-bind-host", LOOPBACK),
                *("--master-bind-port", str(port), "--master-port", str(port)),
            ]
    raise LoadError(f"no free port on {LOOPBACK} between {PORTS.start} and {PORTS.stop} for the generator")


def _table(path: Path, schema: pa.Schema, trial: str) -> pd.DataFrame:
    """Read JSON lines as a table of records; a line cut short by a kill is left out."""
    data = path.read_bytes() if path.exists() else b""
    data = data[: data.rfind(b"\n") + 1]
    raw = schema.remove(schema.get_field_index("trial"))
    if data:
        options = arrow_json.ParseOptions(explicit_schema=raw, unexpected_field_behavior="error")
        table = arrow_json.read_json(pa.BufferReader(data), parse_options=options)
    else:
        table = raw.empty_table()
    frame: pd.DataFrame = table.to_pandas()
    frame.insert(0, "trial", trial)
    return frame


def _lines(path: Path) -> list[dict[str, Any]]:
    data = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in data[: data.rfind("\n") + 1].splitlines()]


def _ending(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"ended by {signal.Signals(-code).name}"


def _gist(tail: str) -> str:
    """The line of the log that says what went wrong: one of ours, else the last."""
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    ours = [line.split("queuebench: ", 1)[1] for line in lines if "queuebench: " in line]
    said = (ours or lines or ["it said nothing"])[-1]
    return said if said.endswith((".", "!", "?")) else said + "."
