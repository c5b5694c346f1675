"""The keeper's decisions, with a store and a broker that only note what they are told."""

import logging
from collections.abc import Sequence
from typing import Any, cast

import pytest

from queued import keeper as keeping
from queued.broker import BrokerError, Publisher
from queued.job import Job
from queued.keeper import BATCH, GRACE, MORE, SOON, TICK, Keeper
from queued.settings import Settings
from queued.store import Load, Store, StoreError

SETTINGS = Settings("amqp://nowhere:1", "redis://nowhere:1", "sleep,spin")
SLEEP, SPIN = "jobs.sleep", "jobs.spin"


def jobs(*names: str) -> list[Job]:
    return [Job(name, "sleep", 1, 0.0, queue=SLEEP) for name in names]


def load(**more: Any) -> Load:
    none = dict.fromkeys(("waiting", "running", "due", "workers", "slots"), 0)
    return Load(**{**none, "service_time": None, "oldest": None, "counters": {}, **more})


class Played:
    """Store and publisher in one; `said` is all that happened, in order."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.holds = True
        self.loads = {SLEEP: load(), SPIN: load()}
        self.due_jobs: list[Job] = []
        self.lost: list[Job] = []
        self.gone: list[Job] = []
        self.ready = 0
        self.consumers = 1
        self.connected = True
        self.unconfirmed: set[str] = set()
        self.fails: Exception | None = None

    def hold_keeper(self, name: str, seconds: float) -> bool:
        if self.fails is not None:
            raise self.fails
        return self.holds

    def sweep_deadlines(self, limit: int) -> int:
        return 0

    def load(self, queue: str) -> Load:
        return self.loads[queue]

    def due(self, queue: str, limit: int) -> list[Job]:
        return self.due_jobs[:limit]

    def abandoned(self, queue: str, grace: float, limit: int) -> list[Job]:
        return self.lost[:limit]

    def overdue(self, queue: str, empty: bool, grace: float, limit: int) -> list[Job]:
        self.said.append(("overdue", queue, empty, limit))
        return self.gone[:limit]

    def requeued(self, jobs: Sequence[Job]) -> None:
        self.said.append(("requeued", [job.id for job in jobs]))
        for kept in (self.due_jobs, self.lost, self.gone):
            kept[:] = [job for job in kept if job not in jobs]

    def depth(self, queue: str) -> tuple[int, int]:
        if self.ready < 0:
            raise BrokerError("no answer")
        return self.ready, self.consumers

    def publish_again(self, jobs: Sequence[Job], timeout: float) -> list[Job]:
        self.said.append(("published", [job.id for job in jobs]))
        return [job for job in jobs if job.id not in self.unconfirmed]

    def keeper(self) -> Keeper:
        return Keeper(SETTINGS, cast(Store, self), cast(Publisher, self))


def test_a_job_is_published_and_confirmed_before_that_is_written(caplog: pytest.LogCaptureFixture) -> None:
    """What dies in between leaves a second message, never none; and the log names each job."""
    caplog.set_level(logging.INFO)
    played = Played()
    played.loads[SLEEP] = load(waiting=2, oldest=GRACE + 1)
    played.gone = jobs("a", "b")
    played.unconfirmed = {"b"}
    played.keeper().tick()
    assert played.said == [("overdue", SLEEP, True, BATCH), ("published", ["a", "b"]), ("requeued", ["a"])]
    assert [record.job for record in caplog.records if hasattr(record, "job")] == ["a"]


def test_a_lost_lease_and_a_due_retry_are_brought_back() -> None:
    """Each kind of loss is looked for where there is something to lose."""
    played = Played()
    played.loads[SLEEP] = load(running=1, due=1)
    played.due_jobs, played.lost = jobs("due"), jobs("lost")
    assert played.keeper().tick() == SOON
    assert ("requeued", ["due"]) in played.said
    assert ("requeued", ["lost"]) in played.said


def test_a_job_that_has_just_come_is_no_loss() -> None:
    """Nobody is asked about a queue whose oldest job is younger than the grace."""
    played = Played()
    played.loads[SLEEP] = load(waiting=1, oldest=GRACE - 1)
    played.keeper().tick()
    assert played.said == []


def test_messages_that_are_ready_count() -> None:
    """The store is told whether the broker's queue is empty: only then have all there lost their message."""
    played = Played()
    played.loads[SLEEP] = load(waiting=9, oldest=GRACE + 1)
    played.ready = 8
    played.keeper().tick()
    assert played.said == [("overdue", SLEEP, False, 1)]


