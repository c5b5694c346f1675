"""Who waits is told: long-poll, server-sent events and WebSocket, through a real nginx too."""

import http.client
import json
import selectors
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from queued_system import PATIENCE, QueueSystem, eventually, free_port
from simple_websocket import Client, ConnectionClosed

from bench.stack import nginx
from bench.stack.services import Services

pytestmark = pytest.mark.integration

GATEWAY = 2.0
"""Seconds after which the gateway of these tests gives up."""


@pytest.fixture
def gateway(services: Services, system: QueueSystem, tmp_path: Path) -> Iterator[int]:
    """Port of an nginx before the system's web."""
    port = free_port()
    command = nginx.command(
        tmp_path / "gateway",
        tmp_path / "gateway.log",
        port=port,
        upstream=system.port,
        timeout=GATEWAY,
        connections=0,
    )
    process = services.workspace.spawn(command)
    yield port
    services.workspace.end([process], 1)


def waiting_work(system: QueueSystem) -> str:
    """The input of a job that runs until `let_go` is called; the job's task is `work:wait_for`."""
    system.task = "work:wait_for"
    return str(system.folder / "go")


def let_go(system: QueueSystem) -> None:
    (system.folder / "go").touch()


def events(port: int, job_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The job's events as they come; a comment is `("", {})`."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("GET", f"/jobs/{job_id}/events")
        response = connection.getresponse()
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream")
        event, data = "", {}
        for raw in response:
            line = raw.decode().rstrip("\n")
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
            elif not line:
                yield event, data
                event, data = "", {}


def test_a_long_poll_answers_when_something_happens(system: QueueSystem) -> None:
    """Not before, not only at its end; at the wait's end with the state as it is."""
    go = waiting_work(system)
    system.web()
    job_id = system.submit(go)
    short = system.ask("GET", f"/jobs/{job_id}", Prefer="wait=1")
    assert (short.status, short.json["state"]) == (200, "queued")
    assert short.headers["Preference-Applied"] == "wait=1"
    with ThreadPoolExecutor() as pool:
        begun = pool.submit(system.ask, "GET", f"/jobs/{job_id}", Prefer="wait=25")
        ended = pool.submit(system.ask, "GET", f"/jobs/{job_id}/result", Prefer="wait=25")
        system.worker()
        assert begun.result().json["state"] == "running"
        assert not ended.done()
        let_go(system)
        assert ended.result().json == {"output": "seen"}


def test_a_long_poll_with_what_is_known_answers_when_anything_changes(system: QueueSystem) -> None:
    """If-None-Match and Prefer together: at once where the client's knowledge is old, else with the news."""
    go = waiting_work(system)
    system.web()
    job_id = system.submit(go)
    first = system.get(f"/jobs/{job_id}")
    same = system.ask("GET", f"/jobs/{job_id}", Prefer="wait=1", If_None_Match=first.headers["ETag"])
    assert (same.status, same.body) == (304, b"")
    old = system.ask("GET", f"/jobs/{job_id}", Prefer="wait=25", If_None_Match='W/"old"')
    assert old.status == 200
    system.worker()
    news = first
    while news.json["state"] == "queued":  # that there is a worker, and so an expected wait, is news too
        known = news.headers["ETag"]
        news = system.ask("GET", f"/jobs/{job_id}", Prefer="wait=25", If_None_Match=known)
        assert news.status == 200
        assert news.headers["ETag"] != known
    assert news.json["state"] == "running"
    let_go(system)


def test_a_submission_may_wait_for_its_result(system: QueueSystem) -> None:
    """200 with the result where the job ends in time, its own problem where it fails, else 202 and where."""
    system.task = "work:end"
    system.web(QUEUED_MAX_ATTEMPTS="1")
    system.worker(QUEUED_MAX_ATTEMPTS="1")
    done = system.ask("POST", "/jobs", {"input": "x"}, Prefer="wait=25", Idempotency_Key="one")
    assert (done.status, done.json) == (200, {"output": "x"})
    assert system.get(done.headers["Location"]).json["state"] == "done"
    again = system.ask("POST", "/jobs", {"input": "x"}, Prefer="wait=25", Idempotency_Key="one")
    assert (again.status, again.json) == (200, {"output": "x"})
    assert again.headers["Location"] == done.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    failed = system.ask("POST", "/jobs", {"input": "raise"}, Prefer="wait=25")
    assert (failed.status, failed.json["type"]) == (500, "urn:queued:job-failed")


def test_a_submission_that_waits_in_vain_is_accepted(system: QueueSystem) -> None:
    """202 at the end of the wait, with the job as it is."""
    system.web()
    reply = system.ask("POST", "/jobs", {"input": 0.01}, Prefer="wait=1")
    assert (reply.status, reply.json["state"], reply.json["ahead"]) == (202, "queued", 0)
    assert reply.headers["Preference-Applied"] == "wait=1"


def test_events_through_a_gateway_with_a_short_limit(system: QueueSystem, gateway: int) -> None:
    """The stream outlives the gateway's limit by its comments, and brings each state as it comes."""
    go = waiting_work(system)
    system.web(QUEUED_GATEWAY_TIMEOUT=str(GATEWAY))
    job_id = system.submit(go)
    stream = events(gateway, job_id)
    event, body = next(stream)
    assert (event, body["state"], body["ahead"]) == ("state", "queued", 0)
    begun = time.monotonic()
    while time.monotonic() - begun < 2 * GATEWAY:  # longer than it lets one be silent
        assert next(stream)[0] in ("", "state")
    system.worker()
    rest = [(event, body["state"]) for event, body in stream_until_end(stream, lambda: let_go(system))]
    assert rest == [("state", "running"), ("end", "done")]


def stream_until_end(
    stream: Iterator[tuple[str, dict[str, Any]]], when_running: Any
) -> Iterator[tuple[str, dict[str, Any]]]:
    for event, body in stream:
        if not event or body["state"] == "queued":
            continue
        if body["state"] == "running":
            when_running()
        yield event, body


def test_a_websocket_through_a_gateway_with_a_short_limit(system: QueueSystem, gateway: int) -> None:
    """The same as JSON messages; it stays open by pings and closes after the end."""
    go = waiting_work(system)
    system.web(QUEUED_GATEWAY_TIMEOUT=str(GATEWAY))
    job_id = system.submit(go)
    client = Client.connect(f"ws://127.0.0.1:{gateway}/jobs/{job_id}/socket")
    assert json.loads(client.receive(PATIENCE))["state"] == "queued"
    assert client.receive(2 * GATEWAY) is None  # nothing to say, for longer than the gateway's limit
    system.worker()
    said = json.loads(client.receive(PATIENCE))
    assert (said["event"], said["state"]) == ("state", "running")
    let_go(system)
    said = json.loads(client.receive(PATIENCE))
    assert (said["event"], said["state"]) == ("end", "done")
    with pytest.raises(ConnectionClosed):
        client.receive(PATIENCE)


def test_a_websocket_to_an_unknown_job_is_refused_by_http(system: QueueSystem) -> None:
    """404 before the protocol is changed; a plain request to it is told that it must change it."""
    system.web()
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert system.ask("GET", "/jobs/nobody/socket", **upgrade).status == 404
    job_id = system.submit(0.01)
    plain = system.get(f"/jobs/{job_id}/socket")
    assert (plain.status, plain.headers["Content-Type"]) == (400, "application/problem+json")


def test_a_long_poll_through_a_gateway_with_a_short_limit(system: QueueSystem, gateway: int) -> None:
    """It is answered at half of the gateway's limit, whatever the client asked for."""
    system.web(QUEUED_GATEWAY_TIMEOUT=str(GATEWAY))
    job_id = system.submit(0.01)
    with closing(http.client.HTTPConnection("127.0.0.1", gateway, timeout=PATIENCE)) as connection:
        connection.request("GET", f"/jobs/{job_id}", headers={"Prefer": "wait=60"})
        response = connection.getresponse()
        assert (response.status, response.headers["Preference-Applied"]) == (200, "wait=1")
        assert json.loads(response.read())["state"] == "queued"


def test_waiters_learn_their_place_and_that_they_are_told_when_it_is_taken_back(system: QueueSystem) -> None:
    """Cancelling ends the stream of the job; the next one in the queue moves up."""
    system.web()
    first, second = system.submit(0.01), system.submit(0.01)
    stream = events(system.port, second)
    assert next(stream)[1]["ahead"] == 1
    other = events(system.port, first)
    next(other)
    assert system.ask("DELETE", f"/jobs/{first}").json["state"] == "cancelled"
    assert next(other)[1]["state"] == "cancelled"
    assert list(other) == []
    assert next(body for event, body in stream if event)["ahead"] == 0


def test_redis_comes_back_and_who_waits_hears(system: QueueSystem, services: Services) -> None:
    """Connections to the store are cut: streams and long-polls go on, and nothing is missed."""
    go = waiting_work(system)
    system.web()
    job_id = system.submit(go)
    stream = events(system.port, job_id)
    next(stream)
    system.store().client_kill_filter(_type="pubsub")
    system.worker()
    rest = [(event, body["state"]) for event, body in stream_until_end(stream, lambda: let_go(system))]
    assert rest == [("state", "running"), ("end", "done")]


def test_five_hundred_clients_wait_in_one_process(system: QueueSystem) -> None:
    """Each gets its own job's end; threads do not grow with the clients, and memory by little for each."""
    count = 500
    web = system.web()
    process = psutil.Process(web.process.pid).children()[0]
    eventually(lambda: system.get("/readyz").status == 200, "the web is ready", system.logs)
    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda _: system.submit(0.001), range(count)))
    memory = process.memory_info().rss
    crowd = Crowd(system.port)
    for n, job_id in enumerate(jobs):
        crowd.ask(job_id, "events" if n % 2 else "result")
    eventually(lambda: waiting(system) == count, "all of them wait", system.logs)
    assert process.num_threads() < 20  # gevent's own, for looking up names; the clients are greenlets
    each = (process.memory_info().rss - memory) / count
    assert each < 256 * 1024
    worker = system.worker(QUEUED_SHORT="1")
    crowd.read_all()
    for job_id, said in crowd.heard.items():
        assert b"event: end" in said or b'{"output":' in said, (job_id, said)
    assert worker.process.poll() is None
    eventually(lambda: waiting(system) == 0, "nobody waits any more", system.logs)
    links = [link for link in process.net_connections("tcp") if link.status == psutil.CONN_ESTABLISHED]
    assert len(links) < 100, "connections to the store do not grow with the clients"
    print(f"{len(links)=} {count} clients: {process.num_threads()} threads, {each / 1024:.0f} KiB each")  # noqa: T201


