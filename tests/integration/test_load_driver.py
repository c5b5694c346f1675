"""A trial's load through the real Locust, as the harness runs it. Needs no service: the system is a stub."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from stub_server import Reply, StubServer

from bench.load.driver import Generator, LoadError, run_load
from bench.load.external import measure_url
from bench.load.progress import read_progress
from bench.plan import Box, Load, System, Trial, Work
from bench.records import JOBS, REQUESTS, RunFolder

TRIAL = Trial(
    id="001-stub",
    part="stub",
    shows="load",
    system=System("stub", "blocking"),
    work=Work("spin", {"seconds": 0.01, "gil": "held"}, service_time=0.01, cpu_time=0.01),
    load=Load("constant", rate=40, warmup=0.25, window=0.5),
    box=Box(1, 2**30),
    deadline=0.3,
    gateway_timeout=0.3,
    poll_interval=0.05,
    drain_limit=2,
    repeat=1,
    seed=1,
    capacity=100,
)


def trial(kind="blocking", load=TRIAL.load, **more):
    return replace(TRIAL, system=System("stub", kind), load=load, **more)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def wait_until(true, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.mark.parametrize("kind", ["blocking", "gunicorn", "bounded", "queued", "as_published"])
def test_a_trial_is_carried_out_and_collected(tmp_path, kind):
    """10 warm-up and 20 counted jobs, every fourth refused: exact counts, tables ready for the run folder."""
    seen = []
    with StubServer(lambda n: Reply(status=503 if n % 4 == 3 else 0)) as server:
        result = run_load(trial(kind), server.url, tmp_path, seen.append)
    jobs = result.jobs
    assert jobs.groupby(["phase", "outcome"]).size().to_dict() == {
        ("warmup", "ok"): 8,
        ("warmup", "rejected"): 2,
        ("window", "ok"): 15,
        ("window", "rejected"): 5,
    }
    assert list(jobs.columns) == JOBS.names
    assert list(result.requests.columns) == REQUESTS.names
    assert set(jobs["trial"]) == set(result.requests["trial"]) == {"001-stub"}
    assert (jobs["sent"] >= jobs["arrival"]).all()
    assert [mark["event"] for mark in result.marks] == [
        "load_started",
        "window_started",
        "window_ended",
        "drained",
    ]
    assert {mark["pid"] for mark in result.marks} == {result.generator_pid}
    assert result.exit_code == 0
    assert not result.stopped
    assert gone(result.generator_pid)
    assert seen[-1].phase == "done"
    assert (seen[-1].in_time, seen[-1].rejected, seen[-1].in_flight, seen[-1].total) == (23, 7, 0, 30)
    assert seen[-1].cpu > 0
    run = RunFolder(tmp_path / "run")
    run.write_part("jobs", "001-stub", jobs)
    run.write_part("requests", "001-stub", result.requests)
    run.write_part("events", "001-stub", result.marks)
    assert len(run.read("jobs")) == 30


def test_every_system_is_asked_at_the_same_moments(tmp_path):
    """One seed, one schedule: the arrivals of two trials differ by their starts only."""
    offsets = []
    for kind in ("blocking", "queued"):
        with StubServer() as server:
            load = Load("poisson", rate=40, window=0.8)
            result = run_load(trial(kind, load), server.url, tmp_path / kind)
        start = result.marks[0]["t"]
        offsets.append(sorted(round(arrival - start, 4) for arrival in result.jobs["arrival"]))
    assert offsets[0] == pytest.approx(offsets[1], abs=1e-3)
    assert len(offsets[0]) > 10


def test_a_closed_user_goes_on_at_once(tmp_path):
    """Without think time there is nothing between a result and the same user's next job."""
    load = Load("closed", size=1, window=0, jobs_per_user=8)
    with StubServer(lambda _: Reply(delay=0.02)) as stub:
        jobs = run_load(trial(load=load), stub.url, tmp_path).jobs.sort_values("arrival")
    gaps = jobs["arrival"].to_numpy()[1:] - jobs["done"].to_numpy()[:-1]
    assert gaps.min() < 0.05  # a machine may stand still between some jobs, not between all


