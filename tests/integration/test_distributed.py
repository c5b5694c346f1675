"""One load by several Locust processes: divided, begun at one instant, recorded whole, ended together."""

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
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from stub_server import Reply, StubServer

import bench
from bench.load.arrivals import schedule
from bench.load.driver import Generator, LoadError, run_load
from bench.load.idle import idle_server
from bench.load.overhead import measure
from bench.load.progress import read_progress
from bench.plan import Box, Load, System, Trial, Work
from bench.probes import ProcessTrees

SCENARIOS = Path(bench.__file__).parent / "scenarios.py"
JOB = ("--system", "blocking", "--task", "spin", "--job-input", "0.01", "--deadline", "30s")
TRIAL = Trial(
    id="001-stub",
    part="stub",
    shows="load",
    system=System("stub", "blocking"),
    work=Work("spin", {"seconds": 0.01, "gil": "held"}, service_time=0.01, cpu_time=0.01),
    load=Load("poisson", rate=40, warmup=0.25, window=0.75),
    box=Box(1, 2**30),
    deadline=30,
    gateway_timeout=30,
    poll_interval=0.05,
    drain_limit=30,
    repeat=1,
    seed=7,
    capacity=100,
    processes=2,
)


@pytest.fixture
def port():
    """Where master and workers meet; below the ports of outgoing connections."""
    for number in range(15_000 + os.getpid() % 4_000, 20_000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                continue
            return number
    pytest.fail("no free port")


@pytest.fixture
def locust(tmp_path, port):
    """Start Locust processes in `tmp_path`, where master and workers find one another; end them all."""
    started = []

    def start(*words):
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "locust", "-f", str(SCENARIOS), "--only-summary"),
                *("--master-bind-host", "127.0.0.1", "--master-bind-port", str(port)),
                *("--master-port", str(port), *words),
            ],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with_children = [process, *(psutil.Process(process.pid).children() if process.poll() is None else [])]
        for one in with_children:
            one.kill()
        process.wait()
        process.stdout.close()