def waiting(system: QueueSystem) -> int:
    text = system.get("/metrics").body.decode()
    (line,) = (line for line in text.splitlines() if line.startswith("queued_waiting_clients "))
    return int(float(line.split()[1]))


class Crowd:
    """Many clients in one thread."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._selector = selectors.DefaultSelector()
        self.heard: dict[str, bytes] = {}

    def ask(self, job_id: str, what: str) -> None:
        """Begin to wait for the end of a job."""
        connection = socket.create_connection(("127.0.0.1", self._port))
        head = (
            f"GET /jobs/{job_id}/{what} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nPrefer: wait=30\r\n\r\n"
        )
        connection.sendall(head.encode())
        self._selector.register(connection, selectors.EVENT_READ, job_id)
        self.heard[job_id] = b""

    def read_all(self) -> None:
        """Read until every connection was closed by the server."""
        deadline = time.monotonic() + PATIENCE
        while self._selector.get_map():
            assert time.monotonic() < deadline, f"{len(self._selector.get_map())} still wait"
            for key, _ in self._selector.select(1):
                connection: Any = key.fileobj
                said = connection.recv(1 << 16)
                self.heard[key.data] += said
                if not said:
                    self._selector.unregister(connection)
                    connection.close()


def test_a_stopping_web_lets_nobody_wait(system: QueueSystem) -> None:
    """SIGTERM: long-polls are answered, streams end, and the process goes long before its grace is over."""
    web = system.web(QUEUED_GRACE="20")
    job_id = system.submit(0.01)
    stream = events(system.port, job_id)
    next(stream)
    with ThreadPoolExecutor() as pool:
        poll = pool.submit(system.ask, "GET", f"/jobs/{job_id}/result", Prefer="wait=25")
        eventually(lambda: waiting(system) == 2, "both wait", system.logs)
        web.signal(signal.SIGTERM)
        assert poll.result(10).status == 409
        assert list(stream) == []
    assert web.ended(15) == 0
    assert "Traceback" not in web.said
