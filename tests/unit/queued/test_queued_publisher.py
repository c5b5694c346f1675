"""Grouping, confirms, alarms and losses, with a channel that only notes what it is told."""

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from queued import seams
from queued.broker import BrokerError, NotConfirmed, Publisher, Submission
from queued.job import Job
from queued.settings import Settings
from queued.store import Admission, NewJob, StoreError

SETTINGS = Settings("amqp://nowhere:1", "redis://nowhere:1", "sleep")
QUEUE = "jobs.sleep"
ADMITTED = Admission(accepted=True, job_id="", replayed=False, conflict=False, expected_wait=0.5, ahead=1)


class Connection:
    """What pika's connection would be told."""

    def __init__(self) -> None:
        self.blocked: Callable[..., None]
        self.unblocked: Callable[..., None]

    def add_on_connection_blocked_callback(self, callback: Callable[..., None]) -> None:
        self.blocked = callback

    def add_on_connection_unblocked_callback(self, callback: Callable[..., None]) -> None:
        self.unblocked = callback


class Channel:
    """What pika's channel would be told."""

    def __init__(self) -> None:
        self.connection = Connection()
        self.sent: list[str] = []
        self.confirmed: Callable[[Any], None]
        self.returned: Callable[..., None]

    def add_on_return_callback(self, callback: Callable[..., None]) -> None:
        self.returned = callback

    def confirm_delivery(self, confirmed: Callable[[Any], None], callback: Callable[[Any], None]) -> None:
        self.confirmed = confirmed
        callback(None)

    def basic_publish(self, exchange: str, queue: str, body: bytes, properties: Any, mandatory: bool) -> None:
        assert (exchange, queue, mandatory, properties.delivery_mode) == ("", QUEUE, True, 2)
        assert properties.message_id == Job.decode(body).id
        self.sent.append(properties.message_id)

    def says(self, name: str, tag: int, *, multiple: bool = False) -> None:
        self.confirmed(
            SimpleNamespace(method=SimpleNamespace(NAME=name, delivery_tag=tag, multiple=multiple))
        )

    def alarm(self) -> None:
        self.connection.blocked(None, SimpleNamespace(method=SimpleNamespace(reason="low on memory")))


class Bench:
    """A publisher whose link never connects: the test plays the broker."""

    def __init__(self, fails: Exception | None = None, **admission: Any) -> None:
        self.records: list[list[str]] = []
        self.fails = fails
        self.admission = replace(ADMITTED, **admission)
        self.publisher = Publisher(SETTINGS, self.create)

    def create(self, submissions: Sequence[NewJob]) -> list[Admission]:
        if self.fails is not None:
            raise self.fails
        self.records.append([new.job.id for new in submissions])
        return [replace(self.admission, job_id=self.admission.job_id or new.job.id) for new in submissions]

    def connect(self) -> Channel:
        channel = Channel()
        self.publisher._ready(channel)
        return channel

    def submit(self, *names: str) -> list[Submission]:
        submissions = [self.publisher.submit(NewJob(job(name))) for name in names]
        self.publisher._pump()
        return submissions

    def again(self, *names: str, timeout: float = 5.0) -> tuple[threading.Thread, list[str]]:
        """Publish recorded jobs again, on a thread as the keeper's."""
        confirmed: list[str] = []

        def publish() -> None:
            confirmed.extend(job.id for job in self.publisher.publish_again([job(n) for n in names], timeout))

        # what the link would have called on its own thread
        taken = threading.Event()
        self.publisher._link.call = lambda function: (function(), taken.set())
        thread = threading.Thread(target=publish)
        thread.start()
        assert taken.wait(5)
        return thread, confirmed


def job(name: str) -> Job:
    return Job(name, "sleep", 1, 0.0, queue=QUEUE)


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


def test_who_waits_hears_what_the_record_says() -> None:
    """The admission, with the expected wait, comes with the broker's confirm."""
    bench = Bench()
    channel = bench.connect()
    (a,) = bench.submit("a")
    assert not confirmed(a)
    channel.says("Basic.Ack", 1)
    assert a.wait(0) == replace(ADMITTED, job_id="a")


