"""Who follows a job hears of each change of it."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import redis
from queued_system import PATIENCE, eventually

from queued.job import Done, Failed, Held, Job, new_id
from queued.problem import job_failed
from queued.settings import Settings
from queued.store import NewJob, Store, StoreError, Told

pytestmark = pytest.mark.integration

QUEUE = "jobs.sleep"


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with closing(Store(Settings("amqp://nowhere:1", store_url, "sleep", retry_first=0))) as store:
        yield store


@pytest.fixture
def told(store: Store) -> Iterator[Told]:
    with closing(store.listen()) as told:
        yield told


def new_job(**more: float) -> Job:
    return Job(new_id(), "sleep", 1, 5.0, queue=QUEUE, **more)


def test_every_change_is_heard(store: Store, told: Told) -> None:
    """Begun, progress, a retry, given back, ended in any way, and brought back; that it is new is no news."""
    job, late = new_job(), new_job(deadline=1.0)
    for one in (job, late):
        told.follow(one.id)

    def hears(one: Job = job) -> None:
        assert told.next(PATIENCE) == one.id
        assert told.next(0) is None

    store.create([NewJob(job)])
    store.begin([job], "w")
    hears()
    store.renew([Held(job.id, QUEUE, 1, 0.5)], "w")
    hears()
    store.renew([Held(job.id, QUEUE, 1, 0.5)], "w")
    assert told.next(0.05) is None
    store.finish([(job, 1, Failed(job_failed("x"), retry=True))])
    hears()
    store.begin([job], "w")
    hears()
    store.give_back([Held(job.id, QUEUE, 2)])
    hears()
    store.begin([job], "w")
    hears()
    store.finish([(job, 3, Failed(job_failed("x")))])
    hears()
    store.revive(job)
    hears()
    store.cancel(job.id)
    hears()
    store.create([NewJob(late)])
    store.sweep_deadlines(10)
    hears(late)


@pytest.mark.parametrize("size", [4, 100_000])
def test_a_small_result_comes_with_the_news(store: Store, told: Told, size: int) -> None:
    """It is what the record says, to the letter; one that is long is to be read."""
    job = new_job()
    told.follow(job.id)
    store.create([NewJob(job)])
    store.begin([job], "w")
    store.finish([(job, 1, Failed(job_failed("no \ud800 luck"), 0.25, retry=True))])
    store.begin([job], "w")
    store.finish([(job, 2, Done(json.dumps("é" * size, ensure_ascii=False).encode(), 0.5))])
    heard = []
    while not heard or heard[-1].what != "done":
        news = told.hear(PATIENCE)
        assert news is not None
        heard.append(news)
    assert [news.what for news in heard] == ["running", "queued", "running", "done"]
    assert [news.result for news in heard[:-1]] == [None] * 3
    assert heard[-1].result == (store.result(job.id) if size == 4 else None)


@pytest.mark.parametrize("size", [4, 100_000])
def test_who_waits_since_the_submission_hears_of_the_end_alone(store: Store, size: int) -> None:
    """By the name it was submitted with, without following the job; and of no other's."""
    job, cancelled, other = new_job(), new_job(), new_job()
    with closing(store.listen("us")) as told:
        told.follow(other.id)  # Redis answers in order: it has the name as well now
        told.unfollow(other.id)
        store.create([NewJob(job, listener="us"), NewJob(cancelled, listener="us")])
        store.create([NewJob(other, listener="them")])
        store.begin([job, other], "w")
        for one in (other, job):
            store.finish([(one, 1, Done(json.dumps("é" * size, ensure_ascii=False).encode(), 0.5))])
        store.cancel(cancelled.id)
        first, second = told.hear(PATIENCE), told.hear(PATIENCE)
        assert first is not None
        assert second is not None
        assert (first.job_id, first.what) == (job.id, "done")
        assert first.result == (store.result(job.id) if size == 4 else None)
        assert (second.job_id, second.what) == (cancelled.id, "cancelled")
        assert told.hear(0.05) is None


def test_what_nobody_follows_is_not_heard(store: Store, told: Told) -> None:
    """Neither another job nor one that is no longer followed; followed again it is heard again."""
    job, other = new_job(), new_job()
    told.follow(job.id)
    store.create([NewJob(other)])
    told.unfollow(job.id)
    told.follow(other.id)
    store.cancel(other.id)
    assert told.next(PATIENCE) == other.id
    store.create([NewJob(job)])
    assert told.next(0.05) is None
    told.follow(job.id)
    store.cancel(job.id)
    assert told.next(PATIENCE) == job.id


def test_many_follow_while_one_listens(store: Store, told: Told) -> None:
    """What is read after `follow` has returned misses nothing: each change since then is heard."""
    jobs = [new_job() for _ in range(200)]
    heard: set[str] = set()
    listening = threading.Event()

    def listen() -> None:
        listening.set()
        until = time.monotonic() + PATIENCE
        while len(heard) < len(jobs) and time.monotonic() < until:
            job_id = told.next(0.5)
            if job_id is not None:
                heard.add(job_id)

    def follow(job: Job) -> None:
        told.follow(job.id)
        store.finish([(job, 1, Done(b"1", None))])

    with ThreadPoolExecutor(9) as pool:
        listener = pool.submit(listen)
        listening.wait(PATIENCE)
        for future in [pool.submit(follow, job) for job in jobs]:
            future.result()
        listener.result()
    assert heard == {job.id for job in jobs}


def test_waiting_ends_in_time(told: Told) -> None:
    """With nothing to hear, None, when it was asked for."""
    began = time.monotonic()
    assert told.next(0.2) is None
    assert 0.2 <= time.monotonic() - began < PATIENCE


def test_silence_is_looked_into(store: Store, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis is asked now and then whether it is there; where it is, listening goes on as if nothing was."""
    monkeypatch.setattr("queued.store.told.QUIET", 0.05)
    told.follow("id")
    for _ in range(10):
        assert told.next(0.05) is None
    store.create([NewJob(Job("id", "sleep", 1, 5.0, queue=QUEUE))])
    store.cancel("id")
    assert told.next(PATIENCE) == "id"


def test_a_lost_connection_is_told_once_and_for_all(store: Store, store_url: str, told: Told) -> None:
    """Who waits does not wait on; the connection never comes back silently without what it followed."""
    told.follow("id")
    with ThreadPoolExecutor(1) as pool, redis.Redis.from_url(store_url) as raw:
        waiting = pool.submit(told.next, PATIENCE)
        eventually(lambda: raw.client_kill_filter(_type="pubsub") > 0, "the connection is cut")
        with pytest.raises(StoreError):
            waiting.result()
    for call in (lambda: told.next(0), lambda: told.follow("other"), lambda: told.unfollow("id")):
        with pytest.raises(StoreError):
            call()
