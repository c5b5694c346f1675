"""Attempts at a job on a real RabbitMQ and a real Redis: retried, cut off, leased, given back, cancelled."""

import json
import signal
import time
from collections.abc import Iterator

import psutil
import pytest
from queued_system import QueueSystem, Running, eventually

from bench.stack import rabbitmq
from bench.stack.services import ServiceSet
from bench.stack.workspace import Workspace

pytestmark = pytest.mark.integration

WORK = '''
import ctypes, os, signal, time
from workloads import InvalidInput
from workloads.progress import report

def note(line):
    with open(os.environ["ATTEMPTS"], "a") as file:
        file.write(line + chr(10))

def task(x):
    """x: what to do at each attempt, in order; or a file to wait for; or a list with how long to sleep."""
    if isinstance(x, str):
        note(x)
        while not os.path.exists(x):
            time.sleep(0.005)
        return "seen"
    if isinstance(x, (int, float)):
        time.sleep(x)
        return x
    tried = 0
    if os.path.exists(os.environ["ATTEMPTS"]):
        with open(os.environ["ATTEMPTS"]) as file:
            tried = file.read().split().count(x["name"])
    note(x["name"])
    how = x["do"][min(tried, len(x["do"]) - 1)]
    if how == "raise":
        raise ValueError(f"attempt {tried + 1}")
    if how == "segfault":
        ctypes.string_at(0)
    if how == "memory":  # as the kernel does it when memory is out
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "invalid":
        raise InvalidInput("not this")
    if how == "long":
        return "x" * 2000
    if how == "hang":
        time.sleep(60)
    if how == "progress":
        report(0.25, "a quarter")
        while not os.path.exists(x["until"]):
            time.sleep(0.005)
    return tried + 1
'''


@pytest.fixture
def system(system: QueueSystem) -> QueueSystem:
    """Attempts follow one another quickly."""
    (system.folder / "tries.py").write_text(WORK)
    system.task = "tries:task"
    system.more |= {
        "ATTEMPTS": str(system.folder / "attempts"),
        "QUEUED_RETRY_FIRST": "0.2",
        "QUEUED_RETRY_MOST": "0.4",
    }
    return system


def submit(system: QueueSystem, *do: str, name: str = "job", **more: str) -> str:
    return system.submit({"name": name, "do": list(do), **more})


def attempts(system: QueueSystem) -> list[str]:
    file = system.folder / "attempts"
    return file.read_text().split() if file.exists() else []


def told(system: QueueSystem, job_id: str) -> dict[str, object]:
    status: dict[str, object] = system.get(f"/jobs/{job_id}").json
    return status


def child_of(worker: Running) -> psutil.Process:
    (child,) = psutil.Process(worker.process.pid).children()
    return child


# --- failures of the job itself ---


@pytest.mark.parametrize("path", ["store", "api"])
@pytest.mark.parametrize("how", ["raise", "segfault", "memory"])
def test_a_failed_attempt_is_followed_by_another(system: QueueSystem, how: str, path: str) -> None:
    """Exception, segfault or out of memory: that attempt fails and not the worker, and the next counts."""
    system.web()
    worker = system.worker(QUEUED_RESULT_PATH=path)
    job_id = submit(system, how, how, "well")
    assert system.result(job_id) == 3
    assert told(system, job_id)["attempt"] == 3
    assert worker.process.poll() is None
    assert system.messages() == 0
    assert system.dead() == []


@pytest.mark.parametrize("path", ["store", "api"])
def test_a_job_whose_attempts_are_used_up_is_a_dead_letter(system: QueueSystem, path: str) -> None:
    """After the last attempt it has failed for good, says why, and its message can be looked at."""
    system.web(QUEUED_MAX_ATTEMPTS="2")
    system.worker(QUEUED_RESULT_PATH=path, QUEUED_MAX_ATTEMPTS="2")
    job_id = submit(system, "raise")
    system.wait_for(job_id, "failed")
    assert "attempt 2" in system.get(f"/jobs/{job_id}/result").json["detail"]
    assert attempts(system) == ["job", "job"]
    eventually(lambda: system.messages(system.dead_queue) == 1, "it is a dead letter", system.logs)
    (letter,) = system.dead()
    assert json.loads(letter)["id"] == job_id
    assert system.messages() == 0