def wait_until(true, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return found


def rows(folder: Path, name: str = "jobs") -> list[dict]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def instant(folder: Path, event: str) -> float:
    return next(mark["t"] for mark in rows(folder, "marks") if mark["event"] == event)


def offsets(folder: Path) -> list[float]:
    """Arrivals from the start of the load, in order."""
    start = instant(folder, "load_started")
    return sorted(job["arrival"] - start for job in rows(folder))


def outcomes(folder: Path) -> Counter[str]:
    return Counter(job["outcome"] for job in rows(folder))


def gone(processes) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def workers_of(process) -> list[psutil.Process]:
    """The two that --processes 2 forks."""
    parent = psutil.Process(process.pid)
    wait_until(lambda: len(parent.children()) == 2)
    return parent.children()


# --- every kind of load ---


@pytest.mark.parametrize(
    ("words", "load"),
    [
        (("--rate", "30", "--window", "1s"), Load("poisson", rate=30, window=1)),
        (("--arrivals", "burst", "--size", "15"), Load("burst", size=15, window=0)),
    ],
    ids=["poisson", "burst"],
)
def test_two_processes_send_one_schedule(tmp_path, locust, words, load):
    """Every arrival once, at the instant that a single process would have it; records and table are whole."""
    with StubServer(lambda n: Reply(status=503 if n == 3 else 0)) as server:
        master = locust(
            *("--headless", "--processes", "2", "--host", server.url, *JOB, *words, "--seed", "5"),
            *("--records", "out"),
        )
        told = master.communicate(timeout=60)[0]
    out = tmp_path / "out"
    planned = schedule(load, 5)
    assert "queuebench:" not in told, told
    assert offsets(out) == pytest.approx(planned, abs=1e-5), told
    assert {job["job"] for job in rows(out)} == set(server.submitted)
    assert {request["job"] for request in rows(out, "requests")} == set(server.submitted)
    assert outcomes(out) == {"ok": len(planned) - 1, "rejected": 1}
    table = next(line for line in told.splitlines() if line.startswith("JOB "))
    assert table.split()[3] == str(len(planned))
    workers = {mark["pid"] for mark in rows(out, "marks") if mark["event"] == "clock"}
    assert len(workers) == 2
    assert master.pid not in workers
    assert master.returncode == 1  # as Locust has it when anything failed


def test_closed_users_are_divided_and_do_all_their_jobs(tmp_path, locust):
    """5 users with 2 jobs each: 10 jobs, never more than 5 at once."""
    with StubServer(lambda _: Reply(delay=0.2)) as server:
        master = locust(
            *("--headless", "--processes", "2", "--host", server.url, *JOB, "--model", "closed"),
            *("-u", "5", "-r", "5", "--jobs-per-user", "2", "--records", "out"),
        )
        told = master.communicate(timeout=60)[0]
    jobs = rows(tmp_path / "out")
    assert outcomes(tmp_path / "out") == {"ok": 10}, told
    for job in jobs:
        assert sum(j["arrival"] <= job["arrival"] < j["done"] for j in jobs) <= 5
    assert [m["event"] for m in rows(tmp_path / "out", "marks") if m["event"] != "clock"] == [
        "load_started",
        "window_started",
        "window_ended",
        "drained",
    ]


# --- workers of their own, perhaps on other machines ---


def test_the_records_are_in_the_masters_time(tmp_path, locust):
    """One worker's clock is 3 s ahead: told, corrected, and all begin at the same instant."""
    with StubServer() as server:
        for shift in ("0", "3"):
            locust("--worker", "--clock-shift", shift)
        master = locust(
            *("--headless", "--master", "--expect-workers", "2", "--host", server.url, *JOB),
            *("--arrivals", "constant", "--rate", "20", "--window", "1s", "--records", "out"),
        )
        told = master.communicate(timeout=60)[0]
    out = tmp_path / "out"
    # known to max(5 ms, 2 % of the deadline of 30 s)
    assert offsets(out) == pytest.approx(schedule(Load("constant", rate=20, window=1), 1), abs=0.6), told
    assert outcomes(out) == {"ok": 20}
    clocks = [mark["detail"] for mark in rows(out, "marks") if mark["event"] == "clock"]
    assert len(clocks) == 4  # each before and after
    assert sum("; corrected" in clock for clock in clocks) == 1
    assert not any(mark["event"] == "clock_drifted" for mark in rows(out, "marks"))


def test_a_worker_that_is_killed_is_told_and_its_jobs_are_in_the_books(tmp_path, locust):
    """Every arrival up to the cut-off is there; the load fails."""
    with StubServer(lambda n: Reply(delay=60 if n % 3 == 0 else 0)) as server:
        master = locust(
            *("--headless", "--processes", "2", "--host", server.url, *JOB, "--arrivals", "constant"),
            *("--rate", "20", "--window", "10min", "--records", "out"),
        )
        victim, _ = workers_of(master)
        wait_until(lambda: len(server.submitted) > 20)
        victim.kill()
        told = master.communicate(timeout=60)[0]
    out = tmp_path / "out"
    assert master.returncode == 3, told
    assert "was lost: its process has ended" in told
    marks = {mark["event"]: mark for mark in rows(out, "marks")}
    assert marks["worker_lost"]["pid"] == victim.pid
    found = offsets(out)
    cut = marks["cut_off"]["t"] - instant(out, "load_started")
    planned = schedule(Load("constant", rate=20, window=600), 1)
    expected = [moment for moment in planned if moment < cut]
    assert found[: len(expected)] == pytest.approx(expected, abs=1e-5)
    assert len(found) - len(expected) <= 20  # the other went on until the word to end reached it
    assert any(job["error"] == "its worker was lost" for job in rows(out))
    assert set(outcomes(out)) == {"ok", "unfinished"}


@pytest.mark.parametrize(
    ("send", "how"),
    [(os.kill, signal.SIGTERM), (os.killpg, signal.SIGINT)],
    ids=["SIGTERM to the master", "Ctrl-C on a terminal"],
)
def test_whoever_ends_it_nothing_stays(tmp_path, locust, send, how):
    """No process, and records are whole."""
    with StubServer(lambda n: Reply(delay=0 if n % 2 else 60)) as server:
        master = locust(
            *("--headless", "--processes", "2", "--host", server.url, *JOB, "--rate", "20"),
            *("--window", "10min", "--records", "out"),
        )
        workers = workers_of(master)
        wait_until(lambda: len(server.submitted) > 10)
        send(master.pid, how)
        told = master.communicate(timeout=60)[0]
        wait_until(lambda: gone(workers))
        missing = len(rows(tmp_path / "out")) - len(server.submitted)
    assert 0 <= missing <= 2, told  # each may have one on its way
    assert set(outcomes(tmp_path / "out")) == {"ok", "unfinished"}
    assert "Traceback" not in told, told
    assert master.returncode == 1


def test_what_can_not_work_ends_in_one_clear_line(tmp_path, locust):
    """Told once, by the master, and the processes that were forked are gone."""
    master = locust("--headless", "--processes", "2", "--host", "http://127.0.0.1:9", *JOB, "--rate", "fast")
    workers = psutil.Process(master.pid).children()
    told = master.communicate(timeout=60)[0]
    said = [line for line in told.splitlines() if "/INFO/" not in line]
    assert len(said) == 1, told
    assert "--rate: " in said[0]
    assert master.returncode == 2
    wait_until(lambda: gone(workers))


# --- the web page ---


def test_the_page_leads_several_processes(tmp_path, locust, port):
    """A load, its end, another in the closed model, and one that is stopped."""
    web = next(n for n in range(port + 1, 32_000) if socket.socket().connect_ex(("127.0.0.1", n)))
    url = f"http://127.0.0.1:{web}"

    def post(path, **fields):
        data = urllib.parse.urlencode(fields).encode()
        with urllib.request.urlopen(url + path, data, timeout=30) as answer:
            return json.load(answer)

    def figures():
        with urllib.request.urlopen(url + "/stats/requests", timeout=30) as answer:
            return json.load(answer)

    def ready():
        try:
            return [worker["state"] for worker in figures()["workers"]] == ["ready", "ready"]
        except OSError:
            return False

    def ended(jobs):
        """All in one answer, since Locust gives the same for two seconds."""
        now = figures()
        shown = sum(row["num_requests"] for row in now["stats"] if row["method"] == "JOB")
        states = [worker["state"] for worker in now["workers"]]
        return shown == jobs and now["state"] == "stopped" and states == ["ready", "ready"]

    with StubServer(lambda n: Reply(delay=0.05 if n < 30 else 60)) as server:
        words = ("--host", server.url, *JOB, "--records", "out")
        master = locust("--processes", "2", "--web-host", "127.0.0.1", "--web-port", str(web), *words)
        wait_until(ready)
        common = {"user_count": "3", "spawn_rate": "3", "host": server.url}
        assert post("/swarm", **common, rate="20", arrivals="constant", window="500ms")["success"]
        wait_until(lambda: ended(10))
        assert outcomes(tmp_path / "out") == {"ok": 10}

        closed = {"model": "closed", "arrivals": "", "rate": "", "window": "", "jobs_per_user": "4"}
        assert post("/swarm", **common, **closed)["success"]
        wait_until(lambda: ended(12))
        assert outcomes(tmp_path / "out" / "2") == {"ok": 12}

        last = {"model": "open", "rate": "40", "window": "10min", "jobs_per_user": ""}
        assert post("/swarm", **common, **last)["success"]
        wait_until(lambda: len(server.submitted) > 35)
        post("/stop")
        wait_until(lambda: figures()["state"] == "stopped")
        assert outcomes(tmp_path / "out" / "3")["unfinished"] > 0
        master.send_signal(signal.SIGINT)
        master.communicate(timeout=60)


# --- as the harness drives it ---


def test_a_trial_may_have_several_processes(tmp_path):
    """The same records as from one, in progress and CPU all are counted."""
    seen = []
    with StubServer() as server:
        result = run_load(TRIAL, server.url, tmp_path, seen.append)
    start = next(mark["t"] for mark in result.marks if mark["event"] == "load_started")
    assert sorted(result.jobs["arrival"] - start) == pytest.approx(schedule(TRIAL.load, TRIAL.seed), abs=1e-5)
    assert result.jobs["phase"].value_counts().to_dict() == {"window": 30, "warmup": 10}
    assert len(result.requests) == 40
    assert (seen[-1].phase, seen[-1].in_time, seen[-1].total, seen[-1].in_flight) == ("done", 40, 40, 0)


def test_the_probe_sees_all_processes_of_the_generator(tmp_path):
    """Their CPU counts as the generator's, and none stays when it is not needed any more."""
    with Generator(TRIAL, tmp_path) as generator:
        wait_until(lambda: read_progress(tmp_path / "progress.json").phase == "ready")
        trees = ProcessTrees(lambda: [("generator", generator.pid)])
        trees()
        family = [psutil.Process(generator.pid), *psutil.Process(generator.pid).children()]
        assert len(family) == 3
        assert set(trees._known) == set(family)
    wait_until(lambda: gone(family))


def test_a_trial_that_loses_a_worker_fails_in_one_line(tmp_path):
    """And nothing of the generator survives."""
    load = Load("constant", rate=20, window=600)
    with StubServer() as server, Generator(replace(TRIAL, load=load), tmp_path) as generator:
        wait_until(lambda: read_progress(tmp_path / "progress.json").phase == "ready")
        family = [psutil.Process(generator.pid), *psutil.Process(generator.pid).children()]

        def kill(progress):
            if progress.in_time > 10:
                with suppress(psutil.Error):
                    family[1].kill()

        with pytest.raises(LoadError, match="was lost") as caught:
            generator.go(server.url, kill)
    assert "\n" not in str(caught.value)
    wait_until(lambda: gone(family))


def test_what_several_processes_cost_can_be_measured(tmp_path):
    """CPU of all of them a job, and how late they send, on a server that does nothing."""
    with idle_server() as url:
        found = measure(url, "queued", 30, 1.0, processes=2)
    assert found.jobs == 30
    assert found.cpu_per_job > 0
    assert 0 <= found.delay_p50 <= found.delay_p99
    assert found.response_p50 > 0


def test_workers_end_with_a_master_that_is_killed(tmp_path):
    """Outright, with no chance to tell them."""
    if sys.platform != "linux":
        pytest.skip("only Linux tells a child that its parent was killed")
    load = Load("constant", rate=20, window=600)
    with StubServer() as server, Generator(replace(TRIAL, load=load), tmp_path) as generator:
        wait_until(lambda: read_progress(tmp_path / "progress.json").phase == "ready")
        workers = psutil.Process(generator.pid).children()

        def kill(progress):
            if progress.in_time > 10:
                with suppress(ProcessLookupError):
                    os.kill(generator.pid, signal.SIGKILL)

        with pytest.raises(LoadError, match="ended by SIGKILL"):
            generator.go(server.url, kill)
        wait_until(lambda: gone(workers))
