"""`queued status`, `/metrics` and the logs: what an operator sees, on the real services."""

import json
import re
import signal
import urllib.request
from typing import Any

import pytest
from queued_command import queued
from queued_system import TOKEN, QueueSystem, eventually, free_port

pytestmark = pytest.mark.integration


def status(system: QueueSystem) -> dict[str, Any]:
    said = queued(system, "status", "--json", "--interval", "0.1")
    assert (said.code, said.err) == (0, "")
    told: dict[str, Any] = json.loads(said.out)
    return told


def figures(text: str) -> dict[str, float]:
    """Prometheus's text format: name with labels → value."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_status_tells_what_waits_and_who_works(system: QueueSystem) -> None:
    """Depth, running, consumers, slots, the oldest job's age and the service time, as JSON and as a table."""
    system.task = "work:wait_for"
    system.web()
    system.worker()
    jobs = [system.submit(str(system.folder / name)) for name in ("one", "two", "three")]
    system.wait_for(jobs[0], "running")

    def seen() -> dict[str, Any]:
        (queue,) = status(system)["queues"]
        return queue

    eventually(lambda: (seen()["workers"], seen()["ready"]) == (1, 2), "one works and two wait", system.logs)
    queue = seen()
    assert (queue["queue"], queue["waiting"], queue["running"]) == (system.work_queue, 2, 1)
    assert (queue["consumers"], queue["slots"], queue["service_time"]) == (1, 1, None)
    assert 0 < queue["oldest"] < 60
    for name in ("one", "two", "three"):
        (system.folder / name).touch()
    for job_id in jobs:
        system.wait_for(job_id)
    queue = seen()
    assert (queue["waiting"], queue["running"], queue["oldest"]) == (0, 0, None)
    assert queue["service_time"] > 0
    heading, *_ = (line for line in queued(system, "status").out.splitlines() if line.startswith("queue "))
    assert heading.split() == [
        *("queue", "ready", "waiting", "running", "retries", "consumers", "workers", "slots"),
        *("service", "wait", "oldest", "in/s", "done/s", "failed/s"),
    ]


def test_status_of_a_service_that_was_never_started(system: QueueSystem) -> None:
    """Nothing is declared and nothing recorded: that is told, and is no error."""
    told = status(system)
    assert (told["broker"], told["store"]) == ("ok", "ok")
    assert told["queues"][0]["ready"] is None
    assert told["queues"][0]["waiting"] == 0
    assert told["dead"] == {"sleep": None}


@pytest.mark.parametrize("part", ["broker", "store"])
def test_status_tells_what_is_away(system: QueueSystem, part: str) -> None:
    """The rest is told all the same; exit code 1; no password."""
    scheme = "amqp" if part == "broker" else "redis"
    away = {f"QUEUED_{part.upper()}_URL": f"{scheme}://me:hunter2@127.0.0.1:{free_port()}"}
    said = queued(system, "status", "--json", "--interval", "0.1", **away)
    assert said.code == 1
    assert "can't be reached" in json.loads(said.out)[part]
    assert "hunter2" not in said.out + said.err


def test_status_can_be_watched_until_ctrl_c(system: QueueSystem) -> None:
    """One line of JSON after another; Ctrl-C is how it ends, and no error."""
    watching = system.start("status", "--watch", "--json", "--interval", "0.1")
    eventually(lambda: watching.said.count("\n") >= 3, "it goes on", lambda: watching.said)
    watching.signal(signal.SIGINT)
    assert watching.ended() == 0
    assert "Traceback" not in watching.said


def test_a_worker_can_be_told_by_flags(system: QueueSystem) -> None:
    """What a person types comes before the environment, and the worker is what it was told to be."""
    system.web()
    worker = system.start(
        "worker",
        *("--task", "sleep", "--queue", system.queue, "--concurrency", "2", "--time-limit", "0.2"),
        QUEUED_TASK="spin",
        QUEUED_QUEUE="another",
        QUEUED_MAX_ATTEMPTS="1",
    )
    eventually(lambda: status(system)["queues"][0]["slots"] == 2, "two at a time", system.logs)
    system.wait_for(system.submit(0.001))
    system.wait_for(system.submit(30), "failed")
    worker.signal(signal.SIGTERM)
    assert worker.ended() == 0