def test_the_closed_model_has_locusts_users(tmp_path):
    """Five at once, two jobs each, as the post's curls; the trial ends with the last."""
    load = Load("closed", size=5, window=0, jobs_per_user=2)
    with StubServer(lambda _: Reply(delay=0.1)) as server:
        result = run_load(trial(load=load), server.url, tmp_path)
    assert result.jobs["outcome"].tolist() == ["ok"] * 10
    first = result.jobs.nsmallest(5, "arrival")["arrival"]
    assert first.max() - first.min() < 0.1


def test_a_generator_that_is_ready_begins_at_once(tmp_path):
    """Locust's start is over when the system is up: from `go` to the first arrival is no second."""
    with StubServer() as server, Generator(trial(), tmp_path) as generator:
        assert generator.pid
        wait_until(lambda: read_progress(tmp_path / "progress.json").phase == "ready")
        assert server.submitted == []
        began = time.time()
        result = generator.go(server.url)
    assert result.marks[0]["t"] - began < 0.8


def test_a_generator_that_is_not_needed_leaves_nothing(tmp_path):
    """The system did not come up: the generator goes without a word."""
    with Generator(trial(), tmp_path) as generator:
        pid = generator.pid
        wait_until(lambda: read_progress(tmp_path / "progress.json").phase == "ready")
    assert gone(pid)
    with Generator(trial(), tmp_path) as generator:
        pid = generator.pid
    assert gone(pid)


def test_stopping_keeps_what_there_is(tmp_path):
    """Ctrl-C in the harness: jobs in flight are unfinished, what was done stays done."""
    stop = threading.Event()
    load = Load("constant", rate=10, window=60)

    def enough(progress):
        if progress.in_time >= 3:
            stop.set()

    with StubServer(lambda n: Reply(delay=0 if n % 2 else 30)) as server:
        began = time.monotonic()
        result = run_load(trial(load=load, gateway_timeout=60), server.url, tmp_path, enough, stop)
    assert time.monotonic() - began < 15
    assert result.stopped
    assert set(result.jobs["outcome"]) == {"ok", "unfinished"}
    assert result.marks[-1]["event"] == "cut_off"
    assert len(result.jobs) - len(server.submitted) in (0, 1)  # one may be on its way
    assert gone(result.generator_pid)


def test_a_generator_dies_with_its_harness(tmp_path):
    """Killed outright, with no chance to clean up: Locust ends by itself, and has written what it knew."""
    with StubServer(lambda _: Reply(delay=30)) as server:
        code = textwrap.dedent(f"""
            import json, sys
            from pathlib import Path
            from bench.load.driver import Generator
            from bench.plan import Trial
            trial = Trial.from_json(json.loads(Path({str(tmp_path / "given.json")!r}).read_text()))
            with Generator(trial, Path({str(tmp_path)!r})) as generator:
                print(generator.pid, flush=True)
                generator.go({server.url!r})
        """)
        load = Load("constant", rate=10, window=60)
        (tmp_path / "given.json").write_text(json.dumps(trial(load=load, gateway_timeout=60).to_json()))
        harness = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        pid = int(harness.stdout.readline())
        wait_until(lambda: read_progress(tmp_path / "progress.json").in_flight >= 3)
        os.kill(harness.pid, signal.SIGKILL)
        harness.wait()
        harness.stdout.close()
        wait_until(lambda: gone(pid))
    assert "unfinished" in (tmp_path / "jobs.jsonl").read_text()


def test_a_generator_that_fails_is_told_in_one_line(tmp_path):
    """An unknown task: the line that Locust's process ended with, and where its log is."""
    work = replace(TRIAL.work, task="nonsense")
    with pytest.raises(LoadError) as caught:
        run_load(replace(TRIAL, work=work), "http://127.0.0.1:9", tmp_path)
    assert "there is no task 'nonsense'" in str(caught.value)
    assert "generator.log" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_generator_that_is_killed_is_told(tmp_path):
    """By the kernel for its memory, say: the trial fails, and what was recorded stays in its folder."""
    load = Load("constant", rate=20, window=60)
    with StubServer() as server, Generator(trial(load=load), tmp_path) as generator:

        def kill(progress):
            if progress.in_time > 20:
                with suppress(ProcessLookupError):
                    os.kill(generator.pid, signal.SIGKILL)

        with pytest.raises(LoadError, match="ended by SIGKILL"):
            generator.go(server.url, kill)
    assert (tmp_path / "jobs.jsonl").stat().st_size


