"""`queued status`: how busy the queues are, from the broker and from the store."""

import dataclasses
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from queued.broker import BrokerError
from queued.broker.operator import Operator
from queued.settings import Settings
from queued.store import Load, Store, StoreError


@dataclass(frozen=True)
class QueueStatus:
    """One work queue. Seconds and jobs per second; None: not known."""

    queue: str
    ready: int | None
    """Messages in the broker that no worker has taken; None also where the queue is not declared yet."""
    consumers: int | None
    waiting: int | None
    """Jobs that stand as queued in the store: those ready, and those whose message is with a worker."""
    running: int | None
    due: int | None
    """Jobs that wait for their next attempt."""
    workers: int | None
    slots: int | None
    service_time: float | None
    expected_wait: float | None
    oldest: float | None
    """Age of the job that has waited longest."""
    rates: Mapping[str, float]
    """Events per second over the interval that was looked at."""


@dataclass(frozen=True)
class Status:
    """The whole service at one moment."""

    time: float
    """Unix time in seconds."""
    broker: str
    """`ok`, or what is wrong."""
    store: str
    """`ok`, or what is wrong."""
    queues: Sequence[QueueStatus]
    dead: Mapping[str, int | None]
    """Dead letters by task."""

    @property
    def well(self) -> bool:
        """Whether broker and store answer."""
        return self.broker == self.store == "ok"


OF_THE_STORE = ("waiting", "running", "due", "workers", "slots", "service_time", "expected_wait", "oldest")
"""Fields that are the store's (`Load`)."""
RATES = ("accepted", "done", "failed", "retried")
"""Counters that are shown as rates."""


def look(settings: Settings, store: Store, interval: float) -> Status:
    """Look at every queue; rates are taken over `interval` seconds. Broker or store may be away."""
    loads: dict[str, Load] = {}
    rates: dict[str, dict[str, float]] = {}
    store_says = "ok"
    queues = [queue for task in settings.tasks for queue in settings.queues(task)]
    try:
        before, began = {queue: store.load(queue) for queue in queues}, time.monotonic()
        time.sleep(interval)
        loads, spent = {queue: store.load(queue) for queue in queues}, time.monotonic() - began
        rates = {queue: _rates(before[queue], loads[queue], spent) for queue in queues}
    except StoreError as error:
        store_says = str(error)
    depths: dict[str, tuple[int, int] | None] = {}
    broker_says = "ok"
    try:
        with Operator(settings) as operator:
            for queue in [*queues, *map(settings.dead_queue, settings.tasks)]:
                depths[queue] = operator.depth(queue)
    except BrokerError as error:
        broker_says = str(error)
    dead = {task: (depths.get(settings.dead_queue(task)) or (None,))[0] for task in settings.tasks}
    found = [_joined(queue, depths.get(queue), loads.get(queue), rates.get(queue, {})) for queue in queues]
    return Status(time.time(), broker_says, store_says, found, dead)


def _rates(before: Load, after: Load, spent: float) -> dict[str, float]:
    return {
        name: max(0, after.counters.get(name, 0) - before.counters.get(name, 0)) / spent if spent else 0.0
        for name in RATES
    }


def _joined(
    queue: str, depth: tuple[int, int] | None, load: Load | None, rates: Mapping[str, float]
) -> QueueStatus:
    ready, consumers = depth or (None, None)
    known: dict[str, Any] = {name: getattr(load, name, None) for name in OF_THE_STORE}
    return QueueStatus(queue=queue, ready=ready, consumers=consumers, rates=rates, **known)


HEADINGS = (
    *("queue", "ready", "waiting", "running", "retries", "consumers", "workers", "slots"),
    *("service", "wait", "oldest", "in/s", "done/s", "failed/s"),
)


def as_text(status: Status) -> str:
    """Write a table for people."""
    rows = [HEADINGS, *(_row(queue) for queue in status.queues)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEADINGS))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    dead = ", ".join(f"{_number(count)} of {task}" for task, count in status.dead.items())
    return "\n".join([f"broker {status.broker}, store {status.store}", *lines, f"dead letters: {dead}"])


def as_json(status: Status) -> str:
    """Write one line for programs."""
    return json.dumps(dataclasses.asdict(status))


def _row(queue: QueueStatus) -> tuple[str, ...]:
    counts = (queue.ready, queue.waiting, queue.running, queue.due)
    who = (queue.consumers, queue.workers, queue.slots)
    times = (queue.service_time, queue.expected_wait, queue.oldest)
    rates = [queue.rates.get(name) for name in ("accepted", "done", "failed")]
    return (
        queue.queue,
        *map(_number, (*counts, *who)),
        *map(_seconds, times),
        *("-" if rate is None else f"{rate:,.1f}" for rate in rates),
    )


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _seconds(value: float | None) -> str:
    """Write a duration with as many digits as matter."""
    if value is None:
        return "-"
    if value < 1:
        return f"{1000 * value:.3g} ms"
    return f"{value:.1f} s" if value < 600 else f"{value / 60:,.0f} min"


def show(settings: Settings, store: Store, *, interval: float, json_lines: bool, watch: bool) -> int:
    """Write the status to stdout; with `watch` again and again until Ctrl-C. 1: broker or store is away."""
    write = as_json if json_lines else as_text
    live = watch and not json_lines and sys.stdout.isatty()
    try:
        while True:
            status = look(settings, store, interval)
            clear = "\x1b[H\x1b[2J" if live else ""
            sys.stdout.write(f"{clear}{write(status)}\n")
            sys.stdout.flush()
            if not watch:
                return 0 if status.well else 1
            if status.store != "ok":  # else looking has taken the interval already
                time.sleep(interval)
    except KeyboardInterrupt:
        return 0 if watch else 130
