"""What the keeper promises, on a real RabbitMQ and a real Redis: no accepted job is forgotten."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pika
import psutil
import pytest
from queued_system import QueueSystem, Reply, eventually, free_port

from bench.stack import rabbitmq
from bench.stack.services import Services
from queued.keeper import GRACE

pytestmark = pytest.mark.integration

FLAKY = '''
import os

def once(x):
    """Fail the first time, and leave the file x behind."""
    if not os.path.exists(x):
        open(x, "w").close()
        raise ValueError("not yet")
    return "at last"
'''


@contextmanager
def channel(system: QueueSystem) -> Iterator[Any]:
    with closing(pika.BlockingConnection(pika.URLParameters(system.broker_url))) as connection:
        yield connection.channel()


def take_one(system: QueueSystem) -> bool:
    """Lose the first message of the work queue; False: there is none."""
    with channel(system) as broker:
        method, _, _ = broker.basic_get(system.work_queue, auto_ack=True)
        return method is not None


def submitted(system: QueueSystem, body: dict[str, Any], **headers: str) -> Reply | None:
    """Submit; None where the web died before it answered."""
    try:
        return system.ask("POST", "/jobs", body, **headers)
    except (OSError, HTTPException):
        return None


def jobs_of(system: QueueSystem) -> list[str]:
    return [key.decode().rpartition(":")[2] for key in system.store().scan_iter("queued:job:*")]


def flaky(system: QueueSystem) -> str:
    """Let the task fail once; its input."""
    (system.folder / "flaky.py").write_text(FLAKY)
    system.task = "flaky:once"
    return str(system.folder / "failed-once")


def test_jobs_whose_messages_vanished_are_run(system: QueueSystem) -> None:
    """The queue is emptied under the service: every accepted job is run all the same, once."""
    web = system.web()
    accepted = [system.submit(0.001) for _ in range(5)]
    with channel(system) as broker:
        assert broker.queue_purge(system.work_queue).method.message_count == 5
    system.worker()
    for job_id in accepted:
        system.wait_for(job_id)
    assert sorted(system.journal("start")) == sorted(accepted)
    assert all(f"job {job_id} is published again" in web.said for job_id in accepted)


def test_a_job_recorded_and_never_published_is_run(system: QueueSystem, tmp_path: Path) -> None:
    """The web dies between the record and the message: the job does not stand as queued for ever."""
    system.more["QUEUED_SEAMS"] = str(tmp_path)
    system.web()
    system.worker()
    (tmp_path / "after-record").touch()
    assert submitted(system, {"input": 0.001}) is None
    eventually(lambda: len(jobs_of(system)) == 1, "the job is recorded", system.logs)
    (job_id,) = jobs_of(system)
    eventually(lambda: submitted(system, {}) is not None, "the web is there again", system.logs)
    system.wait_for(job_id)
    assert system.journal("start") == [job_id]


def test_a_job_that_others_overtook_is_run(system: QueueSystem) -> None:
    """One message is lost from a queue that is never empty: it is missed when later jobs begin."""
    system.task = "work:wait_for"
    web = system.web()
    lost = system.submit(str(system.folder / "lost"))
    assert take_one(system)
    first = system.submit(str(system.folder / "first"))
    time.sleep(GRACE + 1)  # so much later the others come
    assert "published again" not in web.said  # as long as nobody overtakes it, it may be in the queue
    later = [system.submit(str(system.folder / name)) for name in ("second", "third")]
    system.worker()
    (system.folder / "first").touch()
    system.wait_for(later[0], "running")
    eventually(lambda: f"job {lost} is published again" in web.said, "it is missed", system.logs)
    assert system.state(later[1]) == "queued"
    for name in ("second", "third", "lost"):
        (system.folder / name).touch()
    for job_id in (lost, first, *later):
        assert system.result(job_id) == "seen"
    assert len(system.journal("start")) == 4


def test_a_killed_workers_job_runs_again_once_its_lease_is_over(system: QueueSystem) -> None:
    """The broker delivers it again at once and nobody runs it; when the lease is over it is run, once."""
    system.task = "work:wait_for"
    system.more["QUEUED_LEASE"] = "2"
    web, victim = system.web(), system.worker()
    job_id = system.submit(str(system.folder / "now"))
    eventually(lambda: system.journal("start") == [job_id], "the job is begun", system.logs)
    other = system.worker()
    victim.signal(signal.SIGKILL)
    eventually(lambda: system.journal("start") == [job_id] * 2, "it is begun again", system.logs)
    (system.folder / "now").touch()
    assert system.result(job_id) == "seen"
    assert system.get(f"/jobs/{job_id}").json["attempt"] == 2
    assert f"job {job_id} is published again: the lease" in web.said
    assert other.process.poll() is None
    assert len(system.journal("start")) == 2


def test_a_retry_survives_the_brokers_death(system: QueueSystem, services: Services) -> None:
    """RabbitMQ is killed while a retry waits and is away when it is due: it runs when RabbitMQ is back."""
    kept = services.acquire(None)
    if kept.broker is None:
        pytest.skip("needs a private broker, and QUEUEBENCH_BROKER_URL names a running one")
    given = flaky(system)
    system.more["QUEUED_RETRY_FIRST"] = "3"
    web = system.web()
    system.worker()
    job_id = system.submit(given)
    eventually(
        lambda: system.store().zcard(f"queued:due:{system.work_queue}") == 1, "a retry waits", system.logs
    )
    due_at = system.store().zscore(f"queued:due:{system.work_queue}", job_id)
    assert due_at is not None
    time.sleep(1)  # RabbitMQ 3.10 loses a quorum queue that is younger than about a second
    kept.broker.processes[0].kill()
    try:
        eventually(lambda: time.time() > due_at + 1, "the retry is overdue")
        assert system.state(job_id) == "queued"
    finally:
        kept.broker.processes[0].start()
        rabbitmq.wait_ready(kept.broker)
    assert system.result(job_id) == "at last"
    assert system.journal("start") == [job_id] * 2
    assert f"job {job_id} is published again: its next attempt is due" in web.said


def test_a_keeper_that_dies_after_publishing_runs_nothing_twice(system: QueueSystem, tmp_path: Path) -> None:
    """The retry's message is sent twice, and the second finds the attempt begun or ended."""
    given = flaky(system)
    system.more |= {"QUEUED_SEAMS": str(tmp_path), "QUEUED_RETRY_FIRST": "1"}
    (tmp_path / "after-due-publish").touch()
    system.web()
    system.worker()
    job_id = system.submit(given)
    eventually(lambda: not (tmp_path / "after-due-publish").exists(), "the keeper has died", system.logs)
    eventually(lambda: submitted(system, {}) is not None, "the web is there again", system.logs)
    assert system.result(job_id) == "at last"
    eventually(
        lambda: system.store().zcard(f"queued:due:{system.work_queue}") == 0, "nothing is due", system.logs
    )
    eventually(lambda: system.messages() == 0, "all messages are gone", system.logs)
    assert system.journal("start") == [job_id] * 2