@pytest.mark.parametrize(("how", "says"), [("invalid", "not this"), ("long", "1,000 is the limit")])
def test_what_would_fail_again_is_not_tried_again(system: QueueSystem, how: str, says: str) -> None:
    """An input that the task refuses, or an output that is too long: one attempt, and no dead letter."""
    system.web()
    system.worker(QUEUED_MAX_OUTPUT="1000")
    job_id = submit(system, how)
    system.wait_for(job_id, "failed")
    assert says in system.get(f"/jobs/{job_id}/result").json["detail"]
    assert attempts(system) == ["job"]
    assert system.messages(system.dead_queue) == 0


def test_a_time_limit_ends_an_attempt(system: QueueSystem) -> None:
    """A job that hangs is killed at its limit, tried again, and another job need not wait for ever."""
    system.web()
    system.worker(QUEUED_TIME_LIMIT="0.5")
    job_id = submit(system, "hang", "well")
    other = submit(system, "well", name="other")
    assert system.result(job_id) == 2
    assert system.result(other) == 1


def test_a_broker_that_is_killed_between_two_attempts_loses_no_retry(
    system: QueueSystem, own: ServiceSet
) -> None:
    """The retry stands in the store while it waits: the broker may die and come back meanwhile."""
    assert own.broker is not None
    system.more |= {"QUEUED_RETRY_FIRST": "6", "QUEUED_RETRY_MOST": "6"}
    system.web()
    system.worker()
    job_id = submit(system, "raise", "well")
    eventually(lambda: told(system, job_id)["attempt"] == 1, "it runs", system.logs)
    system.wait_for(job_id, "queued")
    time.sleep(2)  # RabbitMQ 3.10 loses a quorum queue that is younger than about a second
    own.broker.processes[0].kill()
    own.broker.processes[0].start()
    rabbitmq.wait_ready(own.broker)
    assert system.result(job_id) == 2
    assert attempts(system) == ["job", "job"]


# --- cancelling ---


@pytest.mark.parametrize("path", ["store", "api"])
def test_a_running_job_can_be_cancelled(system: QueueSystem, path: str) -> None:
    """DELETE ends its process within seconds, and the worker goes on with the next."""
    system.web()
    worker = system.worker(QUEUED_RESULT_PATH=path)
    job_id = submit(system, "hang")
    eventually(lambda: attempts(system) == ["job"], "it runs", system.logs)
    child = child_of(worker)
    reply = system.ask("DELETE", f"/jobs/{job_id}")
    assert reply.status in (200, 202, 204), reply.body
    assert system.state(job_id) == "cancelled"
    eventually(lambda: not child.is_running(), "its process is gone", system.logs)
    assert system.result(submit(system, "well", name="next")) == 1
    assert system.state(job_id) == "cancelled"
    eventually(lambda: system.messages() == 0, "no message is left", system.logs)


def test_a_queued_job_that_is_cancelled_never_starts(system: QueueSystem) -> None:
    """Its message is dropped when its turn comes."""
    system.web()
    job_id = submit(system, "well")
    system.ask("DELETE", f"/jobs/{job_id}")
    system.worker()
    assert system.result(submit(system, "well", name="next")) == 1
    assert attempts(system) == ["next"]
    assert system.state(job_id) == "cancelled"


# --- leases ---


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_message_waits_for_the_attempt_that_lives(system: QueueSystem, workers: int) -> None:
    """The same message again while the job runs: nobody runs it a second time, here or elsewhere."""
    system.web()
    started = [system.worker() for _ in range(workers)]
    job_id = system.submit(str(system.folder / "go"))
    eventually(lambda: len(attempts(system)) == 1, "it runs", system.logs)
    message = system.message(str(system.folder / "go"), job_id)
    for _ in range(3):
        system.publish(message.encode())
    if workers == 2:
        eventually(lambda: any("another attempt lives" in w.said for w in started), "one waits", system.logs)
    (system.folder / "go").touch()
    assert system.result(job_id) == "seen"
    eventually(lambda: system.messages() == 0, "no message is left", system.logs)
    assert len(attempts(system)) == 1


