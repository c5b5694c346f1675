"""How messages are brought and settled, with a channel that only notes what it is told."""

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from queued.broker import Consumer, Delivery, declarations, work_queues
from queued.broker.consumer import Turns
from queued.settings import Settings

SETTINGS = Settings("amqp://nowhere:1", "redis://nowhere:1", "sleep", concurrency=2)
URGENT = Settings("amqp://nowhere:1", "redis://nowhere:1", "sleep", concurrency=2, priorities=True)


class Channel:
    """What pika's channel would be told."""

    is_open = True

    def __init__(self) -> None:
        self.prefetch = 0
        self.consuming: dict[str, Callable[..., None]] = {}
        self.getting: tuple[str, Callable[..., None]] | None = None
        self.settled: list[tuple[str, int]] = []
        self.empty: Callable[[Any], None]
        self.tags = 0

    def add_on_cancel_callback(self, callback: Callable[..., None]) -> None:
        """Never called here."""

    def add_callback(self, callback: Callable[[Any], None], *_: Any, **__: Any) -> None:
        self.empty = callback

    def basic_qos(self, prefetch_count: int) -> None:
        self.prefetch = prefetch_count

    def basic_consume(self, queue: str, callback: Callable[..., None]) -> str:
        self.consuming[queue] = callback
        return queue

    def basic_cancel(self, tag: str) -> None:
        del self.consuming[tag]

    def basic_get(self, queue: str, callback: Callable[..., None]) -> None:
        assert self.getting is None
        self.getting = (queue, callback)

    def basic_ack(self, tag: int, multiple: bool = False) -> None:
        self.settled.append(("ack all to" if multiple else "ack", tag))

    def basic_nack(self, tag: int, requeue: bool) -> None:
        self.settled.append(("back" if requeue else "dead", tag))

    def push(self, queue: str) -> None:
        """The broker pushes a message to the consumer of that queue."""
        self._give(self.consuming[queue])

    def answer(self) -> str:
        """The broker has a message for whoever asks; the queue that was asked."""
        assert self.getting is not None
        (queue, callback), self.getting = self.getting, None
        self._give(callback)
        return queue

    def has_none(self) -> str:
        """The broker has none; the queue that was asked."""
        assert self.getting is not None
        (queue, _), self.getting = self.getting, None
        self.empty(None)
        return queue

    def _give(self, callback: Callable[..., None]) -> None:
        self.tags += 1
        callback(self, SimpleNamespace(delivery_tag=self.tags, redelivered=False), None, b"")


class Bench:
    """A consumer whose link never connects: the test plays the broker."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.came: list[Delivery] = []
        self.consumer = Consumer(settings, self.came.append)
        self.consumer._link.call = lambda function: function()
        self.channel = self.connect()

    def connect(self) -> Channel:
        self.channel = Channel()
        self.consumer._ready(self.channel)
        return self.channel


def test_a_stream_is_consumed_with_its_prefetch() -> None:
    """The broker keeps up to so many messages out."""
    bench = Bench()
    assert bench.channel.consuming == {}
    bench.consumer.stream(64)
    assert bench.channel.prefetch == 64
    bench.channel.push("jobs.sleep")
    assert [delivery.asked for delivery in bench.came] == [False]


def test_acknowledgements_go_together_where_they_can() -> None:
    """One frame for all from the oldest on; never one for a message that is not done with."""
    bench = Bench()
    bench.consumer.stream(64)
    for _ in range(8):
        bench.channel.push("jobs.sleep")
    came = bench.came
    bench.consumer.ack([came[2], came[0], came[1], came[4]])
    assert bench.channel.settled == [("ack all to", 3), ("ack", 5)]
    bench.channel.settled.clear()
    bench.consumer.reject([came[3]])
    bench.consumer.give_back([came[5]])
    bench.consumer.ack([came[6], came[7]])
    assert bench.channel.settled == [("dead", 4), ("back", 6), ("ack all to", 8)]


def test_nothing_is_settled_twice_or_on_another_connection() -> None:
    """The broker closes a channel that settles what it does not know: all others' messages would return."""
    bench = Bench()
    bench.consumer.stream(64)
    bench.channel.push("jobs.sleep")
    bench.consumer.ack(bench.came)
    bench.consumer.ack(bench.came)
    assert len(bench.channel.settled) == 1
    bench.channel.push("jobs.sleep")
    bench.consumer._lost()
    again = bench.connect()
    assert again.prefetch == 64  # what was wanted is wanted still
    bench.consumer.ack(bench.came)
    assert again.settled == []


