"""Figures for Prometheus, of one process each: a registry of its own, nothing global.

A worker tells a `Watch` what it does; the web counts its answers and asks the store for the queues' figures
when it is scraped. prometheus-client is imported only where there is something to show, because a worker that
shows nothing should not carry it.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from queued.errors import QueuedError
from queued.job import Done, Ending, Job, Outcome
from queued.settings import Settings

if TYPE_CHECKING:
    from flask import Flask, Response
    from prometheus_client.metrics_core import Metric

    from queued.store import Load, Store

log = logging.getLogger(__name__)

WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
"""Bounds in seconds, for a job's wait as for its run: jobs take from milliseconds to an hour."""


class MetricsError(QueuedError):
    """The figures can't be shown as asked."""


class Watch:
    """Is told what a worker does; this one does nothing with it."""

    def begun(self, job: Job, wait: float) -> None:
        """An attempt begins, `wait` seconds after the job was submitted."""

    def ended(self, job: Job, outcome: Outcome | None, ending: Ending | None) -> None:
        """The attempt is over. Without an outcome it was cancelled or given back."""


class PrometheusWatch(Watch):
    """Counts and times the attempts of one worker. Safe to share between threads."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()
        names = ["queue"]
        more: dict[str, Any] = {"registry": self.registry}
        self._wait = Histogram(
            "queued_wait_seconds", "From submission to the begin of an attempt.", names, buckets=WAITS, **more
        )
        self._service = Histogram(
            "queued_service_seconds", "What the task took, per attempt.", names, buckets=WAITS, **more
        )
        self._attempts = Counter(
            "queued_attempts", "Attempts that are over, by how they ended.", [*names, "ending"], **more
        )
        self._in_flight = Gauge("queued_in_flight", "Attempts that run now.", names, **more)

    def begun(self, job: Job, wait: float) -> None:
        """See `Watch`."""
        self._wait.labels(job.queue).observe(max(0.0, wait))  # clocks of two machines may differ
        self._in_flight.labels(job.queue).inc()

    def ended(self, job: Job, outcome: Outcome | None, ending: Ending | None) -> None:
        """See `Watch`."""
        self._in_flight.labels(job.queue).dec()
        self._attempts.labels(job.queue, _word(outcome, ending)).inc()
        if outcome is not None and outcome.run is not None:
            self._service.labels(job.queue).observe(outcome.run)


@contextmanager
def watching(port: int | None) -> Iterator[Watch]:
    """Give what a worker is to tell; with a port, `http://…:port/metrics` shows it, on all addresses.

    Raises MetricsError when the port can't be had.
    """
    if port is None:
        yield Watch()
        return
    from prometheus_client import start_http_server

    watch = PrometheusWatch()
    try:
        server, thread = start_http_server(port, registry=watch.registry)
    except (OSError, OverflowError) as error:
        raise MetricsError(f"the metrics can't be served on port {port}: {error}") from error
    log.info("metrics are served on port %d", port)
    try:
        yield watch
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def register(
    app: "Flask", store: "Store", settings: Settings, waiting: Callable[[], int] | None = None
) -> None:
    """Add `/metrics` to the web.

    `waiting` tells how many clients wait here by long-poll, event stream or WebSocket.
    """
    from flask import Response, request
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    registry = CollectorRegistry()
    submissions = Counter(
        "queued_submissions", "Submissions that were answered here, by status.", ["status"], registry=registry
    )
    took = Histogram(
        "queued_submission_seconds", "From a submission to its answer.", buckets=WAITS, registry=registry
    )
    if waiting is not None:
        clients = Gauge("queued_waiting_clients", "Clients that wait here for news.", registry=registry)
        clients.set_function(waiting)
    registry.register(Queues(store, settings))

    def begin() -> None:
        if _submits(request.method, request.path):
            request.environ["queued.began"] = time.perf_counter()

    def count(response: "Response") -> "Response":
        began = request.environ.get("queued.began")
        if began is not None:
            submissions.labels(str(response.status_code)).inc()
            took.observe(time.perf_counter() - began)
        return response

    def show() -> "Response":
        return Response(
            generate_latest(registry), headers={"Cache-Control": "no-store"}, content_type=CONTENT_TYPE_LATEST
        )

    app.before_request(begin)
    app.after_request(count)
    app.add_url_rule("/metrics", view_func=show, endpoint="metrics")


class Queues:
    """Collects what the store knows of the queues when it is scraped: the whole service's figures."""

    def __init__(self, store: "Store", settings: Settings) -> None:
        self._store = store
        self._queues = [queue for task in settings.tasks for queue in settings.queues(task)]

    def describe(self) -> Iterable["Metric"]:
        """Name nothing beforehand: the registry need not ask the store when this is registered."""
        return []

    def collect(self) -> Iterable["Metric"]:
        """Give the figures; without the store only that it can't be reached, for a scrape must not fail."""
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

        reached = GaugeMetricFamily("queued_store_up", "Whether the store answers.")
        try:
            loads = {queue: self._store.load(queue) for queue in self._queues}
        except QueuedError:
            reached.add_metric([], 0)
            yield reached
            return
        reached.add_metric([], 1)
        yield reached
        for name, words, read in GAUGES:
            gauge = GaugeMetricFamily(f"queued_{name}", words, labels=["queue"])
            for queue, load in loads.items():
                value = read(load)
                if value is not None:
                    gauge.add_metric([queue], value)
            yield gauge
        events = CounterMetricFamily(
            "queued_events", "What happened to jobs, of all workers and webs.", labels=["queue", "event"]
        )
        for queue, load in loads.items():
            for event, count in sorted(load.counters.items()):
                events.add_metric([queue, event], count)
        yield events


GAUGES: tuple[tuple[str, str, Callable[["Load"], float | None]], ...] = (
    ("waiting", "Jobs that wait in the queue.", lambda load: load.waiting),
    ("running", "Jobs that run.", lambda load: load.running),
    ("due", "Jobs that wait for their next attempt.", lambda load: load.due),
    ("workers", "Workers that consume.", lambda load: load.workers),
    ("slots", "Jobs that all workers can run at once.", lambda load: load.slots),
    ("mean_service_seconds", "Running mean of what a job takes.", lambda load: load.service_time),
    ("expected_wait_seconds", "Expected wait of a job submitted now.", lambda load: load.expected_wait),
    ("oldest_seconds", "How long the job that waits longest has waited.", lambda load: load.oldest),
)


def _submits(method: str, path: str) -> bool:
    return (method, path) in (("POST", "/jobs"), ("GET", "/factorial"))


def _word(outcome: Outcome | None, ending: Ending | None) -> str:
    """Say how an attempt ended in one word, for a label."""
    match ending:
        case None:
            return "let-go"
        case Ending.RETRY:
            return "retry"
        case Ending.BURY:
            return "dead"
        case Ending.STALE:
            return "stale"
    return "done" if isinstance(outcome, Done) else "failed"
