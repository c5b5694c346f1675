"""`python -m workloads`: one line of JSON about one job, or one line about what is wrong."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from workloads import load_task
from workloads.calibrate import calibrate

ROOT = Path(__file__).parents[3]

MODULE = """
import os
print("a model says hello")
def predict(x):
    print("predicting")
    os.system("echo from below Python")
    return {"y": x}
def fail(x): raise ValueError("no such\\nclass")
def odd(x): return {1, 2}
def leave(x): raise SystemExit(0)
"""


def workloads(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run the command as the harness does."""
    return subprocess.run(
        [sys.executable, "-m", "workloads", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_one_json_line_says_what_a_job_takes(tmp_path):
    """Whatever the user's function prints goes elsewhere."""
    (tmp_path / "my_model.py").write_text(MODULE)
    (tmp_path / "input.json").write_text('{"a": 1}')
    done = workloads(
        "calibrate", "--task", "my_model:predict", "--input", "@input.json", "--repeats", "3", "--threads",
        folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    found = json.loads(done.stdout)
    assert set(found) == {
        "wall", "cpu", "samples", "two_threads_ratio", "holds_gil", "peak_memory", "task_memory", "python",
    }  # fmt: skip
    assert len(found["samples"]) == 3
    assert found["two_threads_ratio"] > 0
    assert found["peak_memory"] > 2**20
    assert found["python"] == platform.python_version()
    for printed in ("a model says hello", "predicting", "from below Python"):
        assert printed in done.stderr


def test_work_that_lets_go_of_the_gil_or_waits_is_told_from_work_that_holds_it():
    """By measuring, where the task does not say it: capacity of a threaded server depends on it."""
    waits = calibrate(load_task("time:sleep"), 0.05, 1, 10, threads=True)
    assert waits.holds_gil is False
    assert waits.two_threads_ratio > 0
    spin = load_task("spin")
    assert calibrate(spin, 0.02, 1, 10, threads=True).holds_gil is True
    assert calibrate(spin, {"seconds": 0.02, "gil": "released"}, 1, 10).holds_gil is False


def test_the_wall_time_of_a_job_known_by_construction_is_found():
    """At least: a busy machine stretches it."""
    found = calibrate(load_task("sleep"), 0.02, 3, 10)
    assert found.wall >= 0.02
    assert found.two_threads_ratio is None


def test_the_budget_bounds_the_repeats_but_one_run_there_always_is():
    """A job of minutes is measured once."""
    assert len(calibrate(load_task("sleep"), 0.02, 100, 0).samples) == 1
    assert 1 <= len(calibrate(load_task("sleep"), 0.02, 100, 0.09).samples) <= 4


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only here is the peak exact")
def test_the_memory_that_a_job_takes_is_found():
    """So that the harness knows how many copies fit in a box."""
    done = workloads("calibrate", "--task", "memory", "--input", '{"mb": 40, "seconds": 0}', "--repeats", "1")
    found = json.loads(done.stdout)
    assert 38 * 2**20 < found["task_memory"] < 60 * 2**20
    assert found["task_memory"] < found["peak_memory"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "required"),
        (["calibrate"], "required: --task"),
        (["check", "--task", "nope"], "there is no task 'nope'"),
        (["check", "--task", "nope:f"], "No module named 'nope'"),
        (["calibrate", "--task", "spin", "--input", "{"], "this is not JSON"),
        (["calibrate", "--task", "spin", "--input", "-1"], "from 0 to 3,600, not -1"),
        (["calibrate", "--task", "spin", "--input", "@gone.json"], "gone.json can't be read"),
        (["calibrate", "--task", "spin", "--repeats", "0"], "'0' is not a whole number from 1"),
        (["calibrate", "--task", "spin", "--budget", "nan"], "'nan' is not a number from 0"),
        (["calibrate", "--task", "my_model:predict"], "has no example: give its input"),
        (
            ["calibrate", "--task", "my_model:fail", "--input", "1"],
            "ValueError: no such class (my_model.py, line 8)",
        ),
        (["calibrate", "--task", "my_model:odd", "--input", "1"], "can't be written as JSON"),
        (["calibrate", "--task", "my_model:leave", "--input", "1"], "SystemExit: 0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_call_or_a_failing_job_is_one_line_and_exit_code_2(
    tmp_path, capsys, monkeypatch, arguments, why
):
    """No traceback, no usage text; the line names the cause."""
    from workloads.__main__ import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    (tmp_path / "my_model.py").write_text(MODULE)
    limit = sys.get_int_max_str_digits()
    try:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
    finally:
        sys.set_int_max_str_digits(limit)
        for name in set(sys.modules) - before:
            del sys.modules[name]
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert why in captured.err
