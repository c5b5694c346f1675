"""The queue service in normal operation and through the loss of each of its parts, on real services."""

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from queued_system import TOKEN, QueueSystem, eventually

from bench.stack import rabbitmq
from bench.stack import redis as stack_redis
from bench.stack.services import Services, ServiceSet
from queued.job import Job

pytestmark = pytest.mark.integration

MODULE = '''
import os, signal, time

def wait_for(x):
    """Run until the file x appears."""
    while not os.path.exists(x):
        time.sleep(0.005)
    return "seen"

def end(x):
    """Die as x says, in the middle of the job."""
    if x == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if x == "exit":
        os._exit(3)
    if x == "raise":
        raise ValueError("no such class")
    if x == "nan":
        return float("nan")
    if x == "long":
        return 10 ** 5000
    return x
'''


@pytest.fixture
def system(tmp_path: Path, broker_url: str, store_url: str, queue: str) -> Iterator[QueueSystem]:
    """Nothing started yet; ends all that the test starts."""
    (tmp_path / "work.py").write_text(MODULE)
    system = QueueSystem(tmp_path, broker_url, store_url, queue)
    yield system
    system.stop()


@pytest.fixture
def own(services: Services) -> ServiceSet:
    """The broker and store that these tests may kill."""
    kept = services.acquire(None)
    if kept.broker is None or kept.store is None:
        pytest.skip("needs private services, and QUEUEBENCH_…_URL names running ones")
    return kept


def restart_broker(kept: ServiceSet) -> None:
    assert kept.broker is not None
    kept.broker.processes[0].start()
    rabbitmq.wait_ready(kept.broker)


def restart_store(kept: ServiceSet) -> None:
    assert kept.store is not None
    kept.store.process.start()
    stack_redis.wait_ready(kept.store)


# --- normal operation ---


@pytest.mark.parametrize("path", ["store", "api"])
def test_a_job_goes_through(system: QueueSystem, path: str) -> None:
    """Accepted at once, run once, result handed out with what it took, message gone, record expires."""
    system.task = "factorial"
    system.web()
    # by the API, a worker needs no way to the store
    only = {"QUEUED_STORE_URL": ""} if path == "api" else {}
    system.worker(QUEUED_RESULT_PATH=path, **only)
    accepted = system.ask("POST", "/jobs", {"input": 2000}, X_Request_ID="one")
    assert accepted.status == 202
    assert accepted.headers["Location"] == f"/jobs/{accepted.json['id']}"
    assert accepted.headers["Retry-After"] == "1"
    job_id = accepted.json["id"]
    system.wait_for(job_id)
    told = system.get(f"/jobs/{job_id}").json
    assert told["created"] <= told["started"] <= told["finished"]
    reply = system.get(f"/jobs/{job_id}/result")
    assert reply.status == 200
    assert len(reply.json["output"]) == 5736
    assert re.fullmatch(r"wait;dur=[\d.]+, run;dur=[\d.]+", reply.headers["Server-Timing"])
    assert system.journal("start") == system.journal("end") == ["one"]
    assert 86_000 < system.store().ttl(f"queued:job:{job_id}") <= 86_400
    eventually(lambda: system.messages() == 0, "the message is gone", system.logs)


def test_the_posts_faces(system: QueueSystem) -> None:
    """Who follows the post submits by GET and reads input, status and output from one place."""
    system.task = "factorial"
    system.web()
    accepted = system.get("/factorial?no=20")
    assert accepted.status == 202
    where = f"/factorial/result?id={accepted.json['id']}"
    assert system.get(where).json == {"input": 20, "status": "processing", "output": None}
    system.worker()
    eventually(lambda: system.get(where).json["status"] == "done", "the result is there", system.logs)
    assert system.get(where).json == {"input": 20, "status": "done", "output": "2432902008176640000"}
    assert system.journal("start") == [accepted.json["id"]]


def test_the_users_own_function_and_a_very_long_number(system: QueueSystem) -> None:
    """A function named by module:function runs, and may return an int longer than Python's own limit."""
    system.task = "work:end"
    system.web()
    for path in ("store", "api"):
        worker = system.worker(QUEUED_RESULT_PATH=path)
        job_id = system.submit("long")
        system.wait_for(job_id)
        assert system.get(f"/jobs/{job_id}/result").body == b'{"output":1' + b"0" * 5000 + b"}"
        assert system.result(system.submit({"any": ["json"]})) == {"any": ["json"]}
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0


