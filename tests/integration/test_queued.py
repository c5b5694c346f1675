"""The queue service in normal operation, on a real RabbitMQ and a real Redis."""

import json
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from queued_system import TOKEN, QueueSystem, eventually

pytestmark = pytest.mark.integration


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
        text = "ä" * 500_000  # longer in the message than it was in the submission
        assert system.result(system.submit(text)) == text
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
    assert system.store().keys("queued:job:*") == []
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
    message = json.loads(system.message({"seconds": 0.01}, job_id).encode())
    held = {"id": job_id, "queue": system.work_queue, "attempt": 1, "progress": None, "note": None}
    routes = (
        ("POST", "/factorial/update", update),
        ("PUT", f"/jobs/{job_id}/result?attempt=1", 5),
        ("POST", "/worker/begin", {"worker": "w", "jobs": [message]}),
        ("POST", "/worker/renew", {"worker": "w", "held": [held]}),
        ("POST", "/worker/give-back", {"held": [held]}),
        ("POST", "/worker/appear", {"queue": system.work_queue, "worker": "w", "slots": 1}),
        ("POST", "/worker/vanish", {"queue": system.work_queue, "worker": "w"}),
    )
    for method, path, body in routes:
        assert system.ask(method, path, body).status == 401
        assert system.ask(method, path, body, Authorization="Bearer another").status == 401
    assert system.state(job_id) == "queued"
    with_token = {"Authorization": f"Bearer {TOKEN}"}
    assert system.ask("POST", "/factorial/update", update, **with_token).json["status"] == "done"
    again = system.ask("PUT", f"/jobs/{job_id}/result?attempt=1", {"another": "end"}, **with_token)
    assert again.json["ending"] == "final"
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


@pytest.mark.parametrize("path", ["store", "api"])
def test_a_bad_message_blocks_nobody(system: QueueSystem, path: str) -> None:
    """What is not a job of this version and task goes to the dead letters at once, said in the log."""
    system.web()
    worker = system.worker(QUEUED_RESULT_PATH=path)
    foreign = system.message(0.01, task="spin")
    later = json.dumps({**json.loads(foreign.encode()), "v": 99}).encode()
    bad = [b"not a job", later, foreign.encode()]
    for body in bad:
        system.publish(body)
    system.wait_for(system.submit(0.001))
    assert "format 99" in worker.said
    assert "not JSON" in worker.said
    system.wait_for(foreign.id, "failed")
    assert "spin" in system.get(f"/jobs/{foreign.id}").json["problem"]["detail"]
    eventually(lambda: system.messages(system.dead_queue) == 3, "they are dead letters", system.logs)
    assert sorted(system.dead()) == sorted(bad)
    assert system.messages() == 0


def test_a_finished_job_that_comes_again_is_not_run(system: QueueSystem) -> None:
    """A message whose job's record is final is acknowledged and changes nothing."""
    system.web()
    worker = system.worker()
    job_id = system.submit(0.001)
    system.wait_for(job_id)
    system.publish(system.message({"seconds": 0.001}, job_id).encode())
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


def tree(pid: int) -> list[psutil.Process]:
    top = psutil.Process(pid)
    return [top, *top.children(recursive=True)]
