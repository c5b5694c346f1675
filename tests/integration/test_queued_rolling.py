"""Every part of the service restarted in turn while jobs are submitted: clients must not notice."""

import http.client
import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from queued_system import PATIENCE, QueueSystem, Running, eventually, free_port

from bench.stack import nginx
from bench.stack.services import Services

pytestmark = pytest.mark.integration

CLIENTS = 4


@pytest.fixture
def second(services: Services, system: QueueSystem, tmp_path: Path) -> Iterator[int]:
    """Port of a second web; the first one's is free for it, and the system's is a gateway before both."""
    first, second, gateway = system.port, free_port(), free_port()
    command = nginx.command(
        tmp_path / "gateway",
        tmp_path / "gateway.log",
        port=gateway,
        upstream=first,
        others=[second],
        timeout=20,
    )
    process = services.workspace.spawn(command)
    system.more["FIRST"] = str(first)
    system.port = gateway
    yield second
    services.workspace.end([process], 1)


def test_a_rolling_restart_is_not_noticed(system: QueueSystem, second: int) -> None:
    """Two webs behind a gateway and two workers, each ended and started again under load.

    Every request is sent once and is answered with 2xx (or 429), and every job runs once.
    """
    ports = (int(system.more["FIRST"]), second)
    webs = [system.web(port) for port in ports]
    workers = [system.worker() for _ in range(2)]
    ended = threading.Event()
    answers: list[int] = []
    accepted: list[str] = []

    def submit() -> None:
        """On a kept connection: submit, and ask how that job is."""
        with closing(http.client.HTTPConnection("127.0.0.1", system.port, timeout=PATIENCE)) as connection:
            while not ended.is_set():
                connection.request("POST", "/jobs", json.dumps({"input": 0.001}))
                response = connection.getresponse()
                body = response.read()
                answers.append(response.status)
                if response.status == 202:
                    accepted.append(json.loads(body)["id"])
                connection.request("GET", f"/jobs/{accepted[-1]}", headers={"Prefer": "wait=1"})
                response = connection.getresponse()
                response.read()
                answers.append(response.status)

    def goes_on() -> None:
        before = len(accepted)
        eventually(lambda: len(accepted) >= before + 20, "submissions go on", system.logs)

    def restart(running: Running) -> None:
        goes_on()
        running.signal(signal.SIGTERM)
        assert running.ended() == 0

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(submit) for _ in range(CLIENTS)]
        try:
            for number, port in enumerate(ports):
                restart(webs[number])
                webs[number] = system.web(port)
                restart(workers[number])
                workers[number] = system.worker()
            goes_on()
        finally:
            ended.set()
        for client in clients:
            client.result()
    assert {status for status in answers if status != 429 and not 200 <= status < 300} == set()
    for job_id in accepted:
        system.wait_for(job_id)
    assert sorted(system.journal("start")) == sorted(accepted)
