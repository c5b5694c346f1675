"""Webhooks, from the end of a job to a receiver that is really there."""

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from queued_system import QueueSystem, eventually

from bench.stack.ports import accepts
from queued import webhooks
from queued.job import Done, Failed, Job, Outcome, State, new_id
from queued.problem import job_failed
from queued.settings import Settings
from queued.store import NewJob, Store
from queued.webhooks import Webhooks

pytestmark = pytest.mark.integration

SECRET = "whsec_" + base64.b64encode(b"a secret of the operator and receiver").decode()


@dataclass(frozen=True)
class Came:
    """One webhook, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    when: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def is_signed(self) -> bool:
        """Whether a receiver that follows the scheme takes it: id, time and body, and not long ago."""
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        recent = abs(time.time() - int(self.headers["webhook-timestamp"])) < 300
        return recent and f"v1,{expected}" in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """A submitter's server; `answer` gives the status, and headers, of the answer to a path."""

    answer: Callable[[str], tuple[int, dict[str, str]]] = lambda _path: (204, {})
    came: list[Came] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        return [one.path for one in self.came]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that takes everything, until it is told otherwise."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            kept.came.append(Came(self.path, headers, body, time.monotonic()))
            status, more = kept.answer(self.path)
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.end_headers()

        def do_GET(self) -> None:
            kept.came.append(Came(f"GET {self.path}", {}, b"", time.monotonic()))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    kept.port = server.server_port
    yield kept
    server.shutdown()
    server.server_close()


@dataclass
class Bench:
    """Webhooks over the real store, with jobs that end when the test says so."""

    settings: Settings
    store: Store
    running: list[Webhooks] = field(default_factory=list)

    def start(self) -> Webhooks:
        started = Webhooks(self.settings, self.store)
        started.start()
        self.running.append(started)
        return started

    def end(self, url: str, outcome: Outcome | None = None) -> str:
        """Submit, run and end a job whose end this address is to hear of; its id."""
        job = Job(new_id(), "sleep", 1, time.time(), queue=self.settings.queue_of("sleep"), callback=url)
        self.store.create([NewJob(job)])
        (begun,) = self.store.begin([job], "worker")
        self.store.finish([(job, begun.attempt, outcome or Done(b"1", 0.1))])
        return job.id


