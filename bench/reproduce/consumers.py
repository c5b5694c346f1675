"""Who gets the messages, and who has them when a consumer dies: two labs on a bare queue."""

import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex
from typing import Any

from bench.reproduce.bare_queue import URL
from bench.reproduce.lab import Figures, Lab, Place
from bench.stack.errors import StackError
from bench.stack.process import Command, Process, ending

MESSAGES, SECONDS = 20, 0.05
"""How many, and what one takes: enough to be shared out, short enough to be repeated."""
CRASH_AT = 5
"""Message that the consumer is killed with; it has done those before it."""
ORDERS = ("backlog_first", "consumers_first")
"""What was there first: the messages, or those who consume them."""
LIMIT = 60.0
"""Seconds after which something must be wrong."""
LOOK_EVERY, QUIET = 0.01, 120
"""Seconds between looks, and how many of them without a new sign mean that consumers have nothing left to do:
over a second's worth. Looks, because a machine that stands still stops these as well as the consumers."""


@dataclass(frozen=True)
class Way:
    """How consumers take messages."""

    prefetch: int = 0
    auto_ack: bool = False
    stay_at: int = -1
    """Message that the consumer never gets done with; -1: none."""

    @property
    def words(self) -> tuple[str, ...]:
        """For the command line."""
        words = ("--prefetch", str(self.prefetch), "--stay-at", str(self.stay_at))
        return (*words, "--auto-ack") if self.auto_ack else words


@dataclass
class Bench:
    """One queue with its consumers."""

    place: Place
    name: str = field(default_factory=lambda: f"lab-{token_hex(4)}")
    consumers: list[Process] = field(default_factory=list)
    killed: list[Process] = field(default_factory=list)
    """Of these, the ones that were killed on purpose."""

    @property
    def journal(self) -> Path:
        """What the consumers wrote."""
        return self.place.folder / f"{self.name}.jsonl"

    def lines(self) -> list[dict[str, Any]]:
        """The whole lines so far."""
        text = self.journal.read_text() if self.journal.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def connect(self, way: Way) -> Process:
        """Start a consumer and wait until it is connected; it asks for no messages yet. Raises StackError."""
        name = f"c{len(self.consumers)}"
        process = self._spawn("consume", "--name", name, *way.words, "--journal", str(self.journal),
                              "--go", str(self._go(len(self.consumers))),
                              "--seconds", str(SECONDS))  # fmt: skip
        self.consumers.append(process)
        self.wait(lambda: self.told(name, "connected"))
        return process

    def consume(self, process: Process) -> None:
        """Let a connected consumer ask for messages, and wait until it has. Raises StackError."""
        number = self.consumers.index(process)
        self._go(number).touch()
        self.wait(lambda: self.told(f"c{number}", "ready"))

    def told(self, consumer: str, event: str, job: int = -1) -> bool:
        """Whether the journal says so."""
        wanted = (consumer, event, job)
        return any((line["consumer"], line["event"], line["job"]) == wanted for line in self.lines())

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
        seen = quiet = 0

        def settled() -> bool:
            nonlocal seen, quiet
            lines = self.lines()
            seen, quiet = len(lines), quiet + 1 if len(lines) == seen else 0
            return len(self.done()) == MESSAGES or quiet >= QUIET

        self.wait(settled)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait for it. Raises StackError where it does not come, or a consumer ends by itself."""
        deadline = time.monotonic() + LIMIT
        while not condition():
            if ended := [p for p in self.consumers if p not in self.killed and not p.running]:
                said = ending(ended[0].poll() or 0)
                raise StackError(f"A consumer of the lab ended by itself: {said}.", log=ended[0].command.log)
            if time.monotonic() > deadline:
                log = self.consumers[-1].command.log if self.consumers else None
                raise StackError(f"A consumer of the lab did not come to its end in {LIMIT:.0f} s.", log=log)
            time.sleep(LOOK_EVERY)

    def kill(self, process: Process) -> None:
        """End a consumer as a crash does."""
        self.killed.append(process)
        process.kill()

    def _go(self, number: int) -> Path:
        return self.journal.with_suffix(f".c{number}.go")

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
    """Two consumers: the share of the busier one, and the makespan over the ideal one, in both orders.

    Both are connected before either asks for messages, the first of them first.
    """
    found: dict[str, float] = {}
    for limit, way in (("no_limit", Way()), ("prefetch_1", Way(prefetch=1))):
        for order in ORDERS:
            place.say(f"{limit.replace('_', ' ')}, {order.replace('_', ' ')}")
            with bench(place) as queue:
                both = [queue.connect(way), queue.connect(way)]
                if order == "backlog_first":
                    queue.fill()
                for consumer in both:
                    queue.consume(consumer)
                if order == "consumers_first":
                    queue.fill()
                queue.settle()
                found |= {f"{name}_{limit}_{order}": value for name, value in shared(queue.lines()).items()}
        found[f"share_{limit}_worse_order"] = max(
            found[f"share_{limit}_backlog_first"], found[f"share_{limit}_consumers_first"]
        )
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
        place.say(name.replace("_", " "))
        with bench(place) as queue:
            queue.fill()
            first, second = queue.connect(replace(way, stay_at=CRASH_AT)), queue.connect(way)
            queue.consume(first)
            queue.wait(lambda queue=queue: queue.told("c0", "start", CRASH_AT))  # type: ignore[misc]  # queue= binds
            queue.kill(first)
            before = queue.done()
            queue.consume(second)
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
        for figure, orders in (("share", (*ORDERS, "worse_order")), ("makespan", ORDERS))
        for limit in ("no_limit", "prefetch_1")
        for order in orders
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
