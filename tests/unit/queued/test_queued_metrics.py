"""Figures for Prometheus."""

from typing import Any, cast

import pytest
from flask import Flask
from prometheus_client import generate_latest

from queued import metrics
from queued.job import Done, Ending, Failed, Job, Outcome
from queued.problem import job_failed
from queued.settings import Settings
from queued.store import Load, Store, StoreError

SETTINGS = Settings("amqp://nowhere:1", "redis://nowhere:1", "sleep")
JOB = Job("a", "sleep", 1, 0.0, queue="jobs.sleep")
FAILED = Failed(job_failed("no"), 0.5, retry=True)


class Played:
    """A store with figures, or away."""

    away = False

    def load(self, queue: str) -> Load:
        if self.away:
            raise StoreError("the store can't be reached")
        return Load(3, 2, 1, 1, 2, 0.5, None, {"done": 7}, 4.5)


def shown(text: bytes) -> dict[str, float]:
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_the_web_shows_the_queues_and_its_answers() -> None:
    """What is not known is left out; only submissions count as such."""
    app, played = Flask("test"), Played()
    app.add_url_rule("/jobs", view_func=lambda: ("", 202), methods=["POST", "GET"])
    metrics.register(app, cast(Store, played), SETTINGS, lambda: 5)
    client = app.test_client()
    client.post("/jobs")
    client.get("/jobs")
    told = shown(client.get("/metrics").data)
    assert told['queued_waiting{queue="jobs.sleep"}'] == 3
    assert told['queued_expected_wait_seconds{queue="jobs.sleep"}'] == 4.5
    assert 'queued_oldest_seconds{queue="jobs.sleep"}' not in told
    assert told['queued_events_total{event="done",queue="jobs.sleep"}'] == 7
    assert told['queued_submissions_total{status="202"}'] == 1
    assert told["queued_submission_seconds_count"] == 1
    assert told["queued_waiting_clients"] == 5


def test_a_scrape_works_without_the_store() -> None:
    """That it is away is a figure too."""
    app, played = Flask("test"), Played()
    played.away = True
    metrics.register(app, cast(Store, played), SETTINGS)
    reply = app.test_client().get("/metrics")
    assert (reply.status_code, shown(reply.data)["queued_store_up"]) == (200, 0)


def test_two_of_them_do_not_meet() -> None:
    """Each application and each worker has a registry of its own."""
    for _ in range(2):
        metrics.register(Flask("test"), cast(Store, Played()), SETTINGS)
        metrics.PrometheusWatch()


@pytest.mark.parametrize(
    ("outcome", "ending", "word"),
    [
        (Done(b"1", 0.5), Ending.FINAL, "done"),
        (FAILED, Ending.FINAL, "failed"),
        (FAILED, Ending.RETRY, "retry"),
        (FAILED, Ending.BURY, "dead"),
        (FAILED, Ending.STALE, "stale"),
        (None, None, "let-go"),
    ],
)
def test_a_worker_counts_how_attempts_end(outcome: Outcome | None, ending: Ending | None, word: str) -> None:
    """Each in one way; nothing stays in flight."""
    watch = metrics.PrometheusWatch()
    watch.begun(JOB, -0.1)  # another machine's clock
    assert shown(generate_latest(watch.registry))['queued_in_flight{queue="jobs.sleep"}'] == 1
    watch.ended(JOB, outcome, ending)
    told: dict[str, Any] = shown(generate_latest(watch.registry))
    assert told['queued_in_flight{queue="jobs.sleep"}'] == 0
    assert told[f'queued_attempts_total{{ending="{word}",queue="jobs.sleep"}}'] == 1
    assert told['queued_wait_seconds_sum{queue="jobs.sleep"}'] == 0
