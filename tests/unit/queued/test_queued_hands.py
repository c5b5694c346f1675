"""What a worker tells the store of its jobs, and what becomes of their messages, with both played."""

import time
from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from queued.broker import Delivery
from queued.job import Begun, Done, Ending, Failed, Held, Job, Outcome, State, Verdict
from queued.metrics import Watch
from queued.problem import job_failed
from queued.settings import Settings
from queued.worker.hands import Hands
from queued.worker.results import Unavailable

SETTINGS = Settings("amqp://nowhere:1", "redis://nowhere:1", "sleep", lease=0.03)
DONE = Done(b"1", 0.1)
FAILED = Failed(job_failed("no"), 0.1, retry=True)
CHANNEL, ANOTHER = object(), object()


class Everything(Container[str]):
    """All that is in hand runs."""

    def __contains__(self, _job_id: object) -> bool:
        return True


ALL = Everything()


class Store:
    """Answers as the test says, and notes what it was told."""

    def __init__(self) -> None:
        self.away = False
        self.full = False
        self.told: list[tuple[str, Any]] = []
        self.verdicts: dict[str, Verdict] = {}
        self.endings: dict[str, Ending] = {}
        self.states: dict[str, State] = {}
        self.most = 1000

    def note(self, what: str, ids: Any) -> None:
        if self.away:
            raise Unavailable("the store is away")
        self.told.append((what, ids))

    def begin(self, jobs: Sequence[Job], worker: str) -> list[Begun]:
        self.note("begin", [job.id for job in jobs])
        return [Begun(self.verdicts.get(job.id, Verdict.RUN), State.RUNNING, 1) for job in jobs]

    def renew(self, held: Sequence[Held], worker: str) -> list[State | None]:
        self.note("renew", [(one.job_id, one.progress) for one in held])
        return [self.states.get(one.job_id, State.RUNNING) for one in held]

    def finish(self, endings: Sequence[tuple[Job, int, Outcome]]) -> list[Ending]:
        if self.full:
            raise Unavailable("the store is full")
        self.note("finish", [job.id for job, _, _ in endings])
        return [self.endings.get(job.id, Ending.FINAL) for job, _, _ in endings][: self.most]

    def give_back(self, held: Sequence[Held]) -> None:
        self.note("give back", [one.job_id for one in held])

    def appear(self, queue: str, worker: str, slots: int) -> None:
        self.note("appear", queue)

    def vanish(self, queue: str, worker: str) -> None:
        self.note("vanish", queue)

    def close(self) -> None:
        """Nothing to close."""


class Broker:
    """Notes what becomes of messages."""

    queues = ("jobs.sleep",)

    def __init__(self) -> None:
        self.settled: list[tuple[str, int]] = []

    def ack(self, deliveries: Iterable[Delivery]) -> None:
        self.settled += [("ack", delivery.tag) for delivery in deliveries]

    def reject(self, deliveries: Iterable[Delivery]) -> None:
        self.settled += [("reject", delivery.tag) for delivery in deliveries]

    def give_back(self, deliveries: Iterable[Delivery]) -> None:
        self.settled += [("back", delivery.tag) for delivery in deliveries]