def test_an_address_that_can_not_be_one_is_told(tmp_path):
    """For an external system the address comes from a person."""
    with pytest.raises(LoadError, match="is not a URL to send jobs to"):
        run_load(TRIAL, "nowhere", tmp_path)


def test_a_folder_that_can_not_be_made_is_told(tmp_path):
    """Before anything is started."""
    (tmp_path / "file").touch()
    with pytest.raises(LoadError, match="can't be started"):
        run_load(TRIAL, "http://127.0.0.1:9", tmp_path / "file" / "inside")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_is_told(tmp_path, monkeypatch):
    """While the load runs: it ends early and says why."""
    load = Load("constant", rate=10, window=60)
    with StubServer() as server, Generator(trial(load=load), tmp_path) as generator:
        wait_until(lambda: read_progress(tmp_path / "progress.json").phase == "ready")
        # What the generator has open already can't be swapped under it; the progress file is new each time.
        (tmp_path / "progress.half").unlink(missing_ok=True)
        (tmp_path / "progress.half").symlink_to("/dev/full")
        with pytest.raises(LoadError, match="records can't be written: No space left"):
            generator.go(server.url)


def test_settings_of_somebodys_locust_do_not_reach_the_harness(tmp_path, monkeypatch):
    """Neither variables, nor a locust.conf or a module where the harness is started."""
    monkeypatch.setenv("LOCUST_RUN_TIME", "1")
    monkeypatch.setenv("LOCUST_USERS", "50")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gevent.py").write_text("raise SystemExit('not the one')")
    (tmp_path / "locust.conf").write_text("users = 50\nloglevel = DEBUG\nheadless = false\n")
    with StubServer() as server:
        result = run_load(trial(), server.url, tmp_path / "trial")
    assert len(result.jobs) == 30


def test_the_generator_speaks_to_the_system_and_to_nobody_else(tmp_path, monkeypatch):
    """No check for updates, no telemetry: every connection and look-up of its process is the system's."""
    log = tmp_path / "connections"
    (tmp_path / "sitecustomize.py").write_text(
        textwrap.dedent(f"""
            import sys
            def note(event, arguments):
                if event in ("socket.connect", "socket.sendto"):
                    where = arguments[1]
                elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
                    where = arguments[:2]
                else:
                    return
                with open({str(log)!r}, "a") as out:
                    out.write(repr(tuple(where)[:2]) + "\\n")
            sys.addaudithook(note)
        """)
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with StubServer() as server:
        result = run_load(trial("queued"), server.url, tmp_path / "trial")
        port = int(server.url.rpartition(":")[2])
    assert len(result.jobs) == 30
    assert set(log.read_text().splitlines()) == {repr(("127.0.0.1", port))}


def test_a_service_that_already_runs_is_measured_through_its_url():
    """S is what it says it spent; how to speak to it is found out without starting a job."""
    for faces in (("run",), ("jobs",), ("get",), ("get", "published")):
        with StubServer(lambda _: Reply(delay=0.1), faces=faces) as server:
            found = measure_url(server.url, "spin", TRIAL.work.input, 0.3)
            assert len(server.submitted) == found.repeats
        if "published" in faces:  # it has no Server-Timing: the response time, polls and all
            assert found.wall >= 0.1
        else:
            assert found.wall == pytest.approx(0.04)


def test_a_service_that_can_not_do_the_job_is_told():
    """Nothing there, no route for jobs, or jobs that fail: one line each."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        nobody = f"http://127.0.0.1:{held.getsockname()[1]}"
    with pytest.raises(LoadError, match="nothing answers at"):
        measure_url(nobody, "spin", TRIAL.work.input, 0.3)
    with StubServer(faces=()) as server, pytest.raises(LoadError, match="has no route to send jobs to"):
        measure_url(server.url, "spin", TRIAL.work.input, 0.3)
    with (
        StubServer(lambda _: Reply(status=500)) as server,
        pytest.raises(LoadError, match="does not do the job: error: HTTP 500: as told"),
    ):
        measure_url(server.url, "spin", TRIAL.work.input, 0.3)
