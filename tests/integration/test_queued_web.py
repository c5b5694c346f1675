"""Submitting, asking and keeping people out, on a real RabbitMQ and a real Redis."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager

import pytest
from queued_system import PATIENCE, TOKEN, QueueSystem, Reply, eventually

from bench.stack import rabbitmq
from bench.stack import redis as stack_redis
from bench.stack.installed import required
from bench.stack.services import ServiceSet

pytestmark = pytest.mark.integration


OTHERS = 1_000
"""Connections that a web takes beside those of its waiters."""


def ready(system: QueueSystem) -> None:
    eventually(lambda: system.get("/readyz").status == 200, "the web is ready", system.logs)


# --- the same submission twice ---


def test_a_repeated_submission_is_the_first_job(system: QueueSystem) -> None:
    """The same key and input, however often and at once: one job, one run; another input is refused."""
    system.web()
    system.worker()
    key = {"Idempotency_Key": "order-7"}
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: system.ask("POST", "/jobs", {"input": 0.01}, **key), range(8)))
    assert {reply.status for reply in replies} == {202}
    assert len({reply.json["id"] for reply in replies}) == 1
    assert sum("Idempotency-Replayed" not in reply.headers for reply in replies) == 1
    job_id = replies[0].json["id"]
    system.wait_for(job_id)
    late = system.ask("POST", "/jobs", {"input": {"seconds": 0.01}}, **key)  # the same, written otherwise
    assert (late.status, late.json["id"], late.json["state"]) == (202, job_id, "done")
    assert late.headers["Idempotency-Replayed"] == "true"
    other = system.ask("POST", "/jobs", {"input": 0.02}, **key)
    assert (other.status, other.json["type"]) == (422, "urn:queued:key-reused")
    assert len(system.journal("start")) == 1


# --- several tasks, deadlines ---


def test_one_web_takes_several_tasks(system: QueueSystem) -> None:
    """Each in a queue of its own, by name; without a name it is the first. Priorities only where set."""
    system.more = {"QUEUED_TASK": "sleep,spin", "QUEUED_PRIORITIES": "1"}
    system.web()
    jobs = {
        ("sleep", ""): system.submit(0.001),
        ("spin", ""): system.ask("POST", "/jobs", {"input": 0.001, "task": "spin"}).json["id"],
        ("spin", ".high"): system.ask(
            "POST", "/jobs", {"input": 0.001, "task": "spin", "priority": "high"}
        ).json["id"],
    }
    for (task, level), job_id in jobs.items():
        assert system.messages(f"{system.queue}.{task}{level}") == 1
        assert system.get(f"/jobs/{job_id}").json["task"] == task
    assert system.ask("POST", "/jobs", {"input": 1, "task": "caption"}).status == 400


def test_a_job_whose_deadline_passes_in_the_queue_expires(system: QueueSystem) -> None:
    """It never runs, and its result says that there will be none."""
    system.web()
    job_id = system.ask("POST", "/jobs", {"input": 0.01, "deadline": 0.2}).json["id"]
    system.wait_for(job_id, "expired")
    reply = system.get(f"/jobs/{job_id}/result")
    assert (reply.status, reply.json["type"]) == (410, "urn:queued:job-expired")
    system.worker()
    system.result(system.submit(0.001))
    assert job_id not in system.journal("start")


# --- overload ---


def test_too_long_a_wait_is_refused_with_a_truthful_time(system: QueueSystem) -> None:
    """429; who comes again after Retry-After is accepted."""
    system.web(QUEUED_MAX_WAIT="1.5")
    system.worker()
    assert (
        system.ask("POST", "/jobs", {"input": 0.5}, Prefer="wait=20").status == 200
    )  # now it knows how long
    refused = None
    for _ in range(20):
        reply = system.ask("POST", "/jobs", {"input": 0.5})
        if reply.status != 202:
            refused = reply
            break
        assert reply.json["expected_wait"] <= 1.5
    assert refused is not None
    assert (refused.status, refused.json["type"]) == (429, "urn:queued:too-long-a-wait")
    wait = int(refused.headers["Retry-After"])
    assert 1 <= wait <= 3
    time.sleep(wait)  # what the answer said
    assert system.ask("POST", "/jobs", {"input": 0.5}).status == 202


def test_a_full_queue_is_refused(system: QueueSystem) -> None:
    """429 beyond the length that the settings allow, and again room once one was taken back."""
    system.web(QUEUED_MAX_QUEUED="3")
    jobs = [system.submit(0.01) for _ in range(3)]
    full = system.ask("POST", "/jobs", {"input": 0.01})
    assert (full.status, full.json["type"]) == (429, "urn:queued:queue-full")
    assert int(full.headers["Retry-After"]) >= 1
    assert system.ask("DELETE", f"/jobs/{jobs[1]}").json["state"] == "cancelled"
    system.submit(0.01)


def test_a_long_body_is_refused(system: QueueSystem) -> None:
    """413 by its announced length, and by its real one where none is announced."""
    system.web(QUEUED_MAX_BODY="4096")
    body = json.dumps({"input": "x" * 5000}).encode()
    assert system.ask("POST", "/jobs", body).status == 413
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    assert system.ask("POST", "/jobs", chunked, Transfer_Encoding="chunked").status == 413


@contextmanager
def short_of_memory(kept: ServiceSet) -> Iterator[None]:
    """Have RabbitMQ believe that it uses more memory than it may."""
    assert kept.broker is not None
    node = kept.broker.processes[0].command
    control = required("RabbitMQ").path.with_name("rabbitmqctl")
    environment = {**os.environ, **node.env}

    def allow(what: str) -> None:
        subprocess.run(
            [control, "set_vm_memory_high_watermark", "absolute", what],
            env=environment,
            check=True,
            capture_output=True,
            timeout=60,
        )

    allow("1MB")
    try:
        yield
    finally:
        allow("800MB")


def test_a_broker_that_is_short_of_memory_refuses_clearly(system: QueueSystem, own: ServiceSet) -> None:
    """503 with the reason at once, `readyz` says so too; what was accepted is done, and all works again."""
    system.web(QUEUED_CONFIRM_TIMEOUT="2")
    accepted = [system.submit(0.001) for _ in range(5)]
    refused: list[Reply] = []

    def blocked() -> bool:
        reply = system.ask("POST", "/jobs", {"input": 0.001})
        if reply.status == 202:
            accepted.append(reply.json["id"])
        else:
            refused.append(reply)
        return "short of memory" in reply.json.get("detail", "")

    with short_of_memory(own):
        eventually(blocked, "submissions are refused", system.logs)
        assert {reply.status for reply in refused} == {503}
        assert all(int(reply.headers["Retry-After"]) >= 1 for reply in refused)
        assert "short of memory" in system.get("/readyz").json["detail"]
        assert system.state(accepted[0]) == "queued"  # asking works on
    ready(system)
    system.worker()
    accepted.append(system.submit(0.001))
    for job_id in accepted:
        system.wait_for(job_id)
    assert set(system.journal("start")) == set(accepted), "what was refused never runs"


def test_a_full_store_refuses_clearly(system: QueueSystem, own: ServiceSet) -> None:
    """503 with the reason; what was accepted is kept and done once there is room, nothing else is."""
    system.web()
    accepted = [system.submit(0.001) for _ in range(5)]
    with system.store() as raw:
        raw.config_set("maxmemory", "1mb")
        try:
            reply = system.ask("POST", "/jobs", {"input": 0.001})
            assert (reply.status, reply.headers["Content-Type"]) == (503, "application/problem+json")
            assert "full" in reply.json["detail"]
            assert int(reply.headers["Retry-After"]) >= 1
            assert system.state(accepted[0]) == "queued"
        finally:
            raw.config_set("maxmemory", "0")
    system.worker()
    for job_id in [*accepted, system.submit(0.001)]:
        system.wait_for(job_id)
    assert len(system.journal("start")) == 6


def test_readiness_names_the_part_that_is_away(system: QueueSystem, own: ServiceSet) -> None:
    """Broker, then store: 503 with its name while it is dead, 200 when it is back; alive all the time."""
    system.web()
    ready(system)
    assert own.broker is not None
    assert own.store is not None
    parts = (
        (own.broker.processes[0], "broker", lambda: rabbitmq.wait_ready(own.broker)),
        (own.store.process, "store", lambda: stack_redis.wait_ready(own.store)),
    )
    for process, name, wait_ready in parts:
        time.sleep(1.5)  # RabbitMQ 3.10 loses a quorum queue that is younger than about a second
        process.kill()
        try:
            eventually(lambda: system.get("/readyz").status == 503, f"the {name} is missed", system.logs)
            assert name in system.get("/readyz").json["detail"]
            assert system.get("/healthz").status == 200
        finally:
            process.start()
            wait_ready()
        ready(system)


# --- asking ---


def test_etags_save_what_the_client_has(system: QueueSystem) -> None:
    """304 while nothing has changed, for the status and for the result."""
    system.web()
    job_id = system.submit(0.01)
    first = system.get(f"/jobs/{job_id}")
    again = system.ask("GET", f"/jobs/{job_id}", If_None_Match=first.headers["ETag"])
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert again.headers["Retry-After"] == "1"
    system.worker()
    system.wait_for(job_id)
    changed = system.ask("GET", f"/jobs/{job_id}", If_None_Match=first.headers["ETag"])
    assert (changed.status, changed.json["state"]) == (200, "done")
    result = system.get(f"/jobs/{job_id}/result")
    same = system.ask("GET", f"/jobs/{job_id}/result", If_None_Match=result.headers["ETag"])
    assert (same.status, same.body) == (304, b"")


def test_cancelling_and_forgetting(system: QueueSystem) -> None:
    """A queued job never starts, a running one is stopped; a second DELETE forgets it."""
    system.task = "work:wait_for"
    system.web()
    queued = system.submit(str(system.folder / "never"))
    assert system.ask("DELETE", f"/jobs/{queued}").json == {"id": queued, "state": "cancelled"}
    assert system.get(f"/jobs/{queued}/result").status == 410
    system.worker(QUEUED_LEASE="1")
    running = system.submit(str(system.folder / "never"))
    system.wait_for(running, "running")
    assert system.ask("DELETE", f"/jobs/{running}").json["state"] == "cancelled"
    (system.folder / "go").touch()
    assert system.result(system.submit(str(system.folder / "go"))) == "seen"  # the worker is free
    assert queued not in system.journal("start")
    for job_id in (queued, running):
        assert system.ask("DELETE", f"/jobs/{job_id}").status == 204
        assert system.get(f"/jobs/{job_id}").status == 404
        assert system.ask("DELETE", f"/jobs/{job_id}").status == 404


def test_a_fetched_result_goes_sooner_where_that_is_set(system: QueueSystem) -> None:
    """A client that repeats its GET still gets it; later it is gone."""
    system.web(QUEUED_FETCHED_TTL="1")
    system.worker()
    job_id = system.submit(0.001)
    assert system.result(job_id) == system.result(job_id)
    eventually(lambda: system.get(f"/jobs/{job_id}").status == 404, "it is gone", system.logs)


# --- keeping people out ---


def test_a_job_is_its_submitters(system: QueueSystem) -> None:
    """With API keys nobody without one submits, and nobody reads or cancels another's job."""
    system.web(QUEUED_API_KEYS="anna:anna-key,bert:bert-key")
    anna, bert = {"Authorization": "Bearer anna-key"}, {"X_API_Key": "bert-key"}
    assert system.ask("POST", "/jobs", {"input": 0.01}).status == 401
    assert system.ask("POST", "/jobs", {"input": 0.01}, Authorization="Bearer anna").status == 401
    reply = system.ask("POST", "/jobs", {"input": 0.01}, Idempotency_Key="k", **anna)
    assert reply.status == 202
    job_id = reply.json["id"]
    for method, path in (("GET", ""), ("GET", "/result"), ("GET", "/events"), ("DELETE", "")):
        assert system.ask(method, f"/jobs/{job_id}{path}", **bert).status == 404
        assert system.ask(method, f"/jobs/{job_id}{path}").status == 401
    other = system.ask("POST", "/jobs", {"input": 0.01}, Idempotency_Key="k", **bert)
    assert other.json["id"] != job_id, "keys of two people never meet"
    assert system.ask("GET", f"/jobs/{job_id}", **anna).json["state"] == "queued"


