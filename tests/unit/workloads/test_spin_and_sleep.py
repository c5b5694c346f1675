"""spin and sleep: a service time by construction."""

import threading
import time

import pytest

from workloads import VerificationError, load_task


@pytest.mark.parametrize("gil", ["held", "released"])
def test_spin_burns_the_cpu_time_it_was_asked_for(gil):
    """By the thread's own clock, so on any machine: at least that much, and little more."""
    task = load_task("spin")
    before = time.thread_time()
    output = task.run({"seconds": 0.1, "gil": gil})
    burnt = time.thread_time() - before
    assert 0.1 <= output["seconds"] <= burnt
    task.verify({"seconds": 0.1, "gil": gil}, output)


def test_spin_counts_only_its_own_thread():
    """A busy neighbour in the same process does not make it finish early."""
    stop = threading.Event()

    def neighbour() -> None:
        while not stop.is_set():
            sum(range(1000))

    other = threading.Thread(target=neighbour)
    other.start()
    try:
        before = time.thread_time()
        load_task("spin").run(0.05)
        assert time.thread_time() - before >= 0.05
    finally:
        stop.set()
        other.join()


def test_spin_that_releases_the_gil_lets_others_run():
    """A pure Python thread gets on meanwhile: it is not stopped for the whole of a hash."""
    turns = 0
    stop = threading.Event()

    def neighbour() -> None:
        nonlocal turns
        while not stop.wait(0.001):
            turns += 1

    other = threading.Thread(target=neighbour)
    other.start()
    load_task("spin").run({"seconds": 0.1, "gil": "released"})
    stop.set()
    other.join()
    assert turns > 5


def test_sleep_takes_its_time_and_no_cpu():
    """It stands for waiting on another service."""
    task = load_task("sleep")
    before = time.thread_time()
    output = task.run({"seconds": 0.05})
    assert time.thread_time() - before < 0.05
    task.verify(0.05, output)
    task.verify(0.05, {"seconds": 60}), "a crowded machine may wake it late"


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("spin", {"seconds": 0.24}),
        ("spin", {"seconds": 0.6}),
        ("sleep", {"seconds": 0.2}),
        *(
            (name, wrong)
            for name in ("spin", "sleep")
            for wrong in (None, 0.25, "0.25", {}, {"seconds": True})
        ),
        *((name, {"seconds": wrong}) for name in ("spin", "sleep") for wrong in ("0.25", None, float("nan"))),
    ],
)
def test_too_little_or_something_else_does_not_verify(name, output):
    """An output that the job can't have given."""
    with pytest.raises(VerificationError):
        load_task(name).verify(0.25, output)
