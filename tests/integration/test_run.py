"""The whole path: `bench run` on real services, to the page; its interruption, and its bad usage."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from bench import exits
from bench.records import RunFolder

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

TINY = """\
task = "spin"
input = { seconds = 0.05, gil = "held" }
deadline = "1s"
poll_interval = "100ms"

[[parts]]
name = "load"
shows = "load"
systems = ["blocking", "queued"]
rates = ["4/s"]
window = "1s"
"""


CARRIED_OUT = (exits.FINE, exits.INVALID)
"""Exit codes of a run whose trials all took place: on a busy machine some may not be believed."""


def bench(
    *arguments: str, cwd: Path, timeout: float = 300, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the `bench` command in a folder of its own."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, **environment},
    )


def only_run(folder: Path) -> RunFolder:
    """The one run below `folder/reports`."""
    (path,) = (folder / "reports").iterdir()
    return RunFolder(path)


@pytest.fixture(scope="module")
def ci_run(tmp_path_factory) -> tuple[RunFolder, str]:
    """`bench run ci`, once for all tests of this file: the run and what it printed."""
    folder = tmp_path_factory.mktemp("ci")
    done = bench("run", "ci", "--again", "0", cwd=folder)
    assert done.returncode in CARRIED_OUT, done.stdout + done.stderr
    return only_run(folder), done.stdout


def trials(run: RunFolder) -> pd.DataFrame:
    """The table of trials, indexed by trial."""
    return pd.read_csv(run.path / "trials.csv").set_index("trial")


def of(run: RunFolder, system: str, part: str, table: str) -> pd.DataFrame:
    """Rows of a raw table for the trials of one system in one part."""
    frame = run.read(table)
    return frame[frame["trial"].str.contains(f"-{part}-{system}-w")]


@pytest.mark.slow
def test_blocking_under_overload_answers_504_and_works_for_nobody(ci_run):
    """The failure that the project is about: the gateway gives up, the server goes on computing."""
    run, _ = ci_run
    jobs = of(run, "blocking", "load", "jobs")
    late = jobs[jobs["outcome"] == "gateway_timeout"]
    assert len(late) > 0
    assert set(late["status"]) == {504}
    executed = of(run, "blocking", "load", "executions")
    assert set(executed["job"]) & set(late["job"]), (
        "the journal shows that jobs nobody waited for were computed"
    )


def test_the_queue_under_the_same_overload_delivers_every_job(ci_run):
    """What was accepted is delivered, and nothing is computed twice or broken off."""
    run, _ = ci_run
    jobs = of(run, "queued", "load", "jobs")
    accepted = jobs[jobs["accepted"].notna()]
    assert set(accepted["outcome"]) == {"ok"}
    # D is 0.6 s here: a machine that stands still for so long makes a 504 of a submission.
    assert set(jobs["outcome"]) <= {"ok", "gateway_timeout"}
    assert len(accepted) > 0.5 * len(jobs)
    executed = of(run, "queued", "load", "executions")
    assert executed["end"].notna().all()
    assert executed["job"].is_unique
    assert set(accepted["job"]) <= set(executed["job"])


def test_every_system_met_the_same_arrivals(ci_run):
    """The comparison is one because the schedule is."""
    run, _ = ci_run
    schedules = {}
    for system in ("blocking", "gunicorn", "queued"):
        for trial, rows in of(run, system, "load", "jobs").groupby("trial"):
            offsets = tuple((rows["arrival"] - rows["arrival"].min()).round(4).sort_values())
            schedules.setdefault(re.search(r"-([\d.]+C)-", trial)[1], set()).add(offsets)
    assert len(schedules) == 2
    assert all(len(found) == 1 for found in schedules.values())


@pytest.mark.caps
def test_the_blocking_server_is_killed_for_memory_and_the_queue_is_not(ci_run):
    """Six copies do not fit into the box; two do. The kill is the kernel's, and the events say so."""
    run, _ = ci_run
    assert "oom_kill" in set(of(run, "blocking", "memory", "events")["event"])
    assert "oom_kill" not in set(of(run, "queued", "memory", "events")["event"])
    assert (of(run, "blocking", "memory", "jobs")["outcome"] != "ok").any()
    assert set(of(run, "queued", "memory", "jobs")["outcome"]) == {"ok"}


