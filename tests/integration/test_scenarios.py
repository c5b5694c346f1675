"""`locust -f bench/scenarios.py` by itself: headless or with its web page, with a host or its own system."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from stub_server import Reply, StubServer

import bench

SCENARIOS = Path(bench.__file__).parent / "scenarios.py"
JOB = ("--task", "spin", "--job-input", "0.01", "--deadline", "5s")


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "locust", "-f", str(SCENARIOS), *words]


def locust(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Locust headless to its end; its log and its tables are on stderr."""
    return subprocess.run(
        command("--headless", "--only-summary", *words),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def running(*words: str, cwd: Path):
    """Locust as a process that is ended in any case."""
    process = subprocess.Popen(
        command(*words), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def wait_until(true, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return found


def said_by(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What it said on stderr, without Locust's own log."""
    return [line for line in done.stderr.splitlines() if "/INFO/locust" not in line]


def outcomes(folder: Path) -> Counter[str]:
    lines = (folder / "jobs.jsonl").read_text().splitlines()
    return Counter(json.loads(line)["outcome"] for line in lines)


# --- against a host, headless ---


@pytest.mark.parametrize("system", ["blocking", "gunicorn", "bounded", "queued", "as-published"])
def test_locust_by_itself_drives_a_host(tmp_path, system):
    """Jobs are a type of their own in its table, and the records are complete."""
    with StubServer(lambda n: Reply(status=503 if n == 3 else 0)) as server:
        done = locust(
            *("--host", server.url, "--system", system, *JOB, "--arrivals", "constant", "--rate", "20"),
            *("--window", "1s", "--poll-interval", "20ms", "--records", "out"),
            cwd=tmp_path,
        )
    table = next(line for line in done.stderr.splitlines() if line.startswith("JOB "))
    assert table.split()[:4] == ["JOB", system, "spin", "20"]
    assert "1(5.00%)" in table
    assert "JOB " + system + " spin: rejected (HTTP 503)" in done.stderr
    assert done.returncode == 1  # as Locust has it when anything failed
    assert outcomes(tmp_path / "out") == {"ok": 19, "rejected": 1}


def test_how_to_speak_to_a_host_is_found_out(tmp_path):
    """With no --system: the first of its routes that Queuebench knows."""
    for faces, route in ((("run",), "/run"), (("jobs", "get"), "/jobs/[id]"), (("get",), "/factorial")):
        with StubServer(faces=faces) as server:
            done = locust(
                *("--host", server.url, *JOB, "--rate", "20", "--window", "300ms"),
                *("--poll-interval", "20ms"),
                cwd=tmp_path,
            )
        assert done.returncode == 0, done.stderr
        assert route in done.stderr


def test_run_time_is_how_long_jobs_arrive(tmp_path):
    """-t 1 offers jobs for a second; the ones under way then are waited for."""
    with StubServer(lambda _: Reply(delay=0.6)) as server:
        done = locust(
            *("--host", server.url, "--system", "blocking", *JOB, "--arrivals", "constant"),
            *("--rate", "10", "-t", "1", "--records", "out"),
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stderr
    assert outcomes(tmp_path / "out") == {"ok": 10}


def test_users_are_users_in_the_closed_model(tmp_path):
    """-u 4: four jobs at a time, never more."""
    with StubServer(lambda _: Reply(delay=0.2)) as server:
        done = locust(
            *("--host", server.url, "--system", "blocking", *JOB, "--model", "closed", "-u", "4", "-r", "4"),
            *("-t", "1", "--records", "out"),
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stderr
    jobs = [json.loads(line) for line in (tmp_path / "out" / "jobs.jsonl").read_text().splitlines()]
    assert 12 <= len(jobs) <= 20
    for job in jobs:
        assert sum(j["arrival"] <= job["arrival"] < j["done"] for j in jobs) <= 4


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_writes_what_is_in_flight(tmp_path, how):
    """Records are complete, Locust's table is printed, and it ends at once."""
    with (
        StubServer(lambda n: Reply(delay=0 if n % 2 else 60)) as server,
        running(
            *("--headless", "--only-summary", "--host", server.url, "--system", "blocking", *JOB),
            *("--rate", "20", "--window", "1min", "--records", "out"),
            cwd=tmp_path,
        ) as process,
    ):
        wait_until(lambda: len(server.submitted) > 6)
        process.send_signal(how)
        told = process.communicate(timeout=15)[0]
        assert outcomes(tmp_path / "out").total() - len(server.submitted) in (0, 1)  # one may be on its way
    assert set(outcomes(tmp_path / "out")) == {"ok", "unfinished"}
    assert "JOB " in told


# --- what is refused ---


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--host", "{nobody}"), "nothing answers at http://127.0.0.1:"),
        (("--host", "nowhere"), "'nowhere' is not a URL to send jobs to"),
        (("--host", "{nobody}", "--rate", "fast"), "--rate: "),
        (("--host", "{nobody}", "--task", "nonsense"), "--task: there is no task"),
        (("--host", "{nobody}", "--rats", "4"), "unrecognized arguments: --rats"),
        (("--host", "{nobody}", "--records", "here"), "holds records already"),
        (("--system", "nonsense"), "no system 'nonsense'"),
    ],
    ids=["silent host", "no URL", "rate", "task", "unknown option", "records", "system"],
)
def test_what_can_not_work_ends_in_one_clear_line(tmp_path, words, says):
    """Exit code ≠ 0, no traceback, and nothing was started."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "jobs.jsonl").touch()
    with socket.create_server(("127.0.0.1", 0)) as held:
        nobody = f"http://127.0.0.1:{held.getsockname()[1]}"
    done = locust(*(word.format(nobody=nobody) for word in words), cwd=tmp_path)
    lines = said_by(done)
    assert done.returncode not in (0, None)
    assert any(says in line for line in lines), lines
    assert "Traceback" not in done.stderr
    assert len([line for line in lines if "bringing up" not in line]) <= 2, lines


def test_our_options_can_be_listed(tmp_path):
    """Locust's --help comes too early to know them."""
    done = locust("--options", cwd=tmp_path)
    assert done.returncode == 0
    for option in ("--system", "--arrivals", "--rate", "--deadline", "--poll-interval", "--records"):
        assert option in done.stdout


# --- the web page ---


class Page:
    """Locust's web page, as a browser's script uses it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=5) as answer:
            return answer.read().decode()

    def post(self, path: str, **fields: str) -> dict:
        data = urllib.parse.urlencode(fields).encode()
        with urllib.request.urlopen(self.url + path, data, timeout=5) as answer:
            return json.load(answer)

    def up(self) -> bool:
        try:
            return bool(self.get("/"))
        except OSError:
            return False

    def state(self) -> str:
        return json.loads(self.get("/stats/requests"))["state"]

    def jobs(self) -> int:
        rows = json.loads(self.get("/stats/requests"))["stats"]
        return sum(row["num_requests"] for row in rows if row["method"] == "JOB")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return True
    return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return held.getsockname()[1]


@pytest.fixture
def page(tmp_path):
    """A stub server, and Locust's page before it."""
    port = free_port()
    with (
        StubServer(lambda _: Reply(delay=0.05)) as server,
        running(
            *("--web-host", "127.0.0.1", "--web-port", str(port), "--host", server.url, *JOB),
            *("--poll-interval", "20ms", "--records", "out"),
            cwd=tmp_path,
        ) as process,
    ):
        shown = Page(port)
        wait_until(shown.up)
        yield shown, server, process, tmp_path / "out"


def test_the_page_starts_a_load_and_shows_its_jobs(page):
    """Options are on the form; the test stops by itself when the last job is done; another can follow."""
    shown, server, process, out = page
    form = shown.get("/")
    for option in ("rate", "arrivals", "deadline", "poll_interval", "model"):
        assert f'"{option}"' in form
    assert '"records"' not in form
    fields = {"user_count": "1", "spawn_rate": "1", "host": server.url}
    assert shown.post("/swarm", **fields, rate="20", arrivals="constant", window="500ms")["success"]
    wait_until(lambda: shown.state() == "stopped")
    assert shown.jobs() == 10
    assert outcomes(out) == {"ok": 10}

    closed = {"model": "closed", "arrivals": "", "rate": "", "window": "1s"}
    assert shown.post("/swarm", **{**fields, "user_count": "3", "spawn_rate": "3"}, **closed)["success"]
    wait_until(lambda: (out / "2").exists() and outcomes(out / "2")["ok"] > 3)
    # Locust gives the same answer for two seconds.
    wait_until(lambda: shown.state() == "stopped" and shown.jobs() == outcomes(out / "2")["ok"])
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0


def test_the_page_stops_a_load(page):
    """Jobs in flight are in the books as unfinished."""
    shown, server, _, out = page
    fields = {"user_count": "1", "spawn_rate": "1", "host": server.url}
    shown.post("/swarm", **fields, rate="40", window="1min", poll_interval="10s")
    wait_until(lambda: len(server.submitted) > 5)
    shown.post("/stop")
    wait_until(lambda: shown.state() == "stopped")
    assert set(outcomes(out)) == {"unfinished"}
    assert outcomes(out).total() - len(server.submitted) in (0, 1)  # one may be on its way


def test_the_pages_run_time_lets_the_jobs_under_way_end(page):
    """Locust's own timer would cut them off."""
    shown, server, _, out = page
    fields = {"user_count": "1", "spawn_rate": "1", "host": server.url, "run_time": "1"}
    shown.post("/swarm", **fields, rate="10", arrivals="constant", poll_interval="1500ms")
    wait_until(lambda: shown.state() == "stopped")
    assert outcomes(out) == {"ok": 10}


def test_a_wrong_value_on_the_page_stops_the_test_and_not_locust(page):
    """It is told in the log, and the next test is right again."""
    shown, server, process, _ = page
    fields = {"user_count": "1", "spawn_rate": "1", "host": server.url, "arrivals": "constant"}
    shown.post("/swarm", **fields, rate="fast", window="500ms")
    wait_until(lambda: shown.state() == "stopped")
    assert server.submitted == []
    shown.post("/swarm", **fields, rate="20", window="500ms")
    wait_until(lambda: len(server.submitted) == 10)
    process.send_signal(signal.SIGINT)
    assert "queuebench: --rate: " in process.communicate(timeout=10)[0]


# --- its own system ---


@pytest.mark.integration
@pytest.mark.usefixtures("pointed_at")
@pytest.mark.parametrize("system", ["blocking", "queued"])
def test_with_no_host_a_system_of_its_own_is_brought_up(tmp_path, system):
    """A real one, for as long as Locust lives; every job comes back verified."""
    done = locust(
        *("--system", system, "--task", "sleep", "--job-input", "0.05", "--rate", "5", "--window", "2s"),
        *("--deadline", "20s", "--poll-interval", "50ms", "--records", "out"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert set(outcomes(tmp_path / "out")) == {"ok"}
    assert f"{system} answers at http://127.0.0.1:" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


@pytest.mark.integration
@pytest.mark.usefixtures("pointed_at")
def test_of_several_processes_only_the_first_brings_a_system_up(tmp_path):
    """One system for all, and it ends with them."""
    port = str(next(n for n in range(15_000, 20_000) if is_free(n)))
    with running(
        *("--headless", "--only-summary", "--processes", "2", "--master-bind-host", "127.0.0.1"),
        *("--master-bind-port", port, "--master-port", port, "--system", "blocking", "--task", "sleep"),
        *("--job-input", "0.05", "--rate", "5", "--window", "2s", "--deadline", "20s", "--records", "out"),
        cwd=tmp_path,
    ) as process:
        ours = psutil.Process(process.pid)
        wait_until(lambda: len(ours.children()) == 3)  # two workers and `bench up`
        family = ours.children(recursive=True)
        told = process.communicate(timeout=120)[0]
    assert outcomes(tmp_path / "out") == {"ok": 10}, told
    assert told.count("bringing up blocking") == 1
    assert process.returncode == 0
    wait_until(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family))


@pytest.mark.integration
@pytest.mark.parametrize(
    ("system", "moment", "how"),
    [
        ("queued", "while it starts", signal.SIGINT),
        ("queued", "while it starts", signal.SIGTERM),
        ("queued", "while it starts", signal.SIGKILL),
        ("queued", "under load", signal.SIGINT),
        ("blocking", "under load", signal.SIGTERM),
        ("blocking", "under load", signal.SIGKILL),
    ],
)
def test_its_system_ends_with_locust(tmp_path, system, moment, how):
    """Ctrl-C, SIGTERM, and where the kernel helps even SIGKILL: no process and no folder stays."""
    if how == signal.SIGKILL and sys.platform != "linux":
        pytest.skip("only Linux tells a child that its parent was killed")
    with running(
        *("--headless", "--only-summary", "--system", system, *JOB, "--rate", "5", "--window", "1min"),
        *("--records", "out"),
        cwd=tmp_path,
    ) as process:
        ours = psutil.Process(process.pid)
        if moment == "under load":
            wait_until((tmp_path / "out" / "jobs.jsonl").exists, 60)
        else:
            wait_until(lambda: len(ours.children(recursive=True)) > 2)
        family = ours.children(recursive=True)
        os.kill(process.pid, how)
        process.wait(60)
        wait_until(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family))