@pytest.mark.slow
def test_a_worker_that_is_stopped_for_longer_than_heartbeat_and_lease_loses_its_job(
    system: QueueSystem,
) -> None:
    """Its job runs elsewhere and has one result; back again, the worker lets go of it and works on."""
    system.more |= {"QUEUED_HEARTBEAT": "2", "QUEUED_LEASE": "2"}
    system.web()
    frozen = system.worker()
    job_id = system.submit(str(system.folder / "go"))
    eventually(lambda: len(attempts(system)) == 1, "it runs", system.logs)
    child = child_of(frozen)
    frozen.signal(signal.SIGSTOP)
    child.suspend()
    system.worker()
    eventually(lambda: len(attempts(system)) == 2, "another worker runs it", system.logs)
    eventually(lambda: system.consumers() == 1, "the broker has given it up", system.logs)
    frozen.signal(signal.SIGCONT)
    eventually(lambda: not child.is_running(), "the first lets go of it", system.logs)
    (system.folder / "go").touch()
    assert system.result(job_id) == "seen"
    assert told(system, job_id)["attempt"] == 2
    eventually(lambda: frozen.said.count("is connected") == 2, "it is back", system.logs)
    eventually(lambda: system.messages() == 0, "no message is left", system.logs)


@pytest.fixture(scope="module")
def impatient_broker(_kept: list[Workspace], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of one that takes a message back from whoever has not acknowledged it within 2 s."""
    with Workspace() as workspace:
        _kept.append(workspace)
        logs = tmp_path_factory.mktemp("impatient")
        yield rabbitmq.start(workspace, logs, consumer_timeout=2, channel_tick=0.5).url
        _kept.remove(workspace)


@pytest.fixture
def impatient(system: QueueSystem, impatient_broker: str) -> Iterator[QueueSystem]:
    """The queue service over that broker."""
    system.broker_url = impatient_broker
    yield system
    system.stop()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_longer_than_the_brokers_patience_is_done_once(impatient: QueueSystem, workers: int) -> None:
    """consumer_timeout closes the channel again and again; the lease keeps the job from a second run."""
    system = impatient
    system.web()
    started = [system.worker() for _ in range(workers)]
    job_id = system.submit(8)
    assert system.result(job_id) == 8
    assert system.journal("start") == [job_id]
    assert any("timeout" in worker.said.lower() for worker in started), system.logs()
    eventually(lambda: system.messages() == 0, "no message is left", system.logs)


def test_the_store_may_be_slow_to_come_back(system: QueueSystem) -> None:
    """A worker whose lease has ended and whose job nobody took goes on with it: one run, one result."""
    system.more |= {"QUEUED_LEASE": "1"}
    system.web()
    worker = system.worker()
    job_id = system.submit(str(system.folder / "go"))
    eventually(lambda: len(attempts(system)) == 1, "it runs", system.logs)
    worker.signal(signal.SIGSTOP)
    key, queue = f"queued:job:{job_id}", system.work_queue
    eventually(lambda: not alive_in(system, queue, job_id), "its lease is over", system.logs)
    worker.signal(signal.SIGCONT)
    eventually(lambda: alive_in(system, queue, job_id), "it is renewed", system.logs)
    (system.folder / "go").touch()
    assert system.result(job_id) == "seen"
    assert system.store().hget(key, "attempt") == b"1"
    assert len(attempts(system)) == 1


def alive_in(system: QueueSystem, queue: str, job_id: str) -> bool:
    """Whether a living attempt at the job is noted."""
    until = system.store().zscore(f"queued:running:{queue}", job_id)
    return until is not None and until > time.time()


# --- many at a time ---


def test_two_children_work_side_by_side(system: QueueSystem) -> None:
    """Concurrency 2: two jobs run at the same time in one worker, the third waits in the queue."""
    system.web()
    system.worker(QUEUED_CONCURRENCY="2")
    jobs = [system.submit(str(system.folder / name)) for name in ("a", "b", "c")]
    eventually(lambda: len(attempts(system)) == 2, "two run", system.logs)
    assert [system.state(job_id) for job_id in jobs] == ["running", "running", "queued"]
    assert system.messages() == 1
    for name in "abc":
        (system.folder / name).touch()
    assert [system.result(job_id) for job_id in jobs] == ["seen"] * 3


def test_a_short_task_that_is_not_short_holds_up_nobody(system: QueueSystem) -> None:
    """A worker holds many messages of a short task; behind one that takes long they go to another worker."""
    system.more["QUEUED_SHORT"] = "1"
    system.web()
    first = system.worker()
    long = system.submit(str(system.folder / "go"))
    eventually(lambda: len(attempts(system)) == 1, "it runs", system.logs)
    short = [system.submit(0) for _ in range(30)]
    eventually(lambda: "behind it go back" in first.said, "they go back", system.logs)
    eventually(lambda: system.messages() == 30, "they wait in the queue", system.logs)
    assert {system.state(job_id) for job_id in short} == {"queued"}
    system.worker()
    for job_id in short:
        assert system.result(job_id) == 0
    assert system.state(long) == "running"
    (system.folder / "go").touch()
    assert system.result(long) == "seen"
    again = [system.submit(0) for _ in range(60)]
    for job_id in again:
        assert system.result(job_id) == 0
    starts = system.journal("start")
    assert len(starts) == len(set(starts)) == 91


def test_priorities_come_first_and_never_starve_the_low(system: QueueSystem) -> None:
    """With a backlog in all queues, the urgent are done first for the most part, the low not only last."""
    system.more["QUEUED_PRIORITIES"] = "1"
    system.web()
    order = {}
    for priority in ("low", "normal", "high"):
        for _ in range(20):
            body = {"input": 0.001, "priority": priority}
            reply = system.ask("POST", "/jobs", body)
            assert reply.status == 202, reply.body
            order[reply.json["id"]] = priority
    system.worker()
    for job_id in order:
        system.wait_for(job_id)
    done = [order[job_id] for job_id in system.journal("start")]
    assert len(done) == 60
    first = done[:30]
    assert first.count("high") > first.count("normal") > first.count("low") > 0
    eventually(lambda: system.messages() == 0, "no message is left", system.logs)
    idle = system.ask("POST", "/jobs", {"input": 0.001, "priority": "low"})
    system.wait_for(idle.json["id"])


def test_progress_is_seen(system: QueueSystem) -> None:
    """What a task reports is in the job's status while it runs."""
    system.web()
    system.worker()
    job_id = submit(system, "progress", until=str(system.folder / "go"))
    eventually(lambda: told(system, job_id)["progress"] == 0.25, "it is seen", system.logs)
    assert told(system, job_id)["note"] == "a quarter"
    (system.folder / "go").touch()
    assert system.result(job_id) == 1


# --- leaving ---


@pytest.mark.parametrize("path", ["store", "api"])
def test_a_worker_whose_time_is_up_gives_its_job_back(system: QueueSystem, path: str) -> None:
    """SIGTERM, and the job takes longer than the grace: cut off, queued again at once, and not a failure."""
    system.web()
    worker = system.worker(QUEUED_RESULT_PATH=path, QUEUED_GRACE="0.5")
    job_id = system.submit(str(system.folder / "go"))
    eventually(lambda: len(attempts(system)) == 1, "it runs", system.logs)
    worker.signal(signal.SIGTERM)
    assert worker.ended() == 0
    assert system.state(job_id) == "queued"
    eventually(lambda: system.messages() == 1, "its message is back", system.logs)
    (system.folder / "go").touch()
    system.worker(QUEUED_RESULT_PATH=path)
    assert system.result(job_id) == "seen"
    assert len(attempts(system)) == 2


def test_a_worker_that_holds_many_returns_what_it_has_not_begun(system: QueueSystem) -> None:
    """SIGTERM in the middle of a lot of short jobs: none is lost, none waits for a lease to end."""
    system.more |= {"QUEUED_SHORT": "1", "QUEUED_LEASE": "600"}
    system.web()
    jobs = [system.submit(0.02) for _ in range(60)]
    worker = system.worker()
    eventually(lambda: len(system.journal("end")) > 5, "some are done", system.logs)
    worker.signal(signal.SIGTERM)
    assert worker.ended() == 0
    done = system.journal("end")
    assert system.journal("start") == done
    assert [system.state(job_id) for job_id in jobs].count("queued") == 60 - len(done) > 0
    system.worker()
    for job_id in jobs:
        system.wait_for(job_id)
    assert len(system.journal("start")) == 60


@pytest.mark.parametrize("seam", ["after-store", "before-retry-ack"])
def test_a_worker_that_dies_before_it_acknowledges_changes_nothing(system: QueueSystem, seam: str) -> None:
    """Killed between store and broker: the message comes again, and neither result nor attempt is doubled."""
    seams = system.folder / "seams"
    seams.mkdir()
    (seams / seam).touch()
    system.web()
    worker = system.worker(QUEUED_SEAMS=str(seams))
    job_id = submit(system, "raise", "well")
    assert worker.ended() == -signal.SIGKILL
    system.worker(QUEUED_SEAMS=str(seams))
    assert system.result(job_id) == 2
    assert attempts(system) == ["job", "job"]
    eventually(lambda: system.messages() == 0, "no message is left", system.logs)
    assert not any(seams.iterdir())