@pytest.mark.parametrize("why", [{"accepted": False}, {"accepted": False, "conflict": True}])
def test_what_is_not_admitted_is_not_published(why: dict[str, bool]) -> None:
    """Who is refused hears so at once, without a message, and without a broker."""
    bench = Bench(**why)
    (a,) = bench.submit("a")
    assert a.wait(0) == replace(ADMITTED, job_id="a", **why)
    assert bench.connect().sent == []


def test_a_replayed_submission_publishes_the_first_job_again() -> None:
    """Its first message may never have been sent, so the second 202 has to mean as much as the first."""
    bench = Bench(replayed=True, job_id="first")
    channel = bench.connect()
    (a,) = bench.submit("second")
    assert channel.sent == ["first"]
    channel.says("Basic.Ack", 1)
    assert a.wait(0).job_id == "first"


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
    with pytest.raises(NotConfirmed, match="refused it: its queue is full"):
        a.wait(1)
    b.wait(1)


def test_a_record_that_can_not_be_written_keeps_the_job_from_the_queue() -> None:
    """No message without a record; each of the group is told why."""
    bench = Bench(fails=StoreError("the store can't be reached"))
    channel = bench.connect()
    for submission in bench.submit("a", "b"):
        with pytest.raises(NotConfirmed, match="could not be recorded: the store can't be reached"):
            submission.wait(1)
        assert submission.admission is None
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


def test_an_alarm_of_the_broker_fails_submissions_at_once() -> None:
    """Neither what is on its way nor what comes waits for the time-out; when it is over, all goes on."""
    bench = Bench()
    channel = bench.connect()
    (a,) = bench.submit("a")
    assert bench.publisher.blocked is None
    channel.alarm()
    (b,) = bench.submit("b")
    for submission in (a, b):
        with pytest.raises(NotConfirmed, match="short of memory or disk"):
            submission.wait(0)
    assert bench.publisher.blocked is not None
    assert bench.publisher.publish_again([job("c")], timeout=5) == []
    assert bench.records == [["a"]]  # what comes meanwhile leaves no record
    channel.connection.unblocked(None, None)
    assert bench.publisher.blocked is None
    (d,) = bench.submit("d")
    channel.says("Basic.Ack", 1)  # that of the first, which nobody waits for any more
    channel.says("Basic.Ack", 2)
    assert confirmed(d)


def test_recorded_jobs_are_published_again() -> None:
    """The keeper hears which of them the broker has confirmed in time; none is recorded a second time."""
    bench = Bench()
    channel = bench.connect()
    thread, told = bench.again("a", "b", "c", timeout=0.5)
    channel.says("Basic.Ack", 1)
    channel.says("Basic.Nack", 2)
    thread.join(5)
    assert told == ["a"]
    assert channel.sent == ["a", "b", "c"]
    assert bench.records == []


def test_the_depth_of_a_queue_is_not_waited_for_for_ever() -> None:
    """Without a broker the question ends in an error, within the time that was given."""
    with pytest.raises(BrokerError, match=r"jobs\.sleep within 0\.01 s"):
        Bench().publisher.depth(QUEUE, timeout=0.01)


def test_a_returned_message_is_not_taken_for_confirmed() -> None:
    """The queue is gone: RabbitMQ returns the message and confirms it all the same; it goes again."""
    bench = Bench()
    first = bench.connect()
    (a,) = bench.submit("a")
    first.returned(first, SimpleNamespace(routing_key=QUEUE), SimpleNamespace(message_id="a"), b"")
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


def test_a_seam_kills_once_for_each_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset, or without a file of that name, nothing happens; a file is one hit, and is gone by then."""
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append(pid))
    seams.seam("after-record")
    monkeypatch.setenv(seams.VARIABLE, str(tmp_path))
    (tmp_path / "after-record").touch()
    for name in ("after-store", "after-record", "after-record"):
        seams.seam(name)
    assert killed == [os.getpid()]
    assert list(tmp_path.iterdir()) == []
