"""The blocking server as real processes: concurrent jobs, clients that leave, kills, and the end."""

import http.client
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds after which a test says that something never happened."""

MODULE = '''
import os, time, uuid
from pathlib import Path

def meet(x):
    """Leave a mark and wait until x["people"] marks are there: ends only where so many run at once."""
    (Path(x["folder"]) / uuid.uuid4().hex).touch()
    while len(os.listdir(x["folder"])) < x["people"]:
        time.sleep(0.005)
    return os.getpid()

def wait_for(x):
    """Run until the file x appears."""
    while not os.path.exists(x):
        time.sleep(0.005)
    return "seen"

def fail(x):
    raise ValueError("no such class")
'''


@dataclass
class Server:
    """A started server and what it leaves behind."""

    process: subprocess.Popen[str]
    port: int
    folder: Path
    errors: list[str]

    def send(
        self, method: str, path: str, body: Any = None, job: str = ""
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers and JSON of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        headers = {"X-Request-ID": job} if job else {}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        answer = response.status, dict(response.getheaders()), json.loads(response.read(), parse_int=str)
        connection.close()
        return answer

    def run(self, given: Any, job: str = "") -> tuple[int, dict[str, str], Any]:
        """POST /run."""
        return self.send("POST", "/run", {"input": given}, job)

    def journal(self, job: str = "") -> list[dict[str, Any]]:
        """The journal's lines, of one job or of all."""
        path = self.folder / "journal"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in lines if job in ("", line["job"])]

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def until(what: Callable[[], Any]) -> Any:
    """Wait for something to become true; fail if it does not."""
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline, "never happened"
        time.sleep(0.01)
    return found


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Server]]:
    """Start a server of a task in a folder of its own; ended after the test if it is still there."""
    started: list[Server] = []
    for name in ("home", "temporary", "meeting"):
        (tmp_path / name).mkdir()
    (tmp_path / "my_model.py").write_text(MODULE)

    def one(server: str, task: str, *arguments: str) -> Server:
        process = subprocess.Popen(
            [sys.executable, "-m", "baseline", "--server", server, "--port", "0", "--task", task, *arguments],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "PYTHONDONTWRITEBYTECODE": "1",
                "HOME": str(tmp_path / "home"),
                "TMPDIR": str(tmp_path / "temporary"),
                "QUEUEBENCH_JOURNAL": str(tmp_path / "journal"),
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        errors: list[str] = []
        reader = threading.Thread(target=lambda: errors.extend(process.stderr), daemon=True)
        reader.start()
        found = Server(process, 0, tmp_path, errors)
        started.append(found)
        until(lambda: errors or process.poll() is not None)
        address = re.search(r"on http://127\.0\.0\.1:(\d+)", errors[0])
        assert address, errors
        found.port = int(address[1])
        until(lambda: answers(found))
        return found

    yield one
    for server in started:
        if server.process.poll() is None:
            for process in [*psutil.Process(server.process.pid).children(recursive=True), server.process]:
                process.kill()
            server.process.wait()
        server.process.stderr.close()


def answers(server: Server) -> bool:
    """Whether the server answers at all."""
    try:
        return server.send("GET", "/healthz")[0] == 200
    except OSError:
        return False


def assert_nothing_left(server: Server) -> None:
    """No file in the home or temporary folder, no traceback in the log, the port free again."""
    assert list((server.folder / "home").rglob("*")) == []
    assert list((server.folder / "temporary").rglob("*")) == []
    assert "Traceback" not in "".join(server.errors)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", server.port), timeout=1)


@pytest.mark.parametrize("server", ["flask", "gunicorn"])
def test_jobs_at_once_bad_input_and_a_clean_end(start, server):
    """The life of a server: results of many digits, refusals between them, SIGTERM, exit 0, nothing left."""
    served = start(server, "factorial", "--workers", "2")
    right = str(math.factorial(1_400))
    with ThreadPoolExecutor(8) as people:
        jobs = [people.submit(served.run, 1_400, f"job-{number}") for number in range(16)]
        bad = [people.submit(served.run, given) for given in (-1, "five", None, 10**9)]
    for number, job in enumerate(jobs):
        status, headers, body = job.result()
        assert (status, body) == (200, {"output": right})
        assert "run;dur=" in headers["Server-Timing"]
        assert headers["X-Request-ID"] == f"job-{number}"
        assert [line["event"] for line in served.journal(f"job-{number}")] == ["start", "end"]
    for job in bad:
        status, headers, body = job.result()
        assert status == 400
        assert headers["Content-Type"] == "application/problem+json"
        assert "n of factorial must be" in body["detail"]
    status, _, body = served.send("GET", "/factorial?no=3000")
    assert status == 200, "the limit on digits must be lifted in the processes that serve"
    assert len(body["output"]) == 9_131
    assert served.terminate() == 0
    assert_nothing_left(served)


@pytest.mark.parametrize(("server", "people"), [("flask", 6), ("gunicorn", 2)])
def test_as_many_jobs_run_at_once_as_the_server_has_hands(start, server, people):
    """Flask's server a thread for each request, gunicorn a process; both with the user's own function."""
    served = start(server, "my_model:meet", "--workers", "2")
    given = {"folder": str(served.folder / "meeting"), "people": people}
    with ThreadPoolExecutor(people) as pool:
        answered = list(pool.map(lambda _: served.run(given), range(people)))
    assert [status for status, _, _ in answered] == [200] * people
    assert len({body["output"] for _, _, body in answered}) == (1 if server == "flask" else 2)
    assert served.terminate() == 0
    assert_nothing_left(served)


@pytest.mark.parametrize("server", ["flask", "gunicorn"])
def test_a_job_whose_client_has_gone_is_finished_all_the_same(start, server):
    """That is the wasted work of a blocking server behind a gateway's timeout; the journal shows it."""
    served = start(server, "my_model:wait_for")
    gone = socket.create_connection(("127.0.0.1", served.port))
    body = json.dumps({"input": str(served.folder / "go")}).encode()
    gone.sendall(
        b"POST /run HTTP/1.1\r\nHost: x\r\nX-Request-ID: left\r\nContent-Length: %d\r\n\r\n%s"
        % (len(body), body)
    )
    until(lambda: served.journal("left"))
    gone.close()
    assert served.send("GET", "/healthz")[0] == 200, "another client is answered meanwhile"
    assert len(served.journal("left")) == 1
    (served.folder / "go").touch()
    until(lambda: len(served.journal("left")) == 2)
    assert served.journal("left")[1]["ok"] is True
    assert served.terminate() == 0
    assert_nothing_left(served)


def test_gunicorn_finishes_the_job_it_is_at_before_it_ends(start):
    """SIGTERM drains: the client still gets its result."""
    served = start("gunicorn", "my_model:wait_for")
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(served.run, str(served.folder / "go"), "last")
        until(lambda: served.journal("last"))
        served.process.send_signal(signal.SIGTERM)
        # The idle worker leaving shows that the signal has arrived.
        until(lambda: len(psutil.Process(served.process.pid).children()) == 1)
        (served.folder / "go").touch()
        assert job.result()[0] == 200
    assert served.process.wait(PATIENCE) == 0
    assert_nothing_left(served)


def test_flasks_server_ends_at_once_and_cuts_off_what_it_is_at(start):
    """As that server does; the journal keeps the start, so the cut-off work is counted."""
    served = start("flask", "my_model:wait_for")
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(served.run, str(served.folder / "go"), "cut")
        until(lambda: served.journal("cut"))
        assert served.terminate() == 0
        with pytest.raises((OSError, http.client.HTTPException)):
            job.result()
    assert [line["event"] for line in served.journal("cut")] == ["start"]
    assert_nothing_left(served)


@pytest.mark.parametrize("server", ["flask", "gunicorn"])
def test_a_failing_function_is_answered_and_its_traceback_is_in_the_log(start, server):
    """The client reads type and message; the operator finds the line."""
    served = start(server, "my_model:fail")
    status, _, body = served.run(1)
    assert (status, body["detail"]) == (500, "ValueError: no such class")
    assert served.terminate() == 0
    until(lambda: "my_model.py" in "".join(served.errors))


def test_a_gunicorn_worker_that_is_killed_is_replaced(start):
    """As after an OOM kill: the job is lost, the next one is served, the journal keeps the start."""
    served = start("gunicorn", "my_model:wait_for", "--workers", "1")
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(served.run, str(served.folder / "go"), "killed")
        pid = until(lambda: served.journal("killed"))[0]["pid"]
        os.kill(pid, signal.SIGKILL)
        with pytest.raises((OSError, http.client.HTTPException)):
            job.result()
    (served.folder / "go").touch()
    assert until(lambda: answers(served))
    assert served.run(str(served.folder / "go"), "next")[0] == 200
    assert served.journal("next")[0]["pid"] != pid
    assert [line["event"] for line in served.journal("killed")] == ["start"]
    assert served.terminate() == 0


def test_a_timeout_given_to_gunicorn_is_gunicorns(start):
    """`--timeout 1` kills the worker that is at a job for longer; without it nothing interferes."""
    served = start("gunicorn", "my_model:wait_for", "--workers", "1", "--timeout", "1")
    with suppress(OSError, http.client.HTTPException, ValueError):  # cut off, or with gunicorn's own page
        assert served.run(str(served.folder / "never"), "long")[0] == 500
    (served.folder / "go").touch()
    assert until(lambda: answers(served))
    assert served.run(str(served.folder / "go"), "next")[0] == 200
    assert served.journal("next")[0]["pid"] != served.journal("long")[0]["pid"]
    assert served.terminate() == 0
