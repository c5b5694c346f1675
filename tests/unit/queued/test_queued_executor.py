"""The child process: warm, replaced when it dies, and gone with its parent."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from queued.executor import CannotRun, Executor
from queued.job import Done, Failed, Job

MODULE = """
import os, sys
print("importing prints")

def pid(x):
    print("running prints too")
    return os.getpid()

def die(x):
    os._exit(x) if x >= 0 else os.kill(os.getpid(), -x)

def give(x):
    return {"object": object(), "nan": float("nan"), "exit": 1}[x] if x != "exit" else sys.exit(4)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module of the user's, which the child finds."""
    (tmp_path / "mine.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


@pytest.fixture
def make(module: Path) -> Iterator[type]:
    """Makes executors and closes them."""
    made: list[Executor] = []

    class Made(Executor):
        def __init__(self, task: str) -> None:
            super().__init__(task)
            made.append(self)

    yield Made
    for executor in made:
        executor.close()


def job(value: object) -> Job:
    return Job("id", "task", value, 0.0)


def output(outcome: object) -> bytes:
    assert isinstance(outcome, Done), outcome
    return outcome.output


def test_one_child_runs_all_jobs(make: type[Executor]) -> None:
    """The child is kept warm, and what a task prints does not disturb."""
    executor = make("mine:pid")
    executor.start()
    first, second = output(executor.run(job(1))), output(executor.run(job(2)))
    assert first == second != str(os.getpid()).encode()


@pytest.mark.parametrize(
    ("code", "says"),
    [(3, "ended with exit code 3"), (0, "ended with exit code 0"), (-11, "killed by SIGSEGV")],
)
def test_a_child_that_dies_fails_its_job_only(make: type[Executor], code: int, says: str) -> None:
    """The attempt fails with the cause, and the next job has a child again."""
    executor = make("mine:die")
    executor.start()
    for _ in range(2):
        outcome = executor.run(job(code))
        assert isinstance(outcome, Failed)
        assert says in outcome.problem.detail


@pytest.mark.parametrize(
    ("what", "kind", "says"),
    [
        ("object", "job-failed", "TypeError"),
        ("nan", "job-failed", "ValueError"),
        ("exit", "attempt-died", "exit code 4"),
        ("other", "job-failed", "KeyError: 'other'"),
    ],
)
def test_what_can_not_be_sent_fails_the_job(make: type[Executor], what: str, kind: str, says: str) -> None:
    """An output that is not JSON, or an exit, is a failed job in words."""
    executor = make("mine:give")
    executor.start()
    outcome = executor.run(job(what))
    assert isinstance(outcome, Failed)
    assert outcome.problem.kind == kind
    assert says in outcome.problem.detail


def test_an_endless_output_fails_the_job(make: type[Executor], monkeypatch: pytest.MonkeyPatch) -> None:
    """What the store could not take is told instead of tried for ever."""
    monkeypatch.setattr("queued.executor.MAX_OUTPUT", 2)
    executor = make("mine:pid")
    executor.start()
    outcome = executor.run(job(1))
    assert isinstance(outcome, Failed)
    assert "2 is the limit" in outcome.problem.detail


@pytest.mark.parametrize("task", ["nothing", "nowhere:function", "mine:missing"])
def test_a_task_that_can_not_be_loaded_is_told_at_the_start(make: type[Executor], task: str) -> None:
    """One line that names it, before any job is taken."""
    with pytest.raises(CannotRun, match=task.partition(":")[0]) as caught:
        make(task).start()
    assert "\n" not in str(caught.value)


def test_a_module_that_ends_the_child_is_told(make: type[Executor], module: Path) -> None:
    """Even an import that kills the process ends in one line."""
    (module / "deadly.py").write_text("import os; os._exit(7)")
    with pytest.raises(CannotRun, match="deadly:f ended with exit code 7"):
        make("deadly:f").start()


@pytest.mark.parametrize("platform", [sys.platform, "one without parent death signals"])
def test_the_child_goes_with_its_parent(platform: str) -> None:
    """Even when the parent is killed outright and the child is in the middle of a job."""
    child = (
        "import sys, os, time; from queued.child import die_with;"
        f"sys.platform = {platform!r}; die_with(os.getppid());"
        "print(os.getpid(), flush=True); time.sleep(60)"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        grandchild = psutil.Process(int(process.stdout.readline()))
        process.kill()
    deadline = time.monotonic() + 20
    while grandchild.is_running() and grandchild.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)
