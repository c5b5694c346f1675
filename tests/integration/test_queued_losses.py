"""The queue service when something ends or is lost, on a real RabbitMQ and a real Redis."""

import json
import os
import signal
import time

import psutil
import pytest
from queued_system import QueueSystem, Reply, eventually

from bench.stack import rabbitmq
from bench.stack import redis as stack_redis
from bench.stack.services import ServiceSet

pytestmark = pytest.mark.integration


def restart_broker(kept: ServiceSet) -> None:
    assert kept.broker is not None
    kept.broker.processes[0].start()
    rabbitmq.wait_ready(kept.broker)


def remember_everything(system: QueueSystem) -> None:
    """Have Redis write its log before it answers, until it is started again.

    With `everysec` it puts that off while an fsync is under way: a job then is unknown to the web, once Redis
    was killed, until a worker has its message.
    """
    system.store().config_set("appendfsync", "always")


def restart_store(kept: ServiceSet) -> None:
    assert kept.store is not None
    kept.store.process.start()
    stack_redis.wait_ready(kept.store)


# --- the ends of things ---


@pytest.mark.parametrize("how", ["SIGTERM to it", "SIGINT to its group"])
def test_a_worker_that_is_told_to_stop_finishes_its_job(system: QueueSystem, how: str) -> None:
    """The job in hand is finished, stored and acknowledged; the next stays queued for others; exit code 0."""
    system.task = "work:wait_for"
    system.web()
    worker = system.worker()
    first, second = (system.submit(str(system.folder / name)) for name in ("one", "two"))
    system.wait_for(first, "running")
    if how == "SIGTERM to it":
        worker.signal(signal.SIGTERM)
    else:
        os.killpg(worker.process.pid, signal.SIGINT)
    (system.folder / "one").touch()
    assert worker.ended() == 0
    assert system.result(first) == "seen"
    assert system.state(second) == "queued"
    assert system.messages() == 1
    (system.folder / "two").touch()
    system.worker()
    assert system.result(second) == "seen"
    assert system.journal("start") == [first, second]


def test_the_web_ends_cleanly(system: QueueSystem) -> None:
    """SIGTERM ends the web with exit code 0 and without an error in its log."""
    web = system.web()
    system.submit(0.01)
    web.signal(signal.SIGTERM)
    assert web.ended() == 0
    assert "ERROR" not in web.said
    assert "Traceback" not in web.said


@pytest.mark.parametrize(
    ("words", "settings", "says"),
    [
        (["worker"], {"QUEUED_BROKER_URL": ""}, "QUEUED_BROKER_URL is not set"),
        (["worker"], {"QUEUED_TASK": "fatcorial"}, "fatcorial"),
        (["worker"], {"QUEUED_TASK": "nowhere:function"}, "nowhere"),
        (["web"], {"QUEUED_HEARTBEAT": "soon"}, "QUEUED_HEARTBEAT must be a number of seconds"),
        (["web"], {"QUEUED_TASK": "fatcorial"}, "fatcorial"),
        (["web", "--host", "no.such.host.invalid"], {}, "no.such.host.invalid"),
    ],
)
def test_what_cannot_run_says_so_in_one_line(
    system: QueueSystem, words: list[str], settings: dict[str, str], says: str
) -> None:
    """Wrong settings: exit code 2, one line that names what is wrong, no traceback."""
    running = system.start(*words, **settings)
    assert running.ended() == 2
    assert says in running.said
    assert len(running.said.splitlines()) == 1


def test_a_taken_port_is_said_in_one_line(system: QueueSystem) -> None:
    """Port in use: exit code 2 at once, one line with the address."""
    system.web()
    second = system.start("web", "--port", str(system.port))
    assert second.ended() == 2
    assert f"127.0.0.1:{system.port}" in second.said
    assert len(second.said.splitlines()) == 1


# --- losses ---


@pytest.mark.slow
def test_a_job_far_longer_than_the_heartbeat_runs_once(system: QueueSystem) -> None:
    """Heartbeat of 5 s, job of 16 s: no connection is lost, and the job runs once.

    After two heartbeats without a sign of life one would be.
    """
    system.more["QUEUED_HEARTBEAT"] = "5"
    web, worker = system.web(), system.worker()
    job_id = system.submit(16)
    system.wait_for(job_id)
    assert system.journal("start") == system.journal("end") == [job_id]
    system.wait_for(system.submit(0.001))
    for running in (web, worker):
        assert running.said.count("is connected") == 1
        assert "WARNING" not in running.said


def test_a_killed_workers_job_is_taken_by_another(system: QueueSystem) -> None:
    """SIGKILL in the middle of a job: the child goes too, another worker runs it, there is one result."""
    system.task = "work:wait_for"
    system.web()
    workers = [system.worker(), system.worker()]
    job_id = system.submit(str(system.folder / "now"))
    eventually(lambda: system.journal("start") == [job_id], "the job is begun", system.logs)
    child = psutil.Process(json.loads(system.journal_file.read_text())["pid"])
    victim = next(worker for worker in workers if worker.process.pid == child.ppid())
    victim.signal(signal.SIGKILL)
    eventually(lambda: not alive(child), "the child has gone with its worker")
    eventually(lambda: system.journal("start") == [job_id, job_id], "another begins it", system.logs)
    (system.folder / "now").touch()
    assert system.result(job_id) == "seen"
    assert system.journal("end") == [job_id]
    eventually(lambda: system.messages() == 0, "the message is gone", system.logs)