def test_another_web_takes_over(system: QueueSystem) -> None:
    """The web that holds the keeper's lock is killed: another one's keeper goes on within seconds."""
    webs = {system.port: system.web()}
    system.port = free_port()
    webs[system.port] = system.web()
    eventually(lambda: system.store().get("queued:keeper") is not None, "there is a keeper", system.logs)
    holder = system.store().get("queued:keeper")
    assert isinstance(holder, bytes)
    parent = psutil.Process(int(holder.decode().split("-")[-2])).ppid()
    dead, web = next((port, web) for port, web in webs.items() if web.process.pid == parent)
    os.killpg(web.process.pid, signal.SIGKILL)
    system.port = next(port for port in webs if port != dead)
    job_id = system.submit(0.001)
    eventually(lambda: take_one(system), "its message is lost", system.logs)
    system.worker()
    system.wait_for(job_id)


def test_a_long_queue_is_left_alone(system: QueueSystem) -> None:
    """Jobs that wait for long behind one that was given back and begun again are not published again."""
    system.web()
    for n in range(240):
        system.submit(0.15 if n % 50 == 20 else 0.04)  # now and then one that takes too long for a short task
    worker = system.worker(QUEUED_SHORT="1")
    waiting = f"queued:waiting:{system.work_queue}"
    most = 0
    while left := int(str(system.store().zcard(waiting))):
        most = max(most, system.messages() - left)
        time.sleep(0.2)
    assert "go back" in worker.said
    assert most <= 64  # that many a worker may hold and give back between the two looks of this test
    assert system.started[0].said.count("is published again") <= 64


def test_a_queued_job_expires_by_itself(system: QueueSystem) -> None:
    """Nobody works, and a job is past its deadline: it is told so, and never run."""
    system.web()
    reply = submitted(system, {"input": 0.001, "deadline": 0.5})
    assert reply is not None
    job_id = reply.json["id"]
    system.wait_for(job_id, "expired")
    system.worker()
    eventually(lambda: system.messages() == 0, "its message is gone", system.logs)
    assert system.journal("start") == []
