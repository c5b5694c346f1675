"""The children: warm, replaced when they die, gone with their parent; and what is taken back is never run."""

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from queued.job import Done, Failed, Job, Outcome
from queued.settings import Settings
from queued.worker.executor import CannotRun, Child, Ended, Event, Killed, Pool, Progress, Untouched

PATIENCE = 20.0

MODULE = """
import os, signal, sys, time
from workloads import InvalidInput
from workloads.progress import report
print("importing prints")

def pid(x):
    print("running prints too")
    return os.getpid()

def do(x):
    how, what = x if isinstance(x, list) else (x, None)
    with open("begun", "a") as begun:
        begun.write(f"{how} ")
    if how == "exit":
        os._exit(what)
    if how == "signal":
        os.kill(os.getpid(), what)
    if how == "leave":
        sys.exit(4)
    if how == "wait":
        while not os.path.exists(what):
            time.sleep(0.002)
    if how == "hold":  # neither yields the GIL to another thread nor heeds a signal
        while not os.path.exists(what):
            pass
    if how == "fork":
        if os.fork() == 0:
            time.sleep(60)
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "refuse":
        raise InvalidInput("not this one")
    if how == "raise":
        raise ValueError("no such class")
    if how == "progress":
        for n in range(200):
            report(n / 200, f"step {n}")
        report(1.0)
    if how == "give":
        return {"object": object(), "nan": float("nan"), "long": "x" * 100}[what]
    with open("ran", "a") as ran:
        ran.write(f"{how} ")
    return how
"""


class Bench:
    """A pool, and a loop around it as the worker's."""

    def __init__(self, **settings: Any) -> None:
        self.selector = selectors.DefaultSelector()
        self.settings = Settings("amqp://x", "redis://x", **{"task": "mine:do", **settings})
        self.pool = Pool(self.settings, self.selector)
        self.events: list[Event] = []

    def start(self) -> "Bench":
        self.pool.start()
        self.until(lambda: self.pool.ready)
        return self

    def turn(self) -> None:
        wait = self.pool.timeout(time.monotonic())
        for key, _ in self.selector.select(0.05 if wait is None else min(wait, 0.05)):
            self.pool.read(key.data)
        self.pool.look()
        self.events += self.pool.take()

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < deadline, self.events
            self.turn()

    @property
    def child(self) -> Child:
        return self.pool.children[0]

    def outcomes(self, count: int) -> dict[str, Outcome]:
        """Wait for so many ends: job id → outcome."""
        self.until(lambda: len(self.ended()) >= count)
        return self.ended()

    def ended(self) -> dict[str, Outcome]:
        return {event.job.id: event.outcome for event in self.events if isinstance(event, Ended)}

    def run(self, value: Any) -> Outcome:
        """Run one job."""
        self.until(lambda: self.pool.ready)
        self.events.clear()
        assert self.pool.give(self.child, [job(value)]) == []
        return self.outcomes(1)["id"]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module of the user's, which the child finds."""
    (tmp_path / "mine.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make(module: Path) -> Iterator[type[Bench]]:
    """Makes pools and closes them."""
    made: list[Bench] = []

    class Made(Bench):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            made.append(self)

    yield Made
    for bench in made:
        bench.pool.close()


def job(value: object, job_id: str = "id") -> Job:
    return Job(job_id, "mine:do", value, 0.0)


def ran(module: Path, file: str = "ran") -> list[str]:
    """What has ended, in order; or begun."""
    return (module / file).read_text().split() if (module / file).exists() else []


def test_one_child_runs_all_jobs(make: type[Bench]) -> None:
    """The child is kept warm, and what a task prints does not disturb."""
    bench = make(task="mine:pid").start()
    first, second = bench.run(1), bench.run(2)
    assert isinstance(first, Done)
    assert isinstance(second, Done)
    assert first.output == second.output != str(os.getpid()).encode()


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (["exit", 3], "ended with exit code 3"),
        (["exit", 0], "ended with exit code 0"),
        (["leave", None], "ended with exit code 4"),
        (["signal", 11], "killed by SIGSEGV"),
        (["signal", 9], "killed by SIGKILL (out of memory?)"),
    ],
)
def test_a_child_that_dies_fails_its_attempt_only(make: type[Bench], how: object, says: str) -> None:
    """The attempt fails with the cause, another may help, and the next job has a child again."""
    bench = make().start()
    for _ in range(2):
        outcome = bench.run(how)
        assert isinstance(outcome, Failed)
        assert outcome.problem.kind == "attempt-died"
        assert says in outcome.problem.detail
        assert outcome.retry
    assert isinstance(bench.run("well"), Done)


