"""Who gets the messages, and who has them when a consumer dies: two labs on a bare queue."""

import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

from bench.reproduce.bare_queue import URL
from bench.reproduce.lab import Figures, Lab, Place
from bench.stack.errors import StackError
from bench.stack.process import Command, Process, ending

MESSAGES, SECONDS = 20, 0.05
"""How many, and what one takes: enough to be shared out, short enough to be repeated."""
CRASH_AFTER = 5
"""Messages after which the consumer is killed."""
LIMIT = 60.0
"""Seconds after which something must be wrong."""
QUIET = 1.0
"""Seconds without any sign after which consumers have nothing left to do: twenty messages' work."""


@dataclass(frozen=True)
class Way:
    """How consumers take messages."""

    prefetch: int = 0
    auto_ack: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """For the command line."""
        return ("--prefetch", str(self.prefetch), *(("--auto-ack",) if self.auto_ack else ()))


@dataclass
class Bench:
    """One queue with its consumers."""

    place: Place
    name: str = field(default_factory=lambda: f"lab-{token_hex(4)}")
    consumers: list[Process] = field(default_factory=list)

    @property
    def journal(self) -> Path:
        """What the consumers wrote."""
        return self.place.folder / f"{self.name}.jsonl"

    def lines(self) -> list[dict[str, Any]]:
        """The whole lines so far."""
        text = self.journal.read_text() if self.journal.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def start(self, way: Way) -> Process:
        """Start a consumer and wait until it consumes. Raises StackError."""
        name = f"c{len(self.consumers)}"
        process = self._spawn("consume", "--name", name, *way.words, "--journal", str(self.journal),
                              "--seconds", str(SECONDS))  # fmt: skip
        self.consumers.append(process)
        self.wait(lambda: any(line["event"] == "ready" and line["consumer"] == name for line in self.lines()))
        return process

    def fill(self) -> None:
        """Publish the messages. Raises StackError."""
        process = self._spawn("fill", "--count", str(MESSAGES))
        code = process.wait(LIMIT)
        if code != 0:
            said = "it took too long" if code is None else ending(code)
            raise StackError(f"The lab's messages could not be published: {said}.", log=process.command.log)

    def done(self) -> set[int]:
        """Messages that were worked on to their end."""
        return {line["job"] for line in self.lines() if line["event"] == "end"}

    def settle(self) -> None:
        """Wait until all are done, or nobody has done anything for a while. Raises StackError."""
        self.wait(lambda: len(self.done()) == MESSAGES or time.time() - self.lines()[-1]["t"] > QUIET)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait for it. Raises StackError where it does not come."""
        deadline = time.monotonic() + LIMIT
        while not condition():
            if time.monotonic() > deadline:
                log = self.consumers[-1].command.log if self.consumers else None
                raise StackError(f"A consumer of the lab did not come to its end in {LIMIT:.0f} s.", log=log)
            time.sleep(0.01)

    def _spawn(self, verb: str, *words: str) -> Process:
        return self.place.services.workspace.spawn(
            Command(
                role="worker",
                argv=(
                    sys.executable,
                    "-P",
                    "-m",
                    "bench.reproduce.bare_queue",
                    verb,
                    "--queue",
                    self.name,
                    *words,
                ),
                log=self.place.folder / "logs" / f"{self.name}.log",
                env={URL: self.place.services.acquire(self.place.box).broker_url},
            )
        )


@contextmanager
def bench(place: Place) -> Iterator[Bench]:
    """A fresh queue; its consumers and messages are gone afterwards."""
    made = Bench(place)
    place.folder.mkdir(parents=True, exist_ok=True)
    place.services.acquire(place.box).queues.add(made.name)
    try:
        yield made
    finally:
        place.services.workspace.end(made.consumers)
        place.services.clear()


def shares(place: Place) -> Figures:
    """Two consumers: the share of the busier one, and the makespan over the ideal one, in both orders."""
    found: dict[str, float] = {}
    for limit, way in (("no_limit", Way()), ("prefetch_1", Way(prefetch=1))):
        for order in ("backlog_first", "consumers_first"):
            place.say(f"two consumers, {limit.replace('_', ' ')}, {order.replace('_', ' ')}")
            with bench(place) as queue:
                if order == "backlog_first":
                    queue.fill()
                    queue.start(way)
                    queue.start(way)
                else:
                    queue.start(way)
                    queue.start(way)
                    queue.fill()
                queue.settle()
                found |= {f"{name}_{limit}_{order}": value for name, value in shared(queue.lines()).items()}
    return found


def shared(lines: list[dict[str, Any]]) -> Mapping[str, float]:
    """`share` of the messages that the busier of two consumers had, and `makespan` over the ideal one.

    Ideal: the messages' work divided by two.
    """
    starts = [line for line in lines if line["event"] == "start"]
    ends = [line for line in lines if line["event"] == "end"]
    if not starts or not ends:
        return {"share": math.nan, "makespan": math.nan}
    busiest = Counter(line["consumer"] for line in starts).most_common(1)[0][1]
    span = max(line["t"] for line in ends) - min(line["t"] for line in starts)
    return {"share": busiest / len(starts), "makespan": span / (len(starts) * SECONDS / 2)}


def crash(place: Place) -> Figures:
    """A consumer is killed with a backlog before it, then another comes: what was lost, what it took over."""
    found: dict[str, float] = {}
    for name, way in (("auto_ack", Way(auto_ack=True)), ("manual_ack", Way(prefetch=1))):
        place.say(f"a consumer killed in its work, {name.replace('_', ' ')}")
        with bench(place) as queue:
            queue.fill()
            first = queue.start(way)
            queue.wait(lambda queue=queue: len(queue.done()) >= CRASH_AFTER)  # type: ignore[misc]  # queue= binds
            first.kill()
            before = queue.done()
            queue.start(way)
            queue.settle()
            done = queue.done()
            found[f"lost_{name}"] = MESSAGES - len(done)
            found[f"lost_share_{name}"] = (MESSAGES - len(done)) / (MESSAGES - len(before))
            found[f"taken_over_{name}"] = len(done - before) / (MESSAGES - len(before))
    return found


SHARES = Lab(
    "shares",
    "Two consumers with and without a prefetch limit",
    tuple(
        f"{figure}_{limit}_{order}"
        for figure in ("share", "makespan")
        for limit in ("no_limit", "prefetch_1")
        for order in ("backlog_first", "consumers_first")
    ),
    shares,
    seconds=6.0,
)
CRASH = Lab(
    "crash",
    "A consumer that is killed in the middle of its work",
    tuple(
        f"{figure}_{way}"
        for figure in ("lost", "lost_share", "taken_over")
        for way in ("auto_ack", "manual_ack")
    ),
    crash,
    seconds=5.0,
)
