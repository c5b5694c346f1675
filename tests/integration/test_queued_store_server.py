"""A Redis that is full, wants a password, speaks TLS, is started again, or says nothing."""

import dataclasses
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme
from queued_system import eventually, free_port

from queued.job import Done, Ending, Job, State, Verdict, new_id
from queued.settings import Settings
from queued.store import NewJob, Store, StoreError, StoreFull

pytestmark = pytest.mark.integration

PASSWORD = "hunter2"
QUEUE = "jobs.sleep"
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a Redis of this test's own, with the options given."""
    started: list[subprocess.Popen[bytes]] = []
    program = shutil.which("redis-server")
    assert program is not None

    def start(*options: str) -> subprocess.Popen[bytes]:
        words = [program, "--dir", str(tmp_path), "--save", "", "--appendonly", "yes", *options]
        with (tmp_path / "redis.log").open("ab") as log:
            started.append(subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def settings(store_url: str, **more: Any) -> Settings:
    return Settings("amqp://nowhere:1", store_url, "sleep", **more)


def answers(store: Store) -> bool:
    try:
        store.ping()
    except StoreError:
        return False
    return True


def new_job(size: int = 1) -> Job:
    return Job(new_id(), "sleep", "x" * size, time.time(), queue=QUEUE)


def test_a_full_store_takes_nothing_new_and_loses_nothing(store_url: str) -> None:
    """Submissions are refused with a clear error; what was accepted runs on, ends, and makes room again."""
    with closing(Store(settings(store_url))) as store, redis.Redis.from_url(store_url) as raw:
        jobs = [new_job(20_000) for _ in range(50)]
        store.create([NewJob(job) for job in jobs])
        try:
            raw.config_set("maxmemory", str(raw.info("memory")["used_memory"] - 200_000))
            with pytest.raises(StoreFull, match=r"^the store is full$"):
                store.create([NewJob(new_job())])
            begun = store.begin(jobs, "w")
            assert {answer.verdict for answer in begun} == {Verdict.RUN}
            with pytest.raises(StoreFull):
                store.finish([(jobs[0], 1, Done(b'"' + b"x" * 50_000 + b'"', 0.1))])
            assert store.finish([(job, 1, Done(b"1", 0.1)) for job in jobs[1:]]) == [Ending.FINAL] * 49
            record = store.record(jobs[0].id)
            assert record is not None
            assert record.state is State.RUNNING
            for job in jobs[1:]:
                assert store.delete(job.id)
            eventually(lambda: taken(store, jobs[0]), "there is room for the long result")
            assert store.create([NewJob(new_job())])[0].accepted
        finally:
            raw.config_set("maxmemory", "0")


def taken(store: Store, job: Job) -> bool:
    try:
        return store.finish([(job, 1, Done(b'"' + b"x" * 50_000 + b'"', 0.1))]) == [Ending.FINAL]
    except StoreFull:
        return False


def test_a_redis_that_endangers_jobs_is_told(store_url: str) -> None:
    """One that keeps nothing on disk, or drops what it likes; one that is set up well gives no line."""
    with closing(Store(settings(store_url))) as store, redis.Redis.from_url(store_url) as raw:
        assert store.concerns() == []
        try:
            raw.config_set("maxmemory", "1gb")
            raw.config_set("maxmemory-policy", "allkeys-lru")
            raw.config_set("appendonly", "no")
            told = store.concerns()
            assert ["appendonly" in told[0], "allkeys-lru" in told[1]] == [True, True]
        finally:
            raw.config_set("appendonly", "yes")
            raw.config_set("maxmemory-policy", "noeviction")
            raw.config_set("maxmemory", "0")


def test_a_password_is_used_and_never_shown(store_url: str) -> None:
    """With the right one it works; a wrong one, or none, is told in a line that holds neither."""
    address = store_url.rpartition("@")[2]
    with closing(Store(settings(store_url))) as store:
        store.ping()
    for url in (f"redis://:{PASSWORD}@{address}", f"redis://{address}"):
        with (
            closing(Store(settings(url))) as store,
            pytest.raises(StoreError, match=r"^the store refuses the password$") as caught,
        ):
            store.record("id")
        assert PASSWORD not in repr(caught.value.__cause__)


def test_tls_with_a_certificate_of_ones_own(tmp_path: Path, start: Start) -> None:
    """`rediss` and the authority's file; without it, or for another host, nothing is sent."""
    authority, other = trustme.CA(), trustme.CA()
    certificate = authority.issue_cert("localhost")
    names = {"ca": tmp_path / "ca.pem", "other": tmp_path / "other.pem"}
    authority.cert_pem.write_to_path(names["ca"])
    other.cert_pem.write_to_path(names["other"])
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    port = free_port()
    start(
        *("--port", "0", "--tls-port", str(port), "--requirepass", PASSWORD, "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(tmp_path / "cert.pem"), "--tls-key-file", str(tmp_path / "key.pem")),
    )
    right = settings(f"rediss://:{PASSWORD}@localhost:{port}/0", ca_file=str(names["ca"]))
    with closing(Store(right)) as store:
        eventually(lambda: answers(store), "Redis answers", (tmp_path / "redis.log").read_text)
        job = new_job()
        assert store.create([NewJob(job)])[0].accepted
        with closing(store.listen()) as told:
            told.follow(job.id)
            store.cancel(job.id)
            assert told.next(10) == job.id
    wrong = [
        dataclasses.replace(right, ca_file=str(names["other"])),
        dataclasses.replace(right, ca_file=None),
        dataclasses.replace(right, store_url=f"rediss://:{PASSWORD}@127.0.0.1:{port}/0"),
    ]
    for chosen in wrong:
        with (
            closing(Store(chosen)) as store,
            pytest.raises(StoreError, match=r"^the store's certificate is not trusted$"),
        ):
            store.ping()


def test_what_was_recorded_survives_a_kill(tmp_path: Path, start: Start) -> None:
    """Killed and started again, each write having been fsynced: the same store goes on, and hears again."""
    port = free_port()
    options = ("--port", str(port), "--bind", "127.0.0.1", "--appendfsync", "always")
    server = start(*options)
    with closing(Store(settings(f"redis://127.0.0.1:{port}/0"))) as store:
        eventually(lambda: answers(store), "Redis answers", (tmp_path / "redis.log").read_text)
        job = new_job()
        store.create([NewJob(job)])
        store.begin([job], "w")
        told = store.listen()
        told.follow(job.id)
        server.kill()
        server.wait()
        with pytest.raises(StoreError):
            store.begin([job], "w")
        with pytest.raises(StoreError):
            told.next(10)
        with pytest.raises(StoreError):
            told.follow(job.id)
        told.close()
        with pytest.raises(StoreError):
            store.listen()
        start(*options)
        eventually(lambda: answers(store), "Redis answers again", (tmp_path / "redis.log").read_text)
        with closing(store.listen()) as again:
            again.follow(job.id)
            assert store.finish([(job, 1, Done(b"1", 0.1))]) == [Ending.FINAL]
            assert again.next(10) == job.id


def test_a_store_that_says_nothing_is_not_waited_for(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped, not dead: every call ends with an error in a few seconds, and so does listening."""
    monkeypatch.setattr("queued.store.told.QUIET", 0.5)
    port = free_port()
    server = start("--port", str(port), "--bind", "127.0.0.1")
    with closing(Store(settings(f"redis://127.0.0.1:{port}/0"))) as store:
        eventually(lambda: answers(store), "Redis answers", (tmp_path / "redis.log").read_text)
        with closing(store.listen()) as told, closing(store.listen()) as other:
            server.send_signal(signal.SIGSTOP)
            try:
                for call in (
                    lambda: store.record("id"),
                    lambda: told.follow("id"),
                    lambda: other.next(30),
                ):
                    with pytest.raises(StoreError, match="did not answer within 2 s"):
                        call()
            finally:
                server.send_signal(signal.SIGCONT)
        eventually(lambda: answers(store), "Redis answers again")
