"""What the queue's guarantees cost: `make benchmark-queue`. Ratios measured in one run, not a test.

Our whole path (web, records, leases, retries, push) beside a bare floor: pika, prefetch 1, a quorum queue,
persistent messages, confirms, the same Redis, one SET before the ack, no web. Both in turn, round by round,
so that the machine's mood meets both; medians of the rounds.
"""

import contextlib
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pika
import psutil
import redis
from rich.console import Console
from rich.table import Table

from bench.stack.ports import LOOPBACK, free_ports
from bench.stack.process import Command, Process
from bench.stack.ready import ask, wait_for
from bench.stack.services import Services, ServiceSet

ROUNDS = 5
LATENCIES = 60
"""Jobs one after another, a round."""
PAUSE = 0.02
"""Seconds between two of them: the system is idle when one comes."""
DRAINED = 3000
"""No-op jobs a round and system."""
SUBMITTED = 1500
CONNECTIONS = 16
SPIN = {"seconds": 0.05, "gil": "held"}
SPUN = 160
IDLE = 10.0
"""Seconds."""
NOOP = "def noop(x):\n    return x\n"
SHARED = {"x-queue-type": "quorum"}


# --- the floor: what pika and Redis can do with the same promises and nothing else ---


def floor_worker(broker: str, store: str, queue: str, task: str) -> None:
    """Consume for ever: run, SET, tell, ack."""
    from workloads import load_task

    run = load_task(task).run
    client = redis.Redis.from_url(store)
    channel = pika.BlockingConnection(pika.URLParameters(broker)).channel()
    channel.queue_declare(queue, durable=True, arguments=SHARED)
    channel.basic_qos(prefetch_count=1)

    def work(_channel: Any, method: Any, properties: Any, body: bytes) -> None:
        output = json.dumps(run(json.loads(body)))
        with client.pipeline(transaction=False) as pipeline:
            pipeline.set(f"floor:{properties.message_id}", output, ex=3600)
            pipeline.publish("floor:told", properties.message_id)
            pipeline.execute()
        channel.basic_ack(method.delivery_tag)

    channel.basic_consume(queue, work)
    channel.start_consuming()


class FloorClient:
    """Publishes with confirms, and hears of results."""

    def __init__(self, broker: str, store: str, queue: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(broker))
        self._channel = self._connection.channel()
        self._channel.queue_declare(queue, durable=True, arguments=SHARED)
        self._channel.confirm_delivery()
        self._queue = queue
        self._told = redis.Redis.from_url(store).pubsub()
        self._told.subscribe("floor:told")
        self._count = 0

    def publish(self, value: Any) -> None:
        """Return once the broker has it."""
        self._count += 1
        self._channel.basic_publish(
            "",
            self._queue,
            json.dumps(value),
            pika.BasicProperties(delivery_mode=2, message_id=f"{id(self):x}-{self._count}"),
        )

    def round_trip(self) -> float:
        """Seconds from submission to the news of its result."""
        began = time.perf_counter()
        self.publish(1)
        while True:
            message = self._told.get_message(timeout=10)
            if message and message["type"] == "message":
                return time.perf_counter() - began

    def close(self) -> None:
        """Close both connections."""
        self._connection.close()
        self._told.close()