@pytest.mark.caps
def test_the_caps_in_force_are_those_that_were_asked_for(ci_run):
    """Read back from the kernel, for every trial."""
    run, _ = ci_run
    state = run.read_run()
    for result in state["results"].values():
        assert result["caps"]["cpus"] == pytest.approx(state["box"]["cpus"])
        assert result["caps"]["memory"] == pytest.approx(state["box"]["memory"], rel=0.01)


def test_the_ledger_balances(ci_run):
    """Every arrival of every trial that was run stands in exactly one column of the table."""
    run, _ = ci_run
    table = trials(run).query("status == 'done'")
    assert len(table) >= 10
    jobs = run.read("jobs").query("phase == 'window'").groupby("trial").size()
    columns = ["in_time", "late", "rejected", "failed", "lost", "unfinished", "dropped"]
    assert (table[columns].sum(axis=1) == table["arrivals"]).all()
    assert (table["arrivals"] == jobs.reindex(table.index).fillna(0)).all()


def test_the_page_and_the_charts_are_there_and_not_blank(ci_run):
    """What the last line of the run points at."""
    run, printed = ci_run
    assert str(run.path.name) in printed.splitlines()[-1]
    page = (run.path / "index.html").read_text()
    assert "http-equiv" in page or "<html" in page
    charts = sorted((run.path / "charts").glob("*.png"))
    assert len(charts) >= 6
    assert all(chart.stat().st_size > 5_000 and chart.with_suffix(".svg").exists() for chart in charts)


def test_the_report_is_rebuilt_offline_from_the_raw_records(ci_run, tmp_path, bench_here):
    """`bench report` needs nothing but run.json and the Parquet tables."""
    import shutil

    run, _ = ci_run
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(run.run_json, copy)
    for table in run.path.glob("*.parquet"):
        shutil.copytree(table, copy / table.name)
    done = bench_here("report", str(copy))
    assert done.returncode == 0, done.stderr
    assert (copy / "trials.csv").read_bytes() == (run.path / "trials.csv").read_bytes()
    assert (copy / "summary.md").exists()