def test_tokens_are_changed_without_a_gap(system: QueueSystem) -> None:
    """Old and new are valid together, so that web and workers are restarted in any order."""
    system.web(QUEUED_TOKEN=f"{TOKEN},the-next")
    for token in (TOKEN, "the-next", "the-next,and-one-after"):
        system.worker(QUEUED_RESULT_PATH="api", QUEUED_TOKEN=token)
    jobs = [system.submit(0.001) for _ in range(9)]
    for job_id in jobs:
        system.wait_for(job_id)
    assert system.ask("POST", "/worker/begin", {}, Authorization="Bearer the").status == 401


def test_submissions_are_limited_by_client(system: QueueSystem) -> None:
    """429 with the time until there is room; each key, else each address, for itself; polls are free."""
    system.web(QUEUED_RATE_LIMIT="3/s", QUEUED_TRUSTED_PROXIES="1")
    replies = [
        system.ask("POST", "/jobs", {"input": 0.01}, X_Forwarded_For="10.0.0.1, 10.0.0.7") for _ in range(10)
    ]
    refused = [reply for reply in replies if reply.status == 429]
    assert {reply.status for reply in replies} == {202, 429}
    assert refused[0].json["type"] == "urn:queued:too-many-requests"
    assert system.ask("POST", "/jobs", {"input": 0.01}, X_Forwarded_For="10.0.0.8").status == 202
    for _ in range(5):
        job_id = replies[0].json["id"]
        assert system.ask("GET", f"/jobs/{job_id}", X_Forwarded_For="10.0.0.7").status == 200
    time.sleep(int(refused[-1].headers["Retry-After"]))
    assert system.ask("POST", "/jobs", {"input": 0.01}, X_Forwarded_For="10.0.0.7").status == 202