def test_holding_returns_what_is_on_its_way() -> None:
    """Told to hold, a message that was sent just before goes back at once."""
    bench = Bench()
    bench.consumer.stream(1)
    push = bench.channel.consuming["jobs.sleep"]
    bench.consumer.hold()
    assert bench.channel.consuming == {}
    bench.channel._give(push)
    assert bench.came == []
    assert bench.channel.settled == [("back", 1)]


def test_asking_brings_as_many_as_were_asked_for() -> None:
    """One get at a time, and no more than wanted, whatever waits."""
    bench = Bench()
    bench.consumer.ask(2)
    bench.channel.answer()
    bench.channel.answer()
    assert bench.channel.getting is None
    assert [delivery.asked for delivery in bench.came] == [True, True]
    bench.consumer.ask(1)
    bench.channel.answer()
    assert len(bench.came) == 3


def test_an_idle_worker_consumes_instead_of_asking_again_and_again() -> None:
    """All queues empty: it listens to all, takes the first that comes, and returns what is too much."""
    bench = Bench(URGENT)
    bench.consumer.ask(1)
    assert {bench.channel.has_none() for _ in range(3)} == set(bench.consumer.queues)
    assert bench.channel.getting is None
    assert set(bench.channel.consuming) == set(bench.consumer.queues)
    low, high = (bench.channel.consuming[f"jobs.sleep.{level}"] for level in ("low", "high"))
    bench.channel._give(low)
    bench.channel._give(high)
    assert len(bench.came) == 1
    assert bench.channel.settled == [("back", 2)]
    assert bench.channel.consuming == {}


def test_the_urgent_come_first_and_the_others_never_starve() -> None:
    """Of ten messages six are of high, three of normal and one of low priority, while all have some."""
    bench = Bench(URGENT)
    asked: Counter[str] = Counter()
    for _ in range(100):
        bench.consumer.ask(1)
        asked[bench.channel.answer()] += 1
    assert asked == {"jobs.sleep.high": 60, "jobs.sleep": 30, "jobs.sleep.low": 10}


@pytest.mark.parametrize("empty", [("high",), ("high", "normal"), ("normal",)])
def test_an_empty_queue_leaves_its_turns_to_the_others(empty: tuple[str, ...]) -> None:
    """In proportion to their weights."""
    turns = Turns(["high", "normal", "low"])
    weights = {"high": 6, "normal": 3, "low": 1}
    left = {name: weight for name, weight in weights.items() if name not in empty}
    rounds = sum(left.values())
    assert Counter(turns.next(empty) for _ in range(rounds)) == left
    assert turns.next(list(weights)) == ""


def test_the_queues_of_a_task() -> None:
    """One with its dead letters; three where there are priorities, all with the same dead letters."""
    assert work_queues(SETTINGS, ["sleep"]) == {"jobs.sleep": "jobs.sleep.dead"}
    assert list(work_queues(URGENT, ["sleep"])) == ["jobs.sleep.high", "jobs.sleep", "jobs.sleep.low"]
    declared = declarations(work_queues(URGENT, ["sleep"]))
    assert declared[0][0] == "jobs.sleep.dead"
    assert all(arguments["x-queue-type"] == "quorum" for _, arguments in declared)
    for _, arguments in declared[1:]:
        assert arguments["x-dead-letter-routing-key"] == "jobs.sleep.dead"
        assert arguments["x-dead-letter-strategy"] == "at-least-once"
        assert arguments["x-overflow"] == "reject-publish"