def test_the_webs_metrics(system: QueueSystem) -> None:
    """Depth, in flight and submissions by answer can be scraped from the web."""
    system.task = "work:wait_for"
    system.web()
    system.worker()
    system.wait_for(system.submit(str(system.folder / "one")), "running")
    system.submit(str(system.folder / "two"))
    assert system.ask("POST", "/jobs", b"{").status == 400
    reply = system.get("/metrics")
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/plain; version=")
    told, of_queue = figures(reply.body.decode()), f'{{queue="{system.work_queue}"}}'
    assert told["queued_store_up"] == 1
    assert told[f"queued_waiting{of_queue}"] == 1
    assert told[f"queued_running{of_queue}"] == 1
    assert told[f"queued_slots{of_queue}"] == 1
    assert told['queued_submissions_total{status="202"}'] == 2
    assert told['queued_submissions_total{status="400"}'] == 1
    assert told[f'queued_events_total{{event="accepted",queue="{system.work_queue}"}}'] == 2
    assert told["queued_waiting_clients"] == 0
    (system.folder / "one").touch()
    (system.folder / "two").touch()


def test_a_workers_metrics(system: QueueSystem) -> None:
    """Wait and service time, how attempts ended and what is in flight can be scraped from a worker."""
    system.task = "work:end"
    port = free_port()
    system.more |= {"QUEUED_RETRY_FIRST": "0.05", "QUEUED_RETRY_MOST": "0.1", "QUEUED_MAX_ATTEMPTS": "2"}
    system.web()
    system.worker(QUEUED_METRICS_PORT=str(port))
    system.wait_for(system.submit("well"))
    system.wait_for(system.submit("raise"), "failed")

    def told() -> dict[str, float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
            return figures(reply.read().decode())

    def attempts(ending: str) -> float:
        name = f'queued_attempts_total{{ending="{ending}",queue="{system.work_queue}"}}'
        return told().get(name, 0)

    eventually(lambda: attempts("dead") == 1, "the last attempt is counted", system.logs)
    assert (attempts("done"), attempts("retry")) == (1, 1)
    of_queue = f'{{queue="{system.work_queue}"}}'
    assert told()[f"queued_wait_seconds_count{of_queue}"] == 3
    assert told()[f"queued_service_seconds_count{of_queue}"] == 3
    assert told()[f"queued_in_flight{of_queue}"] == 0


def test_a_metrics_port_that_is_taken_is_said_in_one_line(system: QueueSystem) -> None:
    """The worker does not start without the figures that were asked for."""
    system.web()
    worker = system.start("worker", "--metrics-port", str(system.port))
    assert worker.ended() == 2
    assert f"port {system.port}" in worker.said
    assert len(worker.said.splitlines()) == 1


def test_the_logs_say_which_job_and_no_secret(system: QueueSystem) -> None:
    """As JSON, each line of a job has its id, in the web's log and in the worker's; no token, no password."""
    system.task = "work:end"
    system.more |= {"QUEUED_LOG_FORMAT": "json", "QUEUED_RETRY_FIRST": "0.05", "QUEUED_RETRY_MOST": "0.1"}
    web, worker = system.web(), system.worker()
    job_id = system.submit("raise")  # and the keeper, in the web, brings the retry
    system.wait_for(job_id, "failed")

    def of_job(text: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("job") == job_id]

    eventually(lambda: bool(of_job(worker.said)), "the worker tells of it", system.logs)
    eventually(lambda: bool(of_job(web.said)), "the web tells of it", system.logs)
    assert {"time", "level", "logger", "pid", "message"} <= set(of_job(worker.said)[0])
    password = re.search(r":([^:@]+)@", system.broker_url)
    for secret in (TOKEN, *(password.groups() if password else ())):
        assert secret not in web.said + worker.said