def publish_many(broker: str, store: str, queue: str, count: int, value: Any) -> None:
    """Fill a queue from several connections."""

    def some(n: int) -> None:
        client = FloorClient(broker, store, queue)
        for _ in range(n):
            client.publish(value)
        client.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(some, [count // 8] * 8))


# --- ours ---


@dataclass
class Stand:
    """Where both are measured: one broker, one store, one folder."""

    services: Services
    kept: ServiceSet
    folder: Path
    number: int = 0
    processes: list[Process] = field(default_factory=list)

    def name(self) -> str:
        """Return a queue's name that is new."""
        self.number += 1
        return f"bench{self.number}"

    def start(self, role: str, *words: str, **environment: str) -> Process:
        """Start a command of ours in Python."""
        log = self.folder / "logs" / f"{role}-{len(self.processes)}.log"
        command = Command(role, (sys.executable, *words), log, env=environment, cwd=self.folder)
        process = self.services.workspace.spawn(command)
        self.processes.append(process)
        return process

    def floor(self, queue: str, task: str) -> Process:
        """Start one of the floor's workers."""
        here = (str(Path(__file__).resolve()), "--floor-worker")
        return self.start("floor", *here, self.kept.broker_url, self.kept.store_url, queue, task)

    def ours(self, queue: str, task: str, part: str, *words: str, **more: str) -> Process:
        """Start a part of the service."""
        environment = {
            "QUEUED_BROKER_URL": self.kept.broker_url,
            "QUEUED_STORE_URL": self.kept.store_url,
            "QUEUED_QUEUE": queue,
            "QUEUED_TASK": task,
            **more,
        }
        return self.start(part, "-m", "queued", part, *words, **environment)

    def end(self, *processes: Process) -> None:
        """End them and wait."""
        self.services.workspace.end(processes, grace=5.0)


@contextlib.contextmanager
def stand() -> Iterator[Stand]:
    """Private services, and a module with a task that does nothing."""
    with tempfile.TemporaryDirectory(prefix="queuebench-benchmark-") as name:
        folder = Path(name)
        (folder / "nothing.py").write_text(NOOP)
        os.chdir(folder)
        with Services(folder) as services:
            yield Stand(services, services.acquire(None), folder)


class Web:
    """A web process of ours, or of the post's, with its address."""

    def __init__(self, at: Stand, queue: str, task: str, package: str = "queued", **more: str) -> None:
        (self.port,) = free_ports(1)
        self.at = at
        self.path = "/jobs" if package == "queued" else "/factorial?no=1"
        words = ("web", "--port", str(self.port))
        if package == "queued":
            self.process = at.ours(queue, task, *words, **more)
        else:
            self.process = at.start(
                "published",
                *("-m", package, *words),
                QUEUED_BROKER_URL=at.kept.broker_url,
                QUEUED_STORE_URL=at.kept.store_url,
                QUEUED_QUEUE=queue,
                QUEUED_TASK=task,
            )
        url = f"http://{LOOPBACK}:{self.port}"

        def alive() -> None:
            assert self.process.running, self.process.command.log.read_text()

        wait_for(
            lambda: ask(url, "GET", "/healthz", timeout=2),
            what="the web",
            deadline=time.monotonic() + 30,
            check=alive,
        )

    def connection(self) -> http.client.HTTPConnection:
        """Open a connection that is kept."""
        return http.client.HTTPConnection(LOOPBACK, self.port, timeout=30)

    def submit(
        self, connection: http.client.HTTPConnection, value: Any, headers: dict[str, str] | None = None
    ) -> int:
        """Submit one job; gives the HTTP status."""
        if self.path == "/jobs":
            connection.request("POST", self.path, json.dumps({"input": value}), headers or {})
        else:
            connection.request("GET", self.path)
        response = connection.getresponse()
        response.read()
        return response.status

    def submit_many(self, count: int, value: Any) -> float:
        """Submit from several connections; gives accepted jobs per second."""
        accepted = []

        def some(n: int) -> None:
            with contextlib.closing(self.connection()) as connection:
                for _ in range(n):
                    accepted.append(self.submit(connection, value) in (200, 202))

        began = time.perf_counter()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(some, [count // CONNECTIONS] * CONNECTIONS))
        assert all(accepted), "a submission was refused"
        return len(accepted) / (time.perf_counter() - began)


class Waiting:
    """Submits and waits for the result, with no library in the way: the client is not what is measured."""

    def __init__(self, port: int) -> None:
        body = b'{"input":1}'
        head = ("POST /jobs HTTP/1.1", f"Host: {LOOPBACK}", "Prefer: wait=20", f"Content-Length: {len(body)}")
        self._request = "\r\n".join((*head, "", "")).encode() + body
        self._socket = socket.create_connection((LOOPBACK, port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def round_trip(self) -> float:
        """Seconds from submission to the result."""
        began = time.perf_counter()
        self._socket.sendall(self._request)
        said = self._socket.recv(65536)
        while (length := re.search(rb"(?i)content-length: (\d+)\r\n(?s:.*?)\r\n\r\n", said)) is None or (
            len(said) < length.end() + int(length[1])
        ):
            said += self._socket.recv(65536)
        assert said.startswith(b"HTTP/1.1 200"), said
        return time.perf_counter() - began

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


# --- what is measured ---


def rate(done: Callable[[], int], total: int, limit: float = 120.0) -> float:
    """Jobs per second between a tenth and nine tenths of them: without the start and the end of a drain."""
    deadline = time.monotonic() + limit
    marks: list[tuple[float, int]] = []
    while (count := done()) < 0.9 * total:
        assert time.monotonic() < deadline, f"only {count} of {total} were done in {limit:g} s"
        if count >= 0.1 * total:
            marks.append((time.perf_counter(), count))
        time.sleep(0.01)
    marks.append((time.perf_counter(), count))
    (first, low), (last, high) = marks[0], marks[-1]
    return (high - low) / (last - first)


def latency(at: Stand) -> tuple[float, float]:
    """Median seconds from submission to result by push on an idle system: floor, ours."""
    floor_queue, queue, task = at.name(), at.name(), "nothing:noop"
    worker = at.floor(floor_queue, task)
    client = FloorClient(at.kept.broker_url, at.kept.store_url, floor_queue)
    web = Web(at, queue, task)
    ours = at.ours(queue, task, "worker")
    waiting = Waiting(web.port)
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(-20, LATENCIES):  # the first ones meet a system that has not settled
        for rival, taken in zip((client, waiting), times, strict=True):
            time.sleep(PAUSE)
            took = rival.round_trip()
            if number >= 0:
                taken.append(took)
    client.close()
    waiting.close()
    at.end(worker, ours, web.process)
    return statistics.median(times[0]), statistics.median(times[1])


def drain(at: Stand, count: int) -> tuple[float, float]:
    """No-op jobs per second with two workers: floor, ours."""
    store = redis.Redis.from_url(at.kept.store_url)
    queue, task = at.name(), "nothing:noop"
    publish_many(at.kept.broker_url, at.kept.store_url, queue, count, 1)
    store.flushall()
    workers = [at.floor(queue, task) for _ in range(2)]
    floor = rate(store.dbsize, count)
    at.end(*workers)
    queue = at.name()
    web = Web(at, queue, task, QUEUED_MAX_QUEUED="1000000")
    web.submit_many(count, 1)
    workers = [at.ours(queue, task, "worker", "--short") for _ in range(2)]
    ours = rate(lambda: int(store.hget(f"queued:load:{queue}.{task}", "done") or 0), count)
    at.end(*workers, web.process)
    return floor, ours


def spun(at: Stand, count: int) -> float:
    """Jobs per second of two workers of ours, from the records: nobody else takes CPU meanwhile to count."""
    store = redis.Redis.from_url(at.kept.store_url)
    store.flushall()
    queue = at.name()
    web = Web(at, queue, "spin", QUEUED_MAX_QUEUED="1000000")
    web.submit_many(count, SPIN)
    workers = [at.ours(queue, "spin", "worker", "--short") for _ in range(2)]
    deadline = time.monotonic() + 120
    while int(store.hget(f"queued:load:{queue}.spin", "done") or 0) < count:
        assert time.monotonic() < deadline, "the jobs were not done in 120 s"
        time.sleep(1)
    at.end(*workers, web.process)
    finished = sorted(float(store.hget(job, "finished")) for job in store.scan_iter("queued:job:*"))
    first, last = round(0.1 * len(finished)), round(0.9 * len(finished))
    return (last - first) / (finished[last] - finished[first])


def spun_bare(count: int) -> float:
    """Jobs per second of two processes that do nothing but the job."""
    code = (
        "import sys, time, json\nfrom workloads import load_task\nrun = load_task('spin').run\n"
        f"value = {SPIN!r}\nrun(value)\nprint('ready', flush=True)\nsys.stdin.readline()\n"
        f"for _ in range({count // 2}):\n    run(value)\nprint('done', flush=True)\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None
        process.stdout.readline()
    began = time.perf_counter()
    for process in both:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in both:
        process.communicate()
    return count / (time.perf_counter() - began)


def submission(at: Stand) -> tuple[float, float]:
    """Accepted jobs per second of one web process: the post's way, ours."""
    post, ours = (
        Web(at, at.name(), "sleep", "queued.as_published"),
        Web(at, at.name(), "sleep", QUEUED_MAX_QUEUED="1000000"),
    )
    figures = post.submit_many(SUBMITTED // 4, 1), ours.submit_many(SUBMITTED, 1)
    at.end(post.process, ours.process)
    return figures


def idle(at: Stand) -> tuple[float, float, float]:
    """Share of a core that an idle worker takes, its PSS in MB with its child, and the web's share."""
    queue = at.name()
    web = Web(at, queue, "nothing:noop")
    worker = at.ours(queue, "nothing:noop", "worker")
    with contextlib.closing(web.connection()) as connection:
        assert web.submit(connection, 1, {"Prefer": "wait=20"}) == 200
    family = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
    webs = [psutil.Process(web.process.pid), *psutil.Process(web.process.pid).children(recursive=True)]

    def spent(processes: list[psutil.Process]) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in processes)

    before = spent(family), spent(webs)
    time.sleep(IDLE)
    shares = (spent(family) - before[0]) / IDLE, (spent(webs) - before[1]) / IDLE
    pss = sum(process.memory_full_info().pss for process in family) / 2**20
    at.end(worker, web.process)
    return shares[0], pss, shares[1]


def fsync(folder: Path) -> float:
    """Median seconds that the disk takes to make 512 bytes durable."""
    times = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(200):
            file.write(b"x" * 512)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    """Measure all of it, round by round, and print the table."""
    console = Console()
    pairs: dict[str, list[tuple[float, float]]] = {
        name: [] for name in ("latency", "drain", "spin", "submit")
    }
    with stand() as at:
        syncs = []
        for number in range(1, ROUNDS + 1):
            console.print(f"round {number} of {ROUNDS}", style="dim")
            syncs.append(fsync(at.folder))
            pairs["latency"].append(latency(at))
            pairs["drain"].append(drain(at, DRAINED))
            pairs["submit"].append(submission(at))
            bare = spun_bare(SPUN)
            pairs["spin"].append((bare, spun(at, SPUN)))
        still, pss, web_still = idle(at)
    median = {
        name: tuple(map(statistics.median, zip(*values, strict=True))) for name, values in pairs.items()
    }
    ratio = {name: statistics.median(b / a for a, b in values) for name, values in pairs.items()}
    table = Table("what", "floor", "ours", "ratio", "target", title="the queue beside its floor")
    one, two = median["latency"]
    table.add_row(
        "one no-op job, submit to result by push",
        f"{one * 1e3:.2f} ms",
        f"{two * 1e3:.2f} ms",
        f"{ratio['latency']:.2f}",
        "≤ 2",
    )
    for name, what, target in (
        ("drain", "no-op drain, 2 workers, jobs/s", "≥ 1.5"),
        ("submit", "submissions/s (floor: a connection a publish, the post's web)", "≥ 6"),
        ("spin", "50-ms CPU jobs/s (floor: two bare processes)", "≥ 0.97"),
    ):
        one, two = median[name]
        table.add_row(what, f"{one:,.1f}", f"{two:,.1f}", f"{ratio[name]:.2f}", target)
    table.add_row("an idle worker's share of a core", "", f"{still:.2%}", "", "≤ 0.5 %")
    table.add_row("an idle web's share of a core", "", f"{web_still:.2%}", "", "")
    table.add_row("a worker with its child, PSS", "", f"{pss:.0f} MB", "", "≤ 45 MB")
    table.add_row("fsync of 512 bytes", f"{statistics.median(syncs) * 1e3:.2f} ms", "", "", "")
    console.print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--floor-worker"]:
        floor_worker(*sys.argv[2:])
    else:
        main()
