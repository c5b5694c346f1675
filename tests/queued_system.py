"""The queue's own processes, started as a user would start them, for integration tests."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pika
import redis

from bench.stack import rabbitmq
from bench.stack.errors import StackError
from bench.stack.ports import free_ports
from queued.job import Job

PATIENCE = 60.0
"""Seconds after which a test says that something never happened."""
TOKEN = "a-token-for-tests"


def free_port() -> int:
    """A port that no outgoing connection is given, so that a server finds it free, and free again."""
    (port,) = free_ports(1)
    return port


@dataclass(frozen=True)
class Reply:
    """One HTTP answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body's JSON; a number longer than Python reads by default comes as its digits."""
        return json.loads(self.body, parse_int=lambda digits: int(digits) if len(digits) < 4300 else digits)


@dataclass
class Running:
    """One process of the system."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ended(self, timeout: float = PATIENCE) -> int:
        """Exit code, once it has ended."""
        return self.process.wait(timeout)


@dataclass
class QueueSystem:
    """Web and workers over the broker and the store of the test."""

    folder: Path
    broker_url: str
    store_url: str
    queue: str
    task: str = "sleep"
    package: str = "queued"
    more: dict[str, str] = field(default_factory=dict)
    started: list[Running] = field(default_factory=list)
    port: int = field(default_factory=free_port)

    @property
    def work_queue(self) -> str:
        """Where the jobs wait; those of normal priority, if there are several."""
        return self.queue if self.package == "queued.as_published" else f"{self.queue}.{self.task}"

    @property
    def dead_queue(self) -> str:
        return f"{self.work_queue}.dead"

    @property
    def journal_file(self) -> Path:
        return self.folder / "journal"

    def environment(self, **more: str) -> dict[str, str]:
        return {
            **os.environ,
            "QUEUED_BROKER_URL": self.broker_url,
            "QUEUED_STORE_URL": self.store_url,
            "QUEUED_QUEUE": self.queue,
            "QUEUED_TASK": self.task,
            "QUEUED_TOKEN": TOKEN,
            "QUEUED_API_URL": f"http://127.0.0.1:{self.port}",
            "QUEUEBENCH_JOURNAL": str(self.journal_file),
            "PYTHONPATH": str(self.folder),
            **self.more,
            **more,
        }

    def start(self, *words: str, inside: tuple[str, ...] = (), **more: str) -> Running:
        """Start a process, by the words `inside` if given; settings beyond the system's own as keywords."""
        log = self.folder / f"{len(self.started)}-{words[0]}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*inside, sys.executable, "-m", self.package, *words],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self.environment(**more),
                cwd=self.folder,
                start_new_session=True,
            )
        running = Running(process, log)
        self.started.append(running)
        return running

    def web(self, port: int = 0, **more: str) -> Running:
        """Start the web, on another port if one is given, and wait until it answers."""
        running = self.start("web", "--port", str(port or self.port), **more)
        at = replace(self, port=port or self.port)
        eventually(lambda: at._answers(running), "the web answers", lambda: running.said)
        return running

    def worker(self, *, inside: tuple[str, ...] = (), **more: str) -> Running:
        """Start a worker and wait until it has said that it is connected."""
        running = self.start("worker", inside=inside, **more)
        eventually(lambda: "is connected" in running.said, "the worker is connected", lambda: running.said)
        return running

    def consumer(self, **more: str) -> Running:
        """Start a published consumer and wait until it consumes."""
        running = self.start("consumer", **more)
        eventually(lambda: "waiting" in running.said, "the consumer consumes", lambda: running.said)
        return running

    def _answers(self, running: Running) -> bool:
        assert running.process.poll() is None, running.said
        try:
            return self.get("/healthz").status == 200
        except ConnectionError:
            return False

    def stop(self) -> None:
        """End all that was started, at once, and delete its queues."""
        for running in self.started:
            if running.process.poll() is None:
                os.killpg(running.process.pid, signal.SIGKILL)
            running.process.wait()
        tasks = {task for tasks in (self.task, self.more.get("QUEUED_TASK", "")) for task in tasks.split(",")}
        with suppress(StackError):  # the broker may have gone, with all that was in it
            rabbitmq.delete_queues(
                self.broker_url,
                [f"{self.queue}.{task}{end}" for task in tasks for end in ("", ".high", ".low", ".dead")],
            )

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Send one request; headers with `_` for `-`. A body that is not bytes goes as JSON."""
        data = (
            body if body is None or isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        )
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request(method, path, data, {k.replace("_", "-"): v for k, v in headers.items()})
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())

    def get(self, path: str) -> Reply:
        return self.ask("GET", path)

    def submit(self, value: Any, **headers: str) -> str:
        """Submit a job that must be accepted; its id."""
        reply = self.ask("POST", "/jobs", {"input": value}, **headers)
        assert reply.status == 202, reply.body
        job_id: str = reply.json["id"]
        return job_id

    def state(self, job_id: str) -> str:
        """State of a job; `unavailable` while the web can't tell."""
        reply = self.get(f"/jobs/{job_id}")
        if reply.status == 503:
            return "unavailable"
        assert reply.status == 200, reply.body
        state: str = reply.json["state"]
        return state

    def wait_for(self, job_id: str, state: str = "done") -> None:
        eventually(lambda: self.state(job_id) == state, f"job {job_id} is {state}", self.logs)

    def result(self, job_id: str) -> Any:
        """Output of a job, once it is done."""
        self.wait_for(job_id)
        reply = self.get(f"/jobs/{job_id}/result")
        assert reply.status == 200, reply.body
        return reply.json["output"]

    def journal(self, event: str) -> list[str]:
        """Ids of the jobs that had this event (start, end), in order."""
        if not self.journal_file.exists():
            return []
        lines = [json.loads(line) for line in self.journal_file.read_text().splitlines()]
        return [line["job"] for line in lines if line["event"] == event]

    def messages(self, queue: str = "") -> int:
        """How many messages wait in the (work) queue, not counting those that are out for acknowledgement."""
        with closing(pika.BlockingConnection(pika.URLParameters(self.broker_url))) as connection:
            declared = connection.channel().queue_declare(queue or self.work_queue, passive=True)
            count: int = declared.method.message_count
            return count

    def consumers(self) -> int:
        """How many consumers the (work) queue has."""
        with closing(pika.BlockingConnection(pika.URLParameters(self.broker_url))) as connection:
            count: int = (
                connection.channel().queue_declare(self.work_queue, passive=True).method.consumer_count
            )
            return count

    def dead(self) -> list[bytes]:
        """Take all messages out of the dead letters."""
        with closing(pika.BlockingConnection(pika.URLParameters(self.broker_url))) as connection:
            channel = connection.channel()
            taken = []
            while (body := channel.basic_get(self.dead_queue, auto_ack=True)[2]) is not None:
                taken.append(body)
            return taken

    def publish(self, body: bytes) -> None:
        """Put a message into the (work) queue, past the web."""
        with closing(pika.BlockingConnection(pika.URLParameters(self.broker_url))) as connection:
            connection.channel().basic_publish("", self.work_queue, body)

    def message(self, value: Any, job_id: str = "f" * 32, task: str = "") -> Job:
        """A job as a message would carry it, made past the web."""
        return Job(job_id, task or self.task, value, time.time(), queue=self.work_queue)

    def store(self) -> redis.Redis:
        return redis.Redis.from_url(self.store_url)

    def logs(self) -> str:
        return "\n".join(f"{running.log.name}:\n{running.said}" for running in self.started)


def eventually(true: Callable[[], bool], what: str, why: Callable[[], str] = str) -> None:
    """Look again until it is so; fail with the logs when it never is."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"never: {what}\n{why()}"
        time.sleep(0.02)