def test_a_child_that_dies_is_noticed_though_another_holds_its_socket(make: type[Bench]) -> None:
    """A task's own process that lives on does not hide that the child is dead."""
    bench = make().start()
    outcome = bench.run(["fork", None])
    assert isinstance(outcome, Failed)
    assert "SIGKILL" in outcome.problem.detail


@pytest.mark.parametrize(
    ("what", "says", "retry"),
    [
        (["raise", None], "ValueError: no such class", True),
        (["refuse", None], "not this one", False),
        (["give", "object"], "can't be sent as JSON: TypeError", False),
        (["give", "nan"], "can't be sent as JSON: ValueError", False),
        (["give", "long"], "102 bytes of JSON, and 101 is the limit", False),
    ],
)
def test_a_job_that_fails_says_why_and_whether_another_attempt_may_help(
    make: type[Bench], what: object, says: str, retry: bool
) -> None:
    """An exception is tried again; a wrong input or an output that can't be sent would fail again."""
    outcome = make(max_output=101).start().run(what)
    assert isinstance(outcome, Failed)
    assert outcome.problem.kind == "job-failed"
    assert says in outcome.problem.detail
    assert outcome.retry is retry


def test_the_time_limit_ends_a_job(make: type[Bench], module: Path) -> None:
    """A job over its limit is killed, and the attempt says so; the next has all its time."""
    bench = make(time_limit=0.5).start()
    bench.pool.give(bench.child, [job(["hold", "never"], "long"), job("next", "next")])
    outcome = bench.outcomes(1)["long"]
    assert isinstance(outcome, Failed)
    assert (outcome.problem.kind, outcome.retry) == ("time-limit", True)
    assert "0.5 s" in outcome.problem.detail
    assert Untouched(job("next", "next")) in bench.events
    assert isinstance(bench.run("well"), Done)


def test_a_lot_runs_in_order(make: type[Bench], module: Path) -> None:
    """Many short jobs sent together each get their own answer."""
    bench = make().start()
    jobs = [job(str(n), str(n)) for n in range(64)]
    assert bench.pool.give(bench.child, jobs[:32]) == []
    assert bench.pool.give(bench.child, jobs[32:]) == []
    outcomes = bench.outcomes(64)
    assert [outcomes[str(n)] for n in range(64)] == [
        Done(f'"{n}"'.encode(), outcomes[str(n)].run) for n in range(64)
    ]
    assert ran(module) == [str(n) for n in range(64)]


@pytest.mark.parametrize("how", ["wait", "hold"])
def test_what_is_taken_back_is_never_run(make: type[Bench], module: Path, how: str) -> None:
    """Neither run nor lost: also where the running job never yields, and with another lot right after."""
    bench = make().start()
    bench.pool.give(
        bench.child, [job("first", "first"), job([how, "go"], "long"), job("a", "a"), job("b", "b")]
    )
    bench.pool.give(bench.child, [job("c", "c")])
    bench.until(lambda: how in ran(module, "begun"))
    bench.outcomes(1)
    assert [taken.id for taken in bench.pool.take_back(bench.child)] == ["a", "b", "c"]
    assert bench.pool.take_back(bench.child) == []
    bench.pool.give(bench.child, [job("d", "d"), job("e", "e")])
    (module / "go").touch()
    assert set(bench.outcomes(4)) == {"first", "long", "d", "e"}
    assert ran(module) == ["first", how, "d", "e"]


def test_a_crash_in_a_lot_costs_one_job(make: type[Bench], module: Path) -> None:
    """What ran before keeps its result, what was not begun comes back, and only the culprit has failed."""
    bench = make().start()
    bench.pool.give(bench.child, [job("a", "a"), job(["exit", 3], "x"), job("b", "b")])
    outcomes = bench.outcomes(2)
    assert isinstance(outcomes["a"], Done)
    assert isinstance(outcomes["x"], Failed)
    assert Untouched(job("b", "b")) in bench.events
    assert ran(module) == ["a"]