def test_a_child_that_is_killed_between_jobs_is_replaced(system: QueueSystem) -> None:
    """Losing the warm child while nothing runs fails no job."""
    system.web()
    worker = system.worker()
    system.wait_for(system.submit(0.001))
    (child,) = psutil.Process(worker.process.pid).children()
    child.kill()
    eventually(lambda: not alive(child), "the child is dead")
    system.wait_for(system.submit(0.001))


def test_rabbitmq_is_killed_and_comes_back(system: QueueSystem, own: ServiceSet) -> None:
    """Accepted jobs survive, results are stored meanwhile, what is refused never runs, all recover."""
    system.task = "work:wait_for"
    web, worker = system.web(QUEUED_CONFIRM_TIMEOUT="1"), system.worker()
    jobs = [system.submit(str(system.folder / name)) for name in ("one", "two", "three")]
    system.wait_for(jobs[0], "running")
    time.sleep(
        2
    )  # RabbitMQ 3.10 loses a quorum queue that is younger than about a second: see queued.broker.link
    assert own.broker is not None
    own.broker.processes[0].kill()
    try:
        refused = system.ask("POST", "/jobs", {"input": "refused"}, X_Request_ID="refused")
        assert (refused.status, refused.json["type"]) == (503, "urn:queued:not-enqueued")
        assert int(refused.headers["Retry-After"]) >= 1
        for name in ("one", "two", "three", "refused"):
            (system.folder / name).touch()
        system.wait_for(jobs[0])
    finally:
        restart_broker(own)
    for job_id in jobs:
        assert system.result(job_id) == "seen"
    eventually(
        lambda: system.ask("POST", "/jobs", {"input": str(system.folder / "one")}).status == 202,
        "submissions are accepted again",
        system.logs,
    )
    states = [system.store().hget(key, "state") for key in system.store().scan_iter("queued:job:*")]
    assert states.count(b"failed") >= 1  # the record of the refused one says so
    eventually(lambda: system.messages() == 0, "the queue is empty", system.logs)
    starts = system.journal("start")
    assert [starts.count(job_id) for job_id in jobs] == [1, 1, 1]
    assert "refused" not in starts
    assert web.process.poll() is None
    assert worker.process.poll() is None


@pytest.mark.parametrize("path", ["store", "api"])
def test_redis_is_killed_and_comes_back(system: QueueSystem, own: ServiceSet, path: str) -> None:
    """The job in hand is run once and its result stored when Redis is back; meanwhile clients hear 503."""
    remember_everything(system)
    system.task = "work:wait_for"
    system.web()
    worker = system.worker(QUEUED_RESULT_PATH=path)
    job_id = system.submit(str(system.folder / "one"))
    system.wait_for(job_id, "running")
    assert own.store is not None
    own.store.process.kill()
    try:
        for method, where in (("POST", "/jobs"), ("GET", f"/jobs/{job_id}")):
            reply = system.ask(method, where, {"input": "x"} if method == "POST" else None)
            assert reply.status == 503
            assert int(reply.headers["Retry-After"]) >= 1
            assert reply.headers["Content-Type"] == "application/problem+json"
            assert b"127.0.0.1" not in reply.body
        (system.folder / "one").touch()
        eventually(lambda: "trying again" in worker.said, "the worker has tried", system.logs)
    finally:
        restart_store(own)
    assert system.result(job_id) == "seen"
    assert system.result(system.submit(str(system.folder / "one"))) == "seen"
    assert system.journal("start").count(job_id) == 1


def test_a_lost_record_is_written_again(system: QueueSystem) -> None:
    """A job whose record Redis lost was accepted all the same: it is run, and has a result."""
    system.web()
    job_id = system.submit(0.001)
    system.store().delete(f"queued:job:{job_id}")
    system.worker()
    eventually(lambda: system.get(f"/jobs/{job_id}").status == 200, "the job is known", system.logs)
    system.wait_for(job_id)
    assert system.journal("start") == [job_id]


def test_a_deleted_queue_is_declared_again(system: QueueSystem) -> None:
    """Somebody deletes the queue: the next submission is confirmed only once it is in a queue again."""
    system.web()
    system.worker()
    system.wait_for(system.submit(0.001))
    rabbitmq.delete_queues(system.broker_url, [system.work_queue])

    def accepted() -> Reply:
        reply = system.ask("POST", "/jobs", {"input": 0.001})
        assert reply.status in (202, 503), reply.body  # a queue that is on its way out refuses
        return reply

    replies = [accepted()]
    eventually(lambda: replies[-1].status == 202 or bool(replies.append(accepted())), "it is", system.logs)
    system.wait_for(replies[-1].json["id"])


def test_a_worker_waits_for_a_store_that_is_away_and_can_still_be_stopped(
    system: QueueSystem, own: ServiceSet
) -> None:
    """Told to stop while it can't even begin a job: it goes, and the job stays queued."""
    remember_everything(system)
    system.web()
    job_id = system.submit(0.001)
    assert own.store is not None
    own.store.process.kill()
    try:
        worker = system.worker()
        eventually(lambda: "trying again" in worker.said, "the worker has tried", system.logs)
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0
    finally:
        restart_store(own)
    assert system.journal("start") == []
    system.worker()
    system.wait_for(job_id)


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
