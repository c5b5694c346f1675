"""`queued submit --batch FILE`: sends the jobs of a file to the web, until all are accepted.

Plain HTTP on kept connections, a thread each. Whatever can't be sent now (no answer, 429, 503) is tried again
as the service advises; that can't make a job twice, because every line carries its Idempotency-Key.
"""

import http.client
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from queued.backoff import delays
from queued.errors import QueuedError
from queued.operate.batch import Batch, Ids, Line
from queued.operate.client import Answer, ClientError, Connection, Target

PATIENCE = 300.0
"""Seconds for which no submission may get through before this gives up."""

ACCEPTED = frozenset({200, 201, 202})
LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same submission may be sent again."""
BAD_LINE = frozenset({400, 409, 413, 415, 422})
"""Answers that are about this one job; any other ends the batch."""


@dataclass
class Tally:
    """How far the batch is."""

    total: int
    before: int
    """Accepted in an earlier call."""
    accepted: int = 0
    refused: int = 0
    waiting: str | None = None
    """Why nothing gets through just now."""

    @property
    def ended(self) -> int:
        """Lines with which nothing more will happen in this call."""
        return self.before + self.accepted + self.refused


class Submitter:
    """Sends a batch with so many submissions in flight."""

    def __init__(self, target: Target, batch: Batch, ids: Ids, in_flight: int, patience: float) -> None:
        self._target = target
        self._batch = batch
        self._ids = ids
        self._in_flight = in_flight
        self._patience = patience
        left = ids.left(batch.lines)
        self._left: Iterator[Line] = iter(left)
        self.tally = Tally(len(batch.lines), len(batch.lines) - len(left))
        self.refusals: list[str] = []
        self.error: str | None = None
        """Why it gave up."""
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._through = time.monotonic()
        """When a submission got through for the last time, or this began."""

    def stop(self) -> None:
        """Send nothing more; what is in flight is waited for. Safe in a signal handler."""
        self._stopping.set()

    def run(self, watch: Callable[[Tally], None], interval: float) -> None:
        """Submit until all is sent or `stop` is called; `watch` is told every `interval` seconds."""
        self._through = time.monotonic()
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self._in_flight)]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(interval)
                watch(self.tally)
        watch(self.tally)

    def _work(self) -> None:
        try:
            connection = Connection(self._target)
            try:
                while (line := self._next()) is not None:
                    self._submit(connection, line)
            finally:
                connection.close()
        except (QueuedError, OSError) as error:
            self._give_up(str(error))

    def _next(self) -> Line | None:
        with self._lock:
            return None if self._stopping.is_set() else next(self._left, None)

    def _submit(self, connection: Connection, line: Line) -> None:
        """Send one line until there is an answer for good, or this is stopped."""
        body = self._target.body(self._batch.input_of(line))
        for delay in delays():
            pause = delay
            try:
                answer = connection.submit(body, line.key)
            except (OSError, http.client.HTTPException) as error:
                why = f"no answer from {self._target.url}: {str(error) or type(error).__name__}"
            else:
                if answer.status not in LATER:
                    self._answered(line, answer)
                    return
                why = f"{answer.status}: {answer.detail}"
                pause = delay if answer.retry_after is None else max(answer.retry_after, delay)
                if answer.status == 429:  # it is well and has enough to do
                    self._through = time.monotonic()
            self.tally.waiting = why
            if time.monotonic() - self._through > self._patience:
                self._give_up(f"nothing got through for {self._patience:g} s; the last was {why}")
            if self._stopping.wait(pause):
                return

    def _answered(self, line: Line, answer: Answer) -> None:
        if answer.status in ACCEPTED:
            job_id = answer.job_id()
            with self._lock:
                self._ids.add(line, job_id, self._target.url_of(job_id))
                self.tally.accepted += 1
        elif answer.status in BAD_LINE:
            with self._lock:
                self.tally.refused += 1
                self.refusals.append(f"line {line.number}: {answer.status}: {answer.detail}")
        else:
            raise ClientError(f"the service answers {answer.status}: {answer.detail}")
        self._through = time.monotonic()
        self.tally.waiting = None

    def _give_up(self, why: str) -> None:
        with self._lock:
            if self.error is None:
                self.error = why
        self.stop()


@contextmanager
def stopped_by_signals(submitter: Submitter) -> Iterator[list[int]]:
    """Let the first SIGINT or SIGTERM stop the batch cleanly, the second end it; gives those seen."""
    seen: list[int] = []

    def told(number: int, _frame: FrameType | None) -> None:
        seen.append(number)
        submitter.stop()
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def submit(target: Target, batch: Batch, ids: Ids, in_flight: int, patience: float = PATIENCE) -> int:
    """Submit the batch and say on stderr how it goes.

    The exit code: 0 all accepted; 1 something refused, or given up; 128 + N where signal N stopped it.
    """
    submitter = Submitter(target, batch, ids, in_flight, patience)
    with stopped_by_signals(submitter) as signals, showing(submitter.tally) as (watch, interval):
        submitter.run(watch, interval)
    tally = submitter.tally
    say(sorted(submitter.refusals, key=lambda text: int(text.split()[1].rstrip(":"))))
    before = f" ({tally.before:,} of them before)" if tally.before else ""
    accepted = f"{tally.before + tally.accepted:,} of {tally.total:,} jobs accepted{before}"
    refused = f", {tally.refused:,} refused" if tally.refused else ""
    say([f"{accepted}{refused}; their ids are in {ids.path}"])
    if tally.ended == tally.total:
        ids.sort()
        return 1 if tally.refused else 0
    say([f"{submitter.error or 'stopped'}; the same command goes on"])
    return 128 + signals[0] if signals else 1


Watcher = Callable[[Tally], None]


@contextmanager
def showing(tally: Tally) -> Iterator[tuple[Watcher, float]]:
    """Show progress on stderr: a bar on a terminal, else a line now and then; gives how, and how often."""
    if not sys.stderr.isatty():
        yield _Lines(), 0.2
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        # what was accepted before is no measure of the speed
        shown = bar.add_task("", total=tally.total - tally.before)

        def watch(tally: Tally) -> None:
            bar.update(shown, completed=tally.ended - tally.before, description=_escaped(tally.waiting or ""))

        yield watch, 0.1


class _Lines:
    """One line every ten seconds."""

    EVERY = 10.0

    def __init__(self) -> None:
        self._began = self._said = time.monotonic()

    def __call__(self, tally: Tally) -> None:
        now = time.monotonic()
        if now - self._said < self.EVERY:
            return
        self._said = now
        rate = (tally.accepted + tally.refused) / (now - self._began)
        left = f", {(tally.total - tally.ended) / rate:,.0f} s left" if rate else ""
        waiting = f" ({tally.waiting})" if tally.waiting else ""
        say([f"{tally.ended:,} of {tally.total:,}, {rate:,.1f}/s{left}{waiting}"])


def say(lines: Sequence[str]) -> None:
    """Write lines to stderr."""
    for line in lines:
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