def test_no_more_is_published_again_than_can_be_missing() -> None:
    """As long as there is a message for each job, whatever overtook whatever: a long queue is not doubled."""
    played = Played()
    played.loads[SLEEP] = load(waiting=9, oldest=GRACE + 1)
    played.gone = jobs(*map(str, range(9)))
    played.ready = 9
    played.keeper().tick()
    assert played.said == []


def test_an_empty_queue_that_nobody_consumes_from_is_looked_at_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is also what a broker answers that does not know: once is not enough, for a while is."""
    now = 100.0
    monkeypatch.setattr(keeping.time, "monotonic", lambda: now)
    played = Played()
    played.loads[SLEEP] = load(waiting=1, oldest=GRACE + 1)
    played.consumers = 0
    keeper = played.keeper()
    keeper.tick()
    assert played.said == []
    now += GRACE
    keeper.tick()
    assert played.said == [("overdue", SLEEP, True, BATCH)]


def test_only_the_holder_of_the_lock_acts() -> None:
    """The others look again a tick later."""
    played = Played()
    played.holds = False
    played.loads[SLEEP] = load(running=1)
    played.lost = jobs("a")
    assert played.keeper().tick() == TICK
    assert played.said == []


def test_retries_are_looked_for_between_the_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """While there is a retry to come, its time is noticed within a fraction of a second."""
    now = 100.0
    monkeypatch.setattr(keeping.time, "monotonic", lambda: now)
    played = Played()
    played.loads[SLEEP] = load(due=1)
    keeper = played.keeper()
    assert keeper.tick() == SOON
    played.loads.clear()  # the whole look would fail
    played.due_jobs = jobs("a")
    now += SOON
    assert keeper.tick() == SOON
    assert ("requeued", ["a"]) in played.said


def test_a_long_list_is_worked_off_in_batches() -> None:
    """The next batch comes at once, and the lock is renewed in between."""
    played = Played()
    played.loads[SLEEP] = load(running=1)
    played.lost = jobs(*map(str, range(BATCH + 1)))
    keeper = played.keeper()
    assert keeper.tick() == MORE
    assert len(played.lost) == 1
    assert keeper.tick() > MORE
    assert played.lost == []


@pytest.mark.parametrize(
    "error", [StoreError("the store can't be reached"), RuntimeError("a defect\nof ours")]
)
def test_no_error_ends_it(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """An error is one line in the log, not one each second, and the next tick tries again."""
    played = Played()
    keeper = played.keeper()
    played.fails = error
    assert [keeper.tick() for _ in range(3)] == [TICK] * 3
    assert len(caplog.records) == 1
    assert "\n" not in caplog.records[0].getMessage()
    played.fails = None
    keeper.tick()
    played.fails = error
    keeper.tick()
    assert len(caplog.records) == 2


def test_without_a_broker_nothing_is_tried(caplog: pytest.LogCaptureFixture) -> None:
    """It says why it waits, and does not hold the lock for the length of a time-out."""
    played = Played()
    played.connected = False
    played.loads[SLEEP] = load(running=1, waiting=1, oldest=GRACE + 1)
    played.lost = jobs("a")
    played.keeper().tick()
    assert played.said == []
    assert "no connection to the broker" in caplog.text


def test_a_queue_that_fails_does_not_keep_the_others_waiting() -> None:
    """Each look begins with another queue."""
    played = Played()
    played.loads = {SLEEP: load(waiting=1, oldest=GRACE + 1), SPIN: load(running=1)}
    played.lost = jobs("a")
    played.ready = -1
    keeper = played.keeper()
    for _ in range(2):
        keeper._whole = 0.0
        keeper.tick()
    assert ("requeued", ["a"]) in played.said


def test_it_stops() -> None:
    """Stopping waits for the tick in hand and no longer."""
    keeper = Played().keeper()
    keeper.start()
    keeper.stop()
    assert not keeper._thread.is_alive()
    Played().keeper().stop()  # never started