class Bench:
    """Hands between the two."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.store, self.broker = Store(), Broker()
        self.hands = Hands("me", settings, self.store, self.broker, Watch())

    def receive(self, *names: str, task: str = "sleep", first_tag: int = 1) -> None:
        for tag, name in enumerate(names, first_tag):
            self.hands.receive(job(name, task), delivery(tag), wanted=True)
        self.hands.tell(False, ALL)

    def end(self, **outcomes: Outcome) -> None:
        for name, outcome in outcomes.items():
            self.hands.end(self.hands[name], outcome)
        self.hands.tell(False, ALL)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def job(name: str, task: str = "sleep") -> Job:
    return Job(name, task, 1, 0.0, queue="jobs.sleep")


def delivery(tag: int, channel: object = CHANNEL) -> Delivery:
    return Delivery(b"", tag, False, channel)


def test_many_are_begun_and_finished_together(bench: Bench) -> None:
    """One round trip for whatever has gathered; a message is acknowledged only after its result is stored."""
    bench.receive("a")
    bench.hands.receive(job("b"), delivery(2), wanted=True)
    bench.hands.receive(job("c"), delivery(3), wanted=True)
    bench.hands.tell(False, ALL)
    assert [hand.job.id for hand in bench.hands.take_waiting(9)] == ["a", "b", "c"]
    assert bench.broker.settled == []
    bench.end(a=DONE, c=DONE)
    assert [told for told in bench.store.told if told[0] != "renew"] == [
        ("begin", ["a"]),
        ("begin", ["b", "c"]),
        ("finish", ["a", "c"]),
    ]
    assert bench.broker.settled == [("ack", 1), ("ack", 3)]
    assert len(bench.hands) == 1


@pytest.mark.parametrize(
    ("verdict", "settled"),
    [(Verdict.DROP, "ack"), (Verdict.LEASED, "ack"), (Verdict.BURY, "reject")],
)
def test_what_is_not_to_be_run_is_settled_at_once(bench: Bench, verdict: Verdict, settled: str) -> None:
    """Ended already, alive elsewhere, or lost too often."""
    bench.store.verdicts["a"] = verdict
    bench.receive("a", "b")
    assert bench.broker.settled == [(settled, 1)]
    assert [hand.job.id for hand in bench.hands.take_waiting(9)] == ["b"]


@pytest.mark.parametrize(
    ("ending", "settled"),
    [(Ending.FINAL, "ack"), (Ending.RETRY, "ack"), (Ending.STALE, "ack"), (Ending.BURY, "reject")],
)
def test_how_an_attempt_ended_decides_on_its_message(bench: Bench, ending: Ending, settled: str) -> None:
    """A retry comes by the keeper, a job that is given up goes to the dead letters."""
    bench.store.endings["a"] = ending
    bench.receive("a")
    bench.end(a=FAILED)
    assert bench.broker.settled == [(settled, 1)]
    assert len(bench.hands) == 0


def test_a_job_of_another_task_fails_and_is_a_dead_letter(bench: Bench) -> None:
    """Its record says why, and no child sees it."""
    bench.receive("a", task="spin")
    assert bench.hands.take_waiting(9) == []
    bench.hands.tell(False, ALL)
    assert ("finish", ["a"]) in bench.store.told
    assert bench.broker.settled == [("reject", 1)]


def test_nothing_is_lost_while_the_store_is_away(bench: Bench) -> None:
    """What ended is told once it is back, and not acknowledged before; the tries are spaced."""
    bench.receive("a", "b")
    bench.store.away = True
    bench.end(a=DONE)
    bench.hands.receive(job("c"), delivery(3), wanted=True)
    for _ in range(100):
        bench.hands.tell(False, ALL)
    assert bench.broker.settled == []
    assert bench.hands.due(False) == bench.hands._try_at > 0
    bench.store.away = False
    bench.hands._try_at = 0.0
    bench.hands.tell(False, ALL)
    assert bench.broker.settled == [("ack", 1)]
    assert ("begin", ["c"]) in bench.store.told


def test_what_was_told_in_part_is_told_to_the_end(bench: Bench) -> None:
    """The way through the web may fail in the middle: the first so many are stored, the others told again."""
    bench.receive("a", "b", "c")
    bench.store.most = 2
    bench.end(a=DONE, b=DONE, c=DONE)
    assert [told for what, told in bench.store.told if what == "finish"] == [["a", "b", "c"], ["c"]]
    assert bench.broker.settled == [("ack", 1), ("ack", 2), ("ack", 3)]


def test_a_second_message_of_a_job_in_hand(bench: Bench) -> None:
    """Over the same connection it is one too many; over a new one it is the one to acknowledge in the end."""
    bench.receive("a")
    bench.hands.receive(job("a"), delivery(2), wanted=True)
    assert bench.broker.settled == [("ack", 2)]
    bench.hands.receive(job("a"), delivery(7, ANOTHER), wanted=False)
    bench.end(a=DONE)
    assert bench.broker.settled == [("ack", 2), ("ack", 7)]


def test_what_is_not_wanted_goes_back_and_was_never_begun(bench: Bench) -> None:
    """A worker that leaves takes no new job."""
    bench.hands.receive(job("a"), delivery(1), wanted=False)
    bench.hands.tell(False, ALL)
    assert bench.broker.settled == [("back", 1)]
    assert bench.store.told == []


def test_a_cancelled_job_is_let_go(bench: Bench) -> None:
    """Waiting: at once; with a child: as soon as that has been ended. Its message is acknowledged."""
    bench.receive("a", "b")
    (first,) = bench.hands.take_waiting(1)
    bench.store.states |= {"a": State.CANCELLED, "b": State.CANCELLED}
    bench.hands._renew_at = 0.0
    bench.hands.tell(False, ALL)
    assert bench.broker.settled == [("ack", 2)]
    assert list(bench.hands.unwanted()) == [first]
    bench.hands.let_go(first)
    assert bench.broker.settled == [("ack", 2), ("ack", 1)]
    assert len(bench.hands) == 0


def test_leases_carry_progress(bench: Bench) -> None:
    """What a task reports goes with the next renewal."""
    bench.receive("a")
    bench.hands["a"].progress = 0.5
    bench.hands._renew_at = 0.0
    bench.hands.tell(False, ALL)
    assert bench.store.told[-1] == ("renew", [("a", 0.5)])


def test_leaving_returns_everything(bench: Bench) -> None:
    """In hand: first in the store, then to the queue; without the store, to the queue all the same."""
    bench.receive("a", "b")
    bench.hands.tell(True, ALL)
    bench.hands.leave()
    assert bench.store.told[-2:] == [("give back", ["a", "b"]), ("vanish", "jobs.sleep")]
    assert bench.broker.settled == [("back", 1), ("back", 2)]
    other = Bench()
    other.receive("a")
    other.store.away = True
    other.hands.leave()
    assert other.broker.settled == [("back", 1)]


@pytest.mark.parametrize(("lease", "renewed"), [(1000.0, ["a"]), (1e-6, ["a", "b"])])
def test_what_waits_in_hand_is_renewed_less_often_than_what_runs(
    monkeypatch: pytest.MonkeyPatch, lease: float, renewed: list[str]
) -> None:
    """But before its lease ends: in every third of it."""
    monkeypatch.setattr("queued.worker.hands.RENEW_MOST", 0.0)
    bench = Bench(replace(SETTINGS, lease=lease))
    bench.receive("a", "b")
    bench.store.told.clear()
    bench.hands.tell(False, {"a"})
    assert bench.store.told == [("renew", [(name, None) for name in renewed])]


SHORT = replace(SETTINGS, lease=1000.0, short=True, prefetch_short=2)


def test_short_jobs_are_acknowledged_together() -> None:
    """While half of what is held ahead still waits; the rest at once, because the broker waits for it."""
    bench = Bench(SHORT)
    bench.receive("a", "b", "c", "d")
    bench.end(a=DONE)
    bench.end(b=DONE)
    assert bench.broker.settled == []
    bench.end(c=DONE)
    assert bench.broker.settled == [("ack", 1), ("ack", 2), ("ack", 3)]


def test_nothing_stays_unacknowledged_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither while the worker goes on nor when it leaves nor while the store is away."""
    bench = Bench(SHORT)
    bench.receive("a", "b", "c", "d")
    bench.end(a=DONE)
    bench.hands.leave()
    assert bench.broker.settled[0] == ("ack", 1)

    bench = Bench(SHORT)
    bench.receive("a", "b", "c", "d")
    bench.end(a=DONE)
    bench.store.away = True
    bench.end(b=DONE)
    bench.hands.tell(False, ALL)
    assert bench.broker.settled == [("ack", 1)]

    monkeypatch.setattr("queued.worker.hands.SETTLE", 0.0)
    bench = Bench(SHORT)
    bench.receive("a", "b", "c", "d")
    bench.end(a=DONE)
    assert bench.hands.due(False) <= time.monotonic()
    bench.hands.tell(False, ALL)
    assert bench.broker.settled == [("ack", 1)]


def test_a_worker_with_many_children_holds_back_only_what_waits_behind_them() -> None:
    """A child without work must not wait for an acknowledgement to be sent."""
    bench = Bench(replace(SHORT, concurrency=3))
    bench.receive("a", "b", "c", "d")
    bench.end(a=DONE)
    assert bench.broker.settled == [("ack", 1)]


def test_a_result_that_can_not_be_stored_costs_no_other_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs beside it is renewed all the same."""
    monkeypatch.setattr("queued.worker.hands.RENEW_MOST", 0.0)
    bench = Bench(replace(SETTINGS, lease=1000.0))
    bench.receive("a", "b")
    bench.store.full = True
    bench.end(a=DONE)
    bench.store.told.clear()
    monkeypatch.setattr(bench.hands, "_try_at", 0.0)
    bench.hands.tell(False, {"b"})
    assert bench.store.told == [("renew", [("b", None)])]
