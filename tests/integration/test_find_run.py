"""`bench find` for real: a short search on a real server, what it leaves behind, and its interruption."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench import exits
from bench.records import RunFolder

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

SEARCH = """
import sys
from pathlib import Path
from rich.console import Console
from bench.find import Wish, find
from bench.records import RunFolder

sys.exit(find(
    Wish(
        "gunicorn", "timeouts<60%", RunFolder(Path("run")), workers=(1,), window="2s", least_window=2.0,
        precision="50%", input={"seconds": 0.02, "gil": "held"}, deadline="1s", command="bench find",
    ),
    Console(width=160),
))
"""
"""As the command line does it, but for windows that are shorter than it allows: 20-ms jobs, one worker."""


def searching(folder: Path) -> subprocess.Popen[str]:
    """Begin a search in a folder of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", SEARCH],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_a_search_leaves_a_table_its_figures_and_a_page(tmp_path):
    """What is printed, found.json and the run folder say the same; no rung is forgotten."""
    running = searching(tmp_path)
    said, _ = running.communicate(timeout=220)
    run = RunFolder(tmp_path / "run")
    assert running.returncode in (exits.FINE, exits.FAILED, exits.INVALID), said
    assert "Traceback" not in said
    told = json.loads((run.path / "found.json").read_text())
    assert (told["format"], told["system"], told["slo"]) == (1, "gunicorn", "timeouts<60%")
    (knee,) = told["knees"]
    assert knee["workers"] == 1
    low, high = knee["sustains"], knee["fails"]
    judged = [rung["kept"] for rung in knee["trials"] if rung["kept"] is not None]
    assert (low is None) == (not judged)
    if low:
        assert {"rate": low, "kept": True} in knee["trials"]
    if high:
        assert {"rate": high, "kept": False} in knee["trials"]
        assert 0 <= low < high

    state = run.read_run()
    assert state["finished"]
    assert state["box"]["cpus"] / 0.02 >= knee["capacity"] * 0.999
    assert list(state["results"]) == [trial["id"] for trial in state["trials"]]
    assert [t["load"]["rate"] for t in state["trials"]] == [rung["rate"] for rung in knee["trials"]]
    assert all((t["system"]["name"], t["system"]["workers"]) == ("gunicorn", 1) for t in state["trials"])
    counted = run.read("jobs").query("phase == 'window'").groupby("trial").size()
    done = [t for t in state["trials"] if state["results"][t["id"]]["status"] == "done"]
    assert set(counted.index) == {t["id"] for t in done}
    assert counted.min() >= 60, "fewer arrivals judge nothing"

    failed = any(result["status"] == "failed" for result in state["results"].values())
    fine = exits.FINE if low and knee["unmeasured"] is None else exits.INVALID  # else hidden
    assert running.returncode == (exits.FAILED if failed or low == 0 else fine), said
    (row,) = [line for line in said.splitlines() if line.startswith("│")]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert (cells[0], int(cells[-1])) == ("1", len(knee["trials"]))
    assert said.count("  find: gunicorn × 1 at ") == len(knee["trials"])
    assert "gunicorn with 1 worker" in said
    assert said.splitlines()[-1] == "Report: run/index.html"
    assert "gunicorn" in (run.path / "index.html").read_text()
    assert (run.path / "trials.csv").read_text().count("\n") == len(knee["trials"]) + 1


def test_ctrl_c_in_the_middle_keeps_what_is_done_and_leaves_nothing_running(tmp_path):
    """Exit code 130 and a page of the first trial, while the second one's system was up."""
    running = searching(tmp_path)
    assert running.stdout is not None
    seen = ""
    for line in running.stdout:
        seen += line
        if line.startswith("trial 1 of"):
            break
    else:
        pytest.fail(f"no trial ended: {seen}")
    deadline = time.monotonic() + 60
    below: list[psutil.Process] = []
    while not (below and list((tmp_path / "run" / "trials").glob("002-*"))):
        assert running.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline, "the second trial did not begin"
        time.sleep(0.05)
        below = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(signal.SIGINT)
    said = running.stdout.read()
    assert running.wait(60) == exits.INTERRUPTED, said
    assert "everything that was started has been ended" in said
    assert "it can't be continued: begin again" in said
    assert "Report: run/index.html" in said
    assert "Traceback" not in said
    _, alive = psutil.wait_procs(below, timeout=20)
    assert not alive

    state = RunFolder(tmp_path / "run").read_run()
    assert [t["id"][:3] for t in state["trials"]] == ["001"]
    assert list(state["results"]) == [state["trials"][0]["id"]]
    assert not state["finished"]
    assert "gunicorn" in (tmp_path / "run" / "index.html").read_text()
    assert not (tmp_path / "run" / "found.json").exists()
