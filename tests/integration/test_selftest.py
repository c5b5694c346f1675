"""`bench selftest` for real: known servers, the real generator, the real analysis. Needs no service."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench.records import RunFolder
from bench.selftest.behaviour import Behaviour
from bench.selftest.broken import DEFECTS
from bench.selftest.stub import StubProcess

pytestmark = pytest.mark.timeout(300)


def selftest(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `bench selftest`."""
    return subprocess.run(
        [sys.executable, "-m", "bench", "selftest", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )


def missed(folder: Path, name: str) -> list[dict]:
    """The checks that a judgement missed."""
    return [c for c in json.loads((folder / name).read_text())["checks"] if not c["passed"]]


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """`bench selftest --quick`, once for all tests of this file."""
    home = tmp_path_factory.mktemp("selftest")
    done = selftest("--quick", "--output", "kept", cwd=home)
    return home / "kept", done


@pytest.mark.slow
def test_the_harness_tells_the_truth(measured):
    """Exit code 0, every count exact, every time within its limit."""
    folder, done = measured
    assert done.returncode in (0, 3), done.stdout + done.stderr
    found = json.loads((folder / "selftest.json").read_text())
    off = missed(folder, "selftest.json")
    if done.returncode == 3 and off and {c["scenario"] for c in off} <= set(found["disturbed"]):
        pytest.skip(f"this machine stood still in every attempt: {found['disturbed']}")
    assert (done.returncode, found["unmet"]) == (0, []), done.stdout
    assert len(found["checks"]) > 150
    assert (folder / "selftest.html").stat().st_size > 20_000


def test_counts_are_exact(measured):
    """No job is lost, invented, or taken for another (left out: what the machine spoiled every time)."""
    folder, done = measured
    disturbed = json.loads((folder / "selftest.json").read_text())["disturbed"]
    off = [c for c in missed(folder, "selftest.json") if c["unit"] == "count"]
    assert [c for c in off if c["scenario"] not in disturbed] == [], done.stdout
    ends = {"ok", "rejected", "gateway_timeout", "error", "wrong", "dropped", "unfinished"}
    assert set(RunFolder(folder).read("jobs")["outcome"]) == ends


def test_an_open_load_sees_the_stall_and_closed_users_do_not(measured):
    """Coordinated omission, at the percentile that the chart speaks of."""
    stall = json.loads((measured[0] / "selftest.json").read_text())["stall"]
    assert stall["closed"] < stall["seconds"] / 2 < stall["open"]
    assert (measured[0] / "charts" / "stall.svg").exists()


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_harness_that_is_broken_on_purpose_fails(measured, bench_here, monkeypatch, defect):
    """Exit code 3, and a line that names figure, truth, measured and deviation."""
    folder, _ = measured
    monkeypatch.setenv("COLUMNS", "200")
    done = bench_here("selftest", "--records", str(folder), "--broken", defect)
    assert done.returncode == 3, done.stdout + done.stderr
    scenario = {"from-send": "late", "drops-ignored": "drops", "lost-forgotten": "lies"}[defect]
    assert scenario in {c["scenario"] for c in missed(folder, f"selftest-broken-{defect}.json")}
    assert any(line.startswith(f"! {scenario}: ") for line in done.stdout.splitlines())


def test_ctrl_c_leaves_nothing_running(tmp_path):
    """Servers and generators in the middle of their load: all end, with exit code 130."""
    running = subprocess.Popen(
        [sys.executable, "-m", "bench", "selftest", "--quick", "--output", "kept"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 120
    log = tmp_path / "kept" / "trials" / "stall" / "jobs.jsonl"
    while not (log.exists() and log.stat().st_size):
        assert running.poll() is None, running.stdout.read() if running.stdout else ""
        assert time.monotonic() < deadline, "the load did not begin"
        time.sleep(0.05)
    below = psutil.Process(running.pid).children(recursive=True)
    assert len(below) >= 9  # four servers, five generators
    running.send_signal(signal.SIGINT)
    printed, _ = running.communicate(timeout=60)
    assert running.returncode == 130, printed
    assert "everything that was started has been ended" in printed
    _, alive = psutil.wait_procs(below, timeout=20)
    assert not alive


def test_a_server_ends_with_the_pipe_that_holds_it(tmp_path):
    """However the harness ends, nothing of it listens on."""
    with StubProcess(Behaviour(), tmp_path / "log.jsonl", tmp_path / "journal.jsonl") as stub:
        process = psutil.Process(stub.pid)
        assert process.net_connections("inet")[0].laddr.ip == "127.0.0.1"
    assert not process.is_running()


def test_wrong_usage_is_one_clear_line(tmp_path, bench_here):
    """Exit code 2, nothing started, no folder made."""
    done = bench_here("selftest", "--broken", "wheel")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--broken wheel: there is from-send" in done.stderr
    assert list(tmp_path.iterdir()) == []
