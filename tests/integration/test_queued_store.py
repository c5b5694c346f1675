"""What is known of a job, in a real Redis: the first end stays, whoever comes when."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from queued.job import FINAL, Done, Failed, Job, Outcome, State, new_id
from queued.problem import job_failed, not_enqueued
from queued.store import Store, StoreError

pytestmark = pytest.mark.integration

DONE = Done(b"1", 0.25)
FAILED = Failed(job_failed("ValueError"))


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    store = Store(store_url, result_ttl=60)
    yield store
    store.close()


def new_job() -> Job:
    return Job(new_id(), "sleep", {"seconds": 1}, time.time())


@pytest.mark.parametrize(("first", "second"), [(DONE, FAILED), (FAILED, DONE)])
def test_the_first_end_stays(store: Store, first: Outcome, second: Outcome) -> None:
    """A second end, a new attempt or a late refusal changes nothing that was stored."""
    job = new_job()
    store.create([job])
    assert store.begin(job) is State.RUNNING
    assert store.finish(job.id, first) is first.state
    before = store.result(job.id)
    assert store.finish(job.id, second) is first.state
    assert store.begin(job) is first.state
    assert store.refuse(job, not_enqueued("late")) is first.state
    assert store.result(job.id) == before


def test_a_job_that_is_running_can_not_be_refused(store: Store) -> None:
    """Its message got through, so it was accepted."""
    job = new_job()
    store.create([job])
    store.begin(job)
    assert store.refuse(job, not_enqueued("late")) is State.RUNNING
    assert store.finish(job.id, DONE) is State.DONE


def test_a_refused_job_is_never_begun(store: Store) -> None:
    """Also where its record was not written before."""
    for written in (True, False):
        job = new_job()
        if written:
            store.create([job])
        assert store.refuse(job, not_enqueued("no broker")) is State.FAILED
        assert store.begin(job) is State.FAILED
        record = store.record(job.id)
        assert record is not None
        assert record.problem == not_enqueued("no broker")
        assert record.created == job.created


def test_only_ended_jobs_expire(store: Store, store_url: str) -> None:
    """However long a job waits, it is not forgotten; from its end on its time runs."""
    job = new_job()
    with redis.Redis.from_url(store_url) as raw:
        store.create([job])
        assert raw.ttl(f"queued:job:{job.id}") == -1
        store.begin(job)
        assert raw.ttl(f"queued:job:{job.id}") == -1
        store.finish(job.id, DONE)
        assert 0 < raw.ttl(f"queued:job:{job.id}") <= 60


def test_an_unknown_job_is_unknown(store: Store) -> None:
    """Neither read nor ended; but an attempt at it makes it known: its message was proof enough."""
    job = new_job()
    assert store.record(job.id) is None
    assert store.result(job.id) is None
    assert store.finish(job.id, DONE) is None
    assert store.begin(job) is State.RUNNING
    record = store.record(job.id)
    assert record is not None
    assert (record.state, record.input) == (State.RUNNING, b'{"seconds": 1}')


def test_many_at_once_never_go_backward(store: Store) -> None:
    """Two workers, a refusal and foreign updates at the same time: one end, the same for everybody."""
    dice = random.Random(7)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(50):
            job = new_job()
            store.create([job])
            acts = [
                lambda job=job: store.begin(job),
                lambda job=job: store.begin(job),
                lambda job=job: store.finish(job.id, DONE),
                lambda job=job: store.finish(job.id, FAILED),
                lambda job=job: store.refuse(job, not_enqueued("late")),
            ]
            dice.shuffle(acts)
            told = [future.result() for future in [pool.submit(act) for act in acts]]
            ends = {state for state in told if state in FINAL}
            record = store.record(job.id)
            assert record is not None
            assert ends == {record.state}


def test_an_absent_store_is_told_without_its_address() -> None:
    """One line that a client may read."""
    with pytest.raises(StoreError, match=r"^the store can't be reached$"):
        Store("redis://:hunter2@127.0.0.1:1/0", 60).record("id")