@pytest.fixture
def bench(receiver: Receiver, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Nothing started yet; retries come soon, so that a test can see some."""
    monkeypatch.setattr(webhooks, "FIRST", 0.2)
    monkeypatch.setattr(webhooks, "PAUSE", 0.05)
    settings = Settings(
        "amqp://nowhere:1", store_url, "sleep", webhook_hosts=(receiver.url,), webhook_secret=SECRET
    )
    bench = Bench(settings, Store(settings))
    yield bench
    for each in bench.running:
        each.stop()
    bench.store.close()


def test_the_end_of_a_job_is_told_to_whom_it_was_promised(bench: Bench, receiver: Receiver) -> None:
    """Id, state, time, and the problem of one that failed; signed, and told once."""
    done = bench.end(f"{receiver.url}/hook?mine=1")
    failed = bench.end(f"{receiver.url}/failed", Failed(job_failed("ValueError: no such class")))
    bench.start()
    eventually(lambda: len(receiver.came) == 2, "both are told")
    by_path = {one.path: one for one in receiver.came}
    told = by_path["/hook?mine=1"]
    assert told.is_signed()
    assert told.headers["webhook-id"] == done
    assert told.headers["content-type"] == "application/json"
    assert told.json.keys() == {"id", "state", "finished"}
    assert (told.json["id"], told.json["state"]) == (done, "done")
    assert abs(told.json["finished"] - time.time()) < 60
    assert by_path["/failed"].is_signed()
    assert by_path["/failed"].json["id"] == failed
    assert by_path["/failed"].json["problem"]["detail"] == "ValueError: no such class"
    eventually(lambda: not bench.store.hooks_due(10), "nothing is left to tell")
    assert len(receiver.came) == 2


def test_a_receiver_that_fails_is_asked_again_later(bench: Bench, receiver: Receiver) -> None:
    """500, 404 and no answer count alike; each try has its own time, and the same id."""
    answers = iter([500, 404, 503, 200])
    receiver.answer = lambda _path: (next(answers), {})
    job_id = bench.end(f"{receiver.url}/hook")
    bench.start()
    eventually(lambda: len(receiver.came) == 4, "it is tried until it is taken")
    assert all(one.is_signed() for one in receiver.came)
    assert {one.headers["webhook-id"] for one in receiver.came} == {job_id}
    gaps = [b.when - a.when for a, b in zip(receiver.came, receiver.came[1:], strict=False)]
    assert gaps[0] > 0.14
    assert gaps[2] > 0.55, "the pauses grow"


def test_advice_to_come_later_is_followed(bench: Bench, receiver: Receiver) -> None:
    """Retry-After of a receiver that is busy."""
    answers = iter([(429, {"Retry-After": "2"}), (200, {})])
    receiver.answer = lambda _path: next(answers)
    bench.end(f"{receiver.url}/hook")
    bench.start()
    eventually(lambda: len(receiver.came) == 2, "it comes again")
    assert receiver.came[1].when - receiver.came[0].when >= 1.9


def test_gone_means_never_again(bench: Bench, receiver: Receiver) -> None:
    """410; the next job's webhook still comes."""
    receiver.answer = lambda path: (410 if path == "/gone" else 200, {})
    bench.end(f"{receiver.url}/gone")
    bench.start()
    eventually(lambda: "/gone" in receiver.paths(), "it was tried")
    bench.end(f"{receiver.url}/next")
    eventually(lambda: "/next" in receiver.paths(), "the next comes")
    assert receiver.paths().count("/gone") == 1


def test_it_is_given_up_after_its_last_try(
    bench: Bench, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not tried for ever, and not kept for ever."""
    monkeypatch.setattr(webhooks, "MAX_TRIES", 3)
    receiver.answer = lambda path: (500 if path == "/hook" else 200, {})
    bench.end(f"{receiver.url}/hook")
    bench.start()
    eventually(lambda: len(receiver.came) == 3, "three tries")
    bench.end(f"{receiver.url}/after")
    eventually(lambda: "/after" in receiver.paths(), "a later one comes")
    assert receiver.paths().count("/hook") == 3


def test_no_redirect_is_followed(bench: Bench, receiver: Receiver) -> None:
    """An allowed host can't send the server on to one that is not; the answer counts as a failure."""
    answers = iter([(302, {"Location": f"{receiver.url}/inside"}), (307, {"Location": "/inside"}), (200, {})])
    receiver.answer = lambda _path: next(answers)
    bench.end(f"{receiver.url}/hook")
    bench.start()
    eventually(lambda: len(receiver.came) == 3, "it is tried again, at its own address")
    assert receiver.paths() == ["/hook"] * 3


def test_a_host_that_is_not_allowed_any_more_is_not_called(
    bench: Bench, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings of today count, also for what was accepted yesterday."""
    with socket.socket() as inside:
        inside.bind(("127.0.0.1", 0))
        inside.listen()
        inside.settimeout(0.5)
        bench.end(f"http://127.0.0.1:{inside.getsockname()[1]}/hook")
        bench.start()
        bench.end(f"{receiver.url}/after")
        eventually(lambda: "/after" in receiver.paths(), "the allowed one comes")
        with pytest.raises(TimeoutError):
            inside.accept()
    eventually(lambda: not bench.store.hooks_due(10), "the other is forgotten")


def test_a_receiver_that_never_answers_holds_nobody_up(
    bench: Bench, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty webhooks for one that takes connections and says a byte now and then; others come at once."""
    monkeypatch.setattr(webhooks, "TIMEOUT", 1.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        taken: list[socket.socket] = []
        ending = threading.Event()

        def drip() -> None:
            silent.settimeout(0.05)
            while not ending.is_set():
                with suppress(TimeoutError):
                    taken.append(silent.accept()[0])
                for each in taken:
                    with suppress(OSError):
                        each.send(b"H")
            for each in taken:
                each.close()

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            slow = f"http://127.0.0.1:{silent.getsockname()[1]}"
            bench.settings = replace(bench.settings, webhook_hosts=(receiver.url, slow))
            for _ in range(20):
                bench.end(f"{slow}/hook")
            for n in range(10):
                bench.end(f"{receiver.url}/{n}")
            bench.start()
            eventually(lambda: len(set(receiver.paths())) == 10, "the others are told")
            assert len(taken) < 20, "the slow one does not get all at once"
            eventually(lambda: len(taken) > 4, "those that hang are cut off, and others have their turn")
        finally:
            ending.set()
            dripping.join()


def test_nothing_is_sent_without_hosts(bench: Bench, receiver: Receiver) -> None:
    """The default: no thread, no call."""
    bench.settings = replace(bench.settings, webhook_hosts=())
    before = threading.active_count()
    started = bench.start()
    assert threading.active_count() == before
    started.stop()


def test_a_webhook_survives_the_web_s_end(system: QueueSystem, receiver: Receiver) -> None:
    """The whole service: the web is killed between two tries, and the next goes on. A bad address: 400."""
    system.more |= {"QUEUED_WEBHOOK_HOSTS": receiver.url, "QUEUED_WEBHOOK_SECRET": SECRET}
    receiver.answer = lambda _path: (500, {})
    web = system.web()
    system.worker()
    refused = system.ask("POST", "/jobs", {"input": 0, "callback": "http://169.254.169.254/latest"})
    assert refused.status == 400
    assert "webhooks may not go" in refused.json["detail"]
    accepted = system.ask("POST", "/jobs", {"input": 0, "callback": f"{receiver.url}/hook"})
    assert accepted.status == 202
    eventually(lambda: "failed, try 1" in web.said, "the first try has failed", system.logs)
    web.signal(9)
    web.ended()
    eventually(lambda: not accepts(system.port), "its port is free")
    receiver.answer = lambda _path: (200, {})
    tried = len(receiver.came)
    web = system.web()
    eventually(lambda: len(receiver.came) > tried, "it is tried again", system.logs)
    assert receiver.came[-1].is_signed()
    assert receiver.came[-1].json["id"] == accepted.json["id"]
    assert receiver.came[-1].json["state"] == State.DONE
    assert f"{receiver.port}/hook" not in system.logs(), "addresses may hold the receiver's secrets"