BAD = [  # method, path, body, status
    ("POST", "/jobs", b"{", 400),
    ("POST", "/jobs", b"", 400),
    ("POST", "/jobs", b'{"input": 1' + b"0" * 5000 + b"}", 400),
    ("POST", "/jobs", [1], 400),
    ("POST", "/jobs", {}, 400),
    ("POST", "/jobs", {"input": 0.1, "priority": 1}, 400),
    ("POST", "/jobs", {"input": -1}, 400),
    ("POST", "/jobs", {"input": "much"}, 400),
    ("POST", "/jobs", {"task": "spin", "input": 1}, 400),
    ("POST", "/jobs", b'{"input": "' + b"x" * (1 << 20) + b'"}', 413),
    ("PUT", "/jobs", {"input": 1}, 405),
    ("GET", "/factorial", None, 400),
    ("GET", "/factorial?no=-1", None, 400),
    ("GET", "/jobs/nobody", None, 404),
    ("GET", "/jobs/nobody/result", None, 404),
    ("GET", "/factorial/result?id=nobody", None, 404),
    ("GET", "/nowhere", None, 404),
]


def test_bad_input_is_told_and_never_queued(system: QueueSystem) -> None:
    """Every bad request is answered 4xx with problem details in one line; nothing is queued or recorded."""
    web = system.web()
    for method, path, body, status in BAD:
        reply = system.ask(method, path, body)
        assert (reply.status, reply.headers["Content-Type"]) == (status, "application/problem+json"), path
        assert reply.json["status"] == status
        assert "\n" not in reply.json["detail"]
    eventually(lambda: "is connected" in web.said, "the publisher is connected")
    assert system.messages() == 0
    assert system.store().keys("queued:*") == []
    assert "Traceback" not in web.said


def test_an_unfinished_job_has_no_result_yet(system: QueueSystem) -> None:
    """Who asks too early hears 409 and when to ask again, in whole seconds rounded down."""
    system.web(QUEUED_RETRY_AFTER="2.9")
    job_id = system.submit(0.01)
    for path, status in ((f"/jobs/{job_id}", 200), (f"/jobs/{job_id}/result", 409)):
        reply = system.get(path)
        assert (reply.status, reply.headers["Retry-After"]) == (status, "2")


def test_worker_routes_need_the_token(system: QueueSystem) -> None:
    """Nobody without the token delivers a result; with it, the first end stays."""
    system.web()
    job_id = system.submit(0.01)
    update = {"id": job_id, "status": "done", "output": 5}
    message = Job(job_id, "sleep", {"seconds": 0.01}, time.time()).encode()
    routes = (
        ("POST", "/factorial/update", update),
        ("PUT", f"/jobs/{job_id}/result", 5),
        ("POST", f"/jobs/{job_id}/start", message),
    )
    for method, path, body in routes:
        assert system.ask(method, path, body).status == 401
        assert system.ask(method, path, body, Authorization="Bearer another").status == 401
    assert system.state(job_id) == "queued"
    with_token = {"Authorization": f"Bearer {TOKEN}"}
    assert system.ask("POST", "/factorial/update", update, **with_token).json["status"] == "done"
    again = system.ask("PUT", f"/jobs/{job_id}/result", {"another": "end"}, **with_token)
    assert again.json["state"] == "done"
    assert system.result(job_id) == 5
    assert system.ask("POST", "/factorial/update", {"id": "nobody"}, **with_token).status == 400
    nobody = {**update, "id": "nobody"}
    assert system.ask("POST", "/factorial/update", nobody, **with_token).status == 404


def test_without_a_token_the_worker_routes_are_closed(system: QueueSystem) -> None:
    """A service that was given no token takes updates from nobody, not from everybody."""
    system.web(QUEUED_TOKEN="")
    job_id = system.submit(0.01)
    update = {"id": job_id, "status": "done", "output": 5}
    assert system.ask("POST", "/factorial/update", update).status == 403
    assert system.ask("POST", "/factorial/update", update, Authorization="Bearer ").status == 403


def test_a_worker_with_a_wrong_token_says_so_and_ends(system: QueueSystem) -> None:
    """It does not run jobs whose results it can't deliver: the job stays queued for another worker."""
    system.web()
    worker = system.start("worker", QUEUED_RESULT_PATH="api", QUEUED_TOKEN="another")
    job_id = system.submit(0.01)
    assert worker.ended() == 2
    assert "QUEUED_TOKEN" in worker.said.splitlines()[-1]
    assert system.journal("start") == []
    system.worker()
    system.wait_for(job_id)