def test_a_rate_limit_without_its_store_lets_everybody_in(system: QueueSystem) -> None:
    """What can't be counted is not refused for that; here the store is away altogether, which is a 503."""
    web = system.web(QUEUED_RATE_LIMIT="1/h", QUEUED_STORE_URL="redis://127.0.0.1:1/0")
    for _ in range(3):
        reply = system.ask("POST", "/jobs", {"input": 0.01})
        assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
    assert "not counted" in web.said


# --- the end ---


def test_a_restart_under_load_loses_and_doubles_nothing(system: QueueSystem) -> None:
    """Who finds the door closed, or no broker yet (503), comes again with its key; each job runs once."""
    web = system.web()
    ready(system)
    accepted: dict[str, str] = {}
    others: list[int] = []
    deadline = time.monotonic() + PATIENCE

    def submit(key: str) -> None:
        while key not in accepted and time.monotonic() < deadline:
            try:
                reply = system.ask("POST", "/jobs", {"input": 0.001}, Idempotency_Key=key)
            except (ConnectionError, http.client.HTTPException):
                time.sleep(0.05)  # closed for a moment
                continue
            if reply.status == 202:
                accepted[key] = reply.json["id"]
            elif reply.status != 503:  # the new web may not have its broker yet
                others.append(reply.status)

    with ThreadPoolExecutor(6) as pool:
        working = [pool.submit(submit, str(n)) for n in range(300)]
        eventually(lambda: len(accepted) > 50, "submissions go on", system.logs)
        web.signal(signal.SIGTERM)
        assert web.ended(20) == 0
        assert "Traceback" not in web.said
        system.web()
        for one in working:
            one.result()
    assert others == []
    assert len(set(accepted.values())) == 300
    system.worker(QUEUED_SHORT="1")
    for job_id in accepted.values():
        system.wait_for(job_id)
    assert sorted(system.journal("start")) == sorted(accepted.values())


def test_a_web_with_as_many_connections_as_it_takes_still_ends(system: QueueSystem) -> None:
    """More knock than may come in, and none of them says a word: it closes in the time it has."""
    web = system.web(QUEUED_MAX_WAITERS="1")
    with ExitStack() as opened:
        for _ in range(OTHERS + 30):
            opened.enter_context(closing(socket.create_connection(("127.0.0.1", system.port), PATIENCE)))
        web.signal(signal.SIGTERM)
        assert web.ended(20) == 0
    assert "cut off" not in web.said
    assert "Traceback" not in web.said