def test_ctrl_c_keeps_what_is_done_and_resume_goes_on(tmp_path, bench_here):
    """Exit code 130, a page of what there is, the rest after --resume; nothing left running in between."""
    three = TINY.replace('["4/s"]', '["4/s", "5/s", "6/s"]').replace('"blocking", "queued"', '"blocking"')
    (tmp_path / "my.toml").write_text(three)
    running = subprocess.Popen(
        [sys.executable, "-m", "bench", "run", "my.toml", "--again", "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith("trial 1 of 3"):
            break
    running.send_signal(signal.SIGINT)
    rest = running.stdout.read()
    assert running.wait(60) == 130, rest
    run = only_run(tmp_path)
    assert f"--resume {run.path.relative_to(tmp_path)}" in rest
    assert (run.path / "index.html").exists()
    done_before = {k for k, r in run.read_run()["results"].items() if r["status"] == "done"}
    assert 1 <= len(done_before) < 3

    resumed = bench("run", "--resume", str(run.path), "--again", "0", cwd=tmp_path)
    assert resumed.returncode in CARRIED_OUT, resumed.stdout + resumed.stderr
    assert {r["status"] for r in run.read_run()["results"].values()} == {"done"}
    assert "trial 1 of 3" not in resumed.stdout
    again = bench_here("run", "--resume", str(run.path))
    assert (again.returncode, "nothing to resume" in again.stderr) == (2, True)


@pytest.mark.usefixtures("pointed_at")
def test_a_function_of_ones_own_is_measured_first_and_then_compared(tmp_path):
    """`--task module:function --input FILE --deadline`, from the folder that the function lives in."""
    (tmp_path / "mine.py").write_text(
        "import time\n\ndef caption(job):\n    time.sleep(job['s'])\n    return {'said': job['s']}\n"
    )
    (tmp_path / "input.json").write_text('{"s": 0.03}')
    (tmp_path / "my.toml").write_text(TINY.replace('"blocking", ', ""))
    done = bench(
        "run", "my.toml", "--task", "mine:caption", "--input", "input.json", "--deadline", "2s",
        "--again", "0", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode in CARRIED_OUT, done.stdout + done.stderr
    run = only_run(tmp_path)
    assert run.read_run()["service_time"] == pytest.approx(0.03, rel=0.5)
    assert set(run.read("jobs")["outcome"]) == {"ok"}


def test_a_service_that_already_runs_is_driven_and_the_page_says_so(tmp_path):
    """`--url`: nothing started, nothing capped."""
    (tmp_path / "my.toml").write_text(TINY)
    (tmp_path / "input.json").write_text('{"seconds": 0.05}')
    up = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "bench",
            "up",
            "gunicorn",
            "--task",
            "spin",
            "--input",
            "input.json",
            "--json",
            "--logs",
            "up",
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert up.stdout is not None
        url = json.loads(up.stdout.readline())["base_url"]
        done = bench("run", "my.toml", "--url", url, "--again", "0", cwd=tmp_path)
    finally:
        up.terminate()
        up.wait(30)
    assert done.returncode in CARRIED_OUT, done.stdout + done.stderr
    assert "nothing was started, nothing was capped" in (only_run(tmp_path).path / "index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run"], 2, "give an experiment"),
        (["run", "no-such"], 2, "blog, ci, failure, full, metastability, overtime, quick, scale, standard"),
        (["run", "bad.toml"], 2, "bad.toml:3: speed: unknown key"),
        (["run", "quick", "--task", "no_such_module:f"], 2, "no_such_module"),
        (["run", "quick", "--task", "spin", "--input", "missing.json"], 2, "missing.json"),
        (["run", "quick", "--task", "spin", "--deadline", "soon"], 2, "not a duration"),
        (["run", "quick", "--task", "json:dumps"], 2, "--input FILE"),
        (["run", "quick", "--url", "http://127.0.0.1:9"], 1, "127.0.0.1:9"),
        (["run", "quick", "--slo", "queud@0.5C: p95<2s"], 2, "no system queud in this experiment; it has"),
        (["run", "quick", "--slo", "queued@3C: p95<2s"], 2, "queued is not run at 3C; the loads are "),
        (["run", "quick", "--slo", "queued: p96<2s"], 2, "there is no metric p96"),
        (["run", "quick", "--junit", "."], 2, "is a folder"),
        (["run", "--resume", "nowhere"], 2, "not a run folder"),
        (["report", "nowhere"], 2, "not a run folder"),
        (["report", "nowhere", "--slo", "p95<2s"], 2, "not a run folder"),
        (["run", "quick", "--again", "-1"], 2, "--again"),
        (["up", "no-such-system"], 2, "no-such-system"),
    ],
)
def test_bad_usage_is_one_clear_message_and_nothing_is_started(tmp_path, bench_here, arguments, code, words):
    """No traceback, an exit code that a script can use, no run folder left."""
    (tmp_path / "bad.toml").write_text(TINY.replace("deadline", "speed = 3\ndeadline"))
    done = bench_here(*arguments)
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert words in said


def test_a_system_that_does_not_come_up_fails_its_trial_and_the_run_goes_on(tmp_path):
    """Recorded, reported, and exit code 1: nginx is made impossible to start."""
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "nginx").write_text("#!/bin/sh\necho 'no such luck' >&2\nexit 1\n")
    (broken / "nginx").chmod(0o755)
    (tmp_path / "my.toml").write_text(TINY.replace("queued", "gunicorn"))
    done = bench("run", "my.toml", cwd=tmp_path, PATH=f"{broken}:{os.environ['PATH']}")
    assert done.returncode == 1, done.stdout + done.stderr
    results = only_run(tmp_path).read_run()["results"]
    assert {r["status"] for r in results.values()} == {"failed"}
    assert all("gateway" in r["reason"] and "no such luck" in r["reason"] for r in results.values())
    assert "no such luck" in (only_run(tmp_path).path / "index.html").read_text()