def test_a_job_can_be_killed(make: type[Bench], module: Path) -> None:
    """Cancelled while it runs: its process goes, and no other job is lost by it."""
    bench = make().start()
    bench.pool.give(bench.child, [job(["hold", "never"], "x"), job("b", "b")])
    process = bench.child.process
    bench.until(lambda: "hold" in ran(module, "begun"))
    bench.pool.kill("x")
    bench.until(lambda: len(bench.events) == 2)
    assert bench.events == [Untouched(job("b", "b")), Killed(job(["hold", "never"], "x"))]
    assert process.poll() is not None
    assert isinstance(bench.run("well"), Done)


def test_a_job_that_waits_its_turn_can_be_killed(make: type[Bench], module: Path) -> None:
    """It never begins, and the one that runs is left alone."""
    bench = make().start()
    bench.pool.give(bench.child, [job(["wait", "go"], "a"), job("x", "x")])
    bench.until(lambda: "wait" in ran(module, "begun"))
    bench.pool.kill("x")
    (module / "go").touch()
    assert set(bench.outcomes(1)) == {"a"}
    assert Killed(job("x", "x")) in bench.events
    assert ran(module) == ["wait"]


def test_several_children_work_at_the_same_time(make: type[Bench], module: Path) -> None:
    """With concurrency 2 two jobs run side by side: each waits for what only the other's end allows."""
    bench = make(concurrency=2).start()
    one, two = bench.pool.children
    bench.pool.give(one, [job(["wait", "go"], "a")])
    bench.pool.give(two, [job(["wait", "go"], "b")])
    (module / "go").touch()
    assert set(bench.outcomes(2)) == {"a", "b"}


def test_progress_is_passed_on_but_not_all_of_it(make: type[Bench]) -> None:
    """A task may report as often as it likes: what is passed on is a few, in order, and the end."""
    bench = make().start()
    bench.run(["progress", None])
    bench.pool.give(bench.child, [job(["progress", None])])
    bench.outcomes(1)
    told = [event.fraction for event in bench.events if isinstance(event, Progress)]
    assert told == sorted(told)
    assert told[0] == 0.0
    assert told[-1] == 1.0
    assert len(told) < 20


def test_a_large_input_goes_through(make: type[Bench]) -> None:
    """An input of a megabyte, longer than what a socket holds, does not stick."""
    outcome = make().start().run("ä" * 500_000)
    assert isinstance(outcome, Done)
    assert len(outcome.output) == 3_000_002


def test_a_large_input_waits_until_the_child_is_idle(make: type[Bench], module: Path) -> None:
    """A busy child is sent only what its socket can hold: the worker waits for none that does not read."""
    bench = make().start()
    bench.pool.give(bench.child, [job(["wait", "go"], "a")])
    large = job("ä" * 500_000, "b")
    assert bench.pool.give(bench.child, [large]) == [large]
    (module / "go").touch()
    bench.outcomes(1)


@pytest.mark.parametrize("task", ["nothing", "nowhere:function", "mine:missing"])
def test_a_task_that_can_not_be_loaded_is_told_at_the_start(make: type[Bench], task: str) -> None:
    """One line that names it, before any job is taken."""
    with pytest.raises(CannotRun, match=task.partition(":")[0]) as caught:
        make(task=task).start()
    assert "\n" not in str(caught.value)


def test_a_module_that_ends_the_child_is_told(make: type[Bench], module: Path) -> None:
    """Even an import that kills the process ends in one line."""
    (module / "deadly.py").write_text("import os; os._exit(7)")
    with pytest.raises(CannotRun, match="deadly:f ended with exit code 7"):
        make(task="deadly:f").start()


@pytest.mark.parametrize("platform", [sys.platform, "one without parent death signals"])
def test_the_child_goes_with_its_parent(platform: str) -> None:
    """Even when the parent is killed outright and the child is in the middle of a job."""
    child = (
        "import sys, os, time; from queued.parent import die_with;"
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