@pytest.mark.parametrize("path", ["store", "api"])
def test_a_job_that_fails_is_told_and_harms_no_other(system: QueueSystem, path: str) -> None:
    """The task raises, or its process dies: that job has failed, told why; the worker does the next."""
    system.task = "work:end"
    system.web()
    worker = system.worker(QUEUED_RESULT_PATH=path)
    expected = {
        "raise": ("job-failed", "ValueError: no such class"),
        "nan": ("job-failed", "ValueError"),
        "exit": ("attempt-died", "exit code 3"),
        "kill": ("attempt-died", "SIGKILL"),
    }
    for how, (kind, words) in expected.items():
        job_id = system.submit(how)
        system.wait_for(job_id, "failed")
        reply = system.get(f"/jobs/{job_id}/result")
        assert reply.status == 500
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert reply.json["type"] == f"urn:queued:{kind}"
        assert words in reply.json["detail"]
        assert b"Traceback" not in reply.body
        posts = system.get(f"/factorial/result?id={job_id}").json
        assert (posts["status"], posts["output"], posts["problem"]) == ("failed", None, reply.json)
        assert system.result(system.submit(how + "?")) == how + "?"
    assert worker.process.poll() is None
    assert "no such class" in worker.said


def test_results_expire(system: QueueSystem) -> None:
    """An ended job is forgotten after the time that the settings say."""
    system.web(QUEUED_RESULT_TTL="0.3")
    system.worker(QUEUED_RESULT_TTL="0.3")
    job_id = system.submit(0.001)
    eventually(lambda: system.get(f"/jobs/{job_id}").status == 404, "the result expires", system.logs)
    assert len(system.journal("end")) == 1


def test_many_clients_at_once(system: QueueSystem) -> None:
    """Submissions that are sent to the broker together each get their own job, and each job runs once."""
    system.web()
    system.worker()
    system.worker()
    with ThreadPoolExecutor(12) as pool:
        jobs = list(pool.map(lambda n: system.submit(0.001, X_Request_ID=str(n)), range(60)))
    assert len(set(jobs)) == 60
    for job_id in jobs:
        system.wait_for(job_id)
    assert sorted(system.journal("start"), key=int) == [str(n) for n in range(60)]


def test_a_bad_message_blocks_nobody(system: QueueSystem) -> None:
    """What is not a job is thrown away with a line in the log, and a job of another task fails."""
    system.web()
    worker = system.worker()
    system.publish(b"not a job")
    foreign = Job("f" * 32, "spin", 0.01, time.time())
    system.publish(foreign.encode())
    system.wait_for(system.submit(0.001))
    assert "thrown away" in worker.said
    assert "spin" in system.get(f"/jobs/{foreign.id}").json["problem"]["detail"]
    eventually(lambda: system.messages() == 0, "all messages are gone", system.logs)


def test_a_finished_job_that_comes_again_is_not_run(system: QueueSystem) -> None:
    """A message whose job's record is final is acknowledged and changes nothing."""
    system.web()
    worker = system.worker()
    job_id = system.submit(0.001)
    system.wait_for(job_id)
    system.publish(Job(job_id, "sleep", {"seconds": 0.001}, time.time()).encode())
    eventually(lambda: "is done already" in worker.said, "the message has come", system.logs)
    worker.signal(signal.SIGTERM)
    assert worker.ended() == 0
    assert len(system.journal("start")) == 1
    assert system.messages() == 0


def test_idle_costs_next_to_nothing(system: QueueSystem) -> None:
    """Waiting for jobs is no busy loop, neither in a worker nor in the web."""
    web, worker = system.web(), system.worker()
    system.wait_for(system.submit(0.001))
    everything = [p for top in (web, worker) for p in tree(top.process.pid)]

    def spent() -> float:
        return sum(sum(process.cpu_times()[:2]) for process in everything)

    before = spent()
    time.sleep(2)  # the interval that is measured
    assert spent() - before < 0.2


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
    """Heartbeat of 5 s, job of 30 s: no connection is lost, and the job runs once."""
    system.more["QUEUED_HEARTBEAT"] = "5"
    web, worker = system.web(), system.worker()
    job_id = system.submit(30)
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
    system.store().flushall()
    system.worker()
    eventually(lambda: system.get(f"/jobs/{job_id}").status == 200, "the job is known", system.logs)
    system.wait_for(job_id)
    assert system.journal("start") == [job_id]


def test_a_deleted_queue_is_declared_again(system: QueueSystem) -> None:
    """Somebody deletes the queue: the next submission is confirmed only once it is in a queue again."""
    system.web()
    system.worker()
    system.wait_for(system.submit(0.001))
    rabbitmq.delete_queues(system.broker_url, [system.queue])
    system.wait_for(system.submit(0.001))


def test_a_worker_waits_for_a_store_that_is_away_and_can_still_be_stopped(
    system: QueueSystem, own: ServiceSet
) -> None:
    """Told to stop while it can't even begin a job: it goes, and the job stays queued."""
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


def tree(pid: int) -> list[psutil.Process]:
    top = psutil.Process(pid)
    return [top, *top.children(recursive=True)]


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
