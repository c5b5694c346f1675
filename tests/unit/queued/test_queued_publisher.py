"""Grouping, confirms and losses, with a channel that only notes what it is told."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from queued.broker import NotConfirmed, Publisher, Submission
from queued.job import Job
from queued.settings import Settings
from queued.store import StoreError

SETTINGS = Settings("amqp://nowhere:1", "redis://nowhere:1", "sleep")


class Channel:
    """What pika's channel would be told."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.confirmed: Callable[[Any], None]
        self.returned: Callable[..., None]

    def add_on_return_callback(self, callback: Callable[..., None]) -> None:
        self.returned = callback

    def confirm_delivery(self, confirmed: Callable[[Any], None], callback: Callable[[Any], None]) -> None:
        self.confirmed = confirmed
        callback(None)

    def basic_publish(self, exchange: str, queue: str, body: bytes, properties: Any, mandatory: bool) -> None:
        assert (exchange, queue, mandatory, properties.delivery_mode) == ("", "jobs", True, 2)
        assert properties.message_id == Job.decode(body).id
        self.sent.append(properties.message_id)

    def says(self, name: str, tag: int, *, multiple: bool = False) -> None:
        self.confirmed(
            SimpleNamespace(method=SimpleNamespace(NAME=name, delivery_tag=tag, multiple=multiple))
        )


class Bench:
    """A publisher whose link never connects: the test plays the broker."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.records: list[list[str]] = []
        self.fails = fails
        self.publisher = Publisher(SETTINGS, self.record)

    def record(self, jobs: Sequence[Job]) -> None:
        if self.fails is not None:
            raise self.fails
        self.records.append([job.id for job in jobs])

    def connect(self) -> Channel:
        channel = Channel()
        self.publisher._ready(channel)
        return channel

    def submit(self, *names: str) -> list[Submission]:
        submissions = [self.publisher.submit(Job(name, "sleep", 1, 0.0)) for name in names]
        self.publisher._pump()
        return submissions


def confirmed(submission: Submission) -> bool:
    try:
        submission.wait(0)
    except NotConfirmed:
        return False
    return True


def test_what_waits_together_goes_together() -> None:
    """One round trip records the whole group, then all are published; the record always comes first."""
    bench = Bench()
    submissions = bench.submit("a", "b", "c")
    assert bench.records == [["a", "b", "c"]]
    channel = bench.connect()
    assert channel.sent == ["a", "b", "c"]
    assert bench.records == [["a", "b", "c"]]
    channel.says("Basic.Ack", 3, multiple=True)
    assert all(confirmed(submission) for submission in submissions)


def test_confirms_come_one_by_one_and_in_any_order() -> None:
    """Each thread waits for its own message and no other."""
    bench = Bench()
    channel = bench.connect()
    a, b, c = bench.submit("a", "b", "c")
    channel.says("Basic.Ack", 2)
    assert b._ended.is_set()
    assert not a._ended.is_set()
    channel.says("Basic.Ack", 2, multiple=True)
    assert a._ended.is_set()
    assert not c._ended.is_set()


def test_a_refused_message_is_told() -> None:
    """The broker's nack ends in an error for this submission only."""
    bench = Bench()
    channel = bench.connect()
    a, b = bench.submit("a", "b")
    channel.says("Basic.Nack", 1)
    channel.says("Basic.Ack", 2)
    with pytest.raises(NotConfirmed, match="refused"):
        a.wait(1)
    b.wait(1)


def test_a_record_that_can_not_be_written_keeps_the_job_from_the_queue() -> None:
    """No message without a record; each of the group is told why."""
    bench = Bench(fails=StoreError("the store can't be reached"))
    channel = bench.connect()
    for submission in bench.submit("a", "b"):
        with pytest.raises(NotConfirmed, match="could not be recorded: the store can't be reached"):
            submission.wait(1)
    assert channel.sent == []


def test_what_was_not_confirmed_goes_again_over_the_next_connection() -> None:
    """A lost connection loses no submission; the order stays, and the tags begin anew."""
    bench = Bench()
    first = bench.connect()
    a, b = bench.submit("a", "b")
    first.says("Basic.Ack", 1)
    bench.publisher._lost()
    (c,) = bench.submit("c")
    second = bench.connect()
    assert second.sent == ["b", "c"]
    second.says("Basic.Ack", 1)
    second.says("Basic.Ack", 2)
    assert confirmed(a)
    assert confirmed(b)
    assert confirmed(c)
    assert bench.records == [["a", "b"], ["c"]]


def test_who_gave_up_is_not_published_later() -> None:
    """A submission that timed out while there was no connection never reaches the broker."""
    bench = Bench()
    (a,) = bench.submit("a")
    with pytest.raises(NotConfirmed, match=r"did not confirm it within 0\.01 s"):
        a.wait(0.01)
    assert bench.connect().sent == []


def test_a_returned_message_is_not_taken_for_confirmed() -> None:
    """The queue is gone: RabbitMQ returns the message and confirms it all the same; it goes again."""
    bench = Bench()
    first = bench.connect()
    (a,) = bench.submit("a")
    first.returned(first, None, SimpleNamespace(message_id="a"), b"")
    first.says("Basic.Ack", 1)
    assert not a._ended.is_set()
    bench.publisher._lost()
    second = bench.connect()
    assert second.sent == ["a"]
    second.says("Basic.Ack", 1)
    assert confirmed(a)


def test_a_long_queue_of_submissions_is_cut_into_groups() -> None:
    """No group keeps the I/O thread from its heartbeats for long."""
    bench = Bench()
    bench.submit(*(str(n) for n in range(450)))
    for _ in range(3):
        bench.publisher._pump()
    assert [len(group) for group in bench.records] == [200, 200, 50]
    assert bench.connect().sent == [str(n) for n in range(450)]
