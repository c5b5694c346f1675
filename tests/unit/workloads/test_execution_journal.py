"""The execution journal: every run leaves a start and an end, and a cut-off run leaves only the start."""

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from workloads import load_task
from workloads.journal import execute, journal_from
from workloads.task import Task, no_nominal


def task_of(function) -> Task:
    return Task("test", function, lambda v: v, lambda i, o: None, None, None, None, no_nominal)


def lines(journal: Path) -> list[dict]:
    return [json.loads(line) for line in journal.read_text().splitlines()]


def test_a_run_leaves_its_start_and_its_end(tmp_path):
    """Who ran what, when, and for how much CPU: what wasted work is computed from."""
    journal = tmp_path / "journal"
    done = execute(load_task("spin"), 0.02, "job-1", journal, "web")
    start, end = lines(journal)
    who = {"job": "job-1", "pid": os.getpid(), "role": "web"}
    assert start == {**who, "event": "start", "t": start["t"]}
    assert end == {**who, "event": "end", "t": end["t"], "cpu": end["cpu"], "ok": True}
    assert end["t"] - start["t"] >= 0.02
    assert end["cpu"] == pytest.approx(done.cpu, abs=1e-5)
    assert done.cpu >= 0.02
    assert done.wall >= 0.02
    assert done.output["seconds"] >= 0.02


def test_a_run_that_fails_leaves_an_end_that_says_so(tmp_path):
    """And the exception goes on to the server."""
    journal = tmp_path / "journal"
    with pytest.raises(ZeroDivisionError):
        execute(task_of(lambda v: v / 0), 1, "job-1", journal, "worker")
    assert [(line["event"], line.get("ok")) for line in lines(journal)] == [("start", None), ("end", False)]


def _die(journal: Path) -> None:
    execute(task_of(lambda v: os._exit(9)), 1, "cut-off", journal, "worker")


def _many(journal: Path, name: str) -> None:
    for number in range(200):
        execute(task_of(lambda v: v), 1, f"{name}-{number}", journal, "worker")


def test_a_run_that_is_killed_leaves_its_start(tmp_path):
    """The start is on disk before the work begins."""
    journal = tmp_path / "journal"
    process = multiprocessing.get_context("fork").Process(target=_die, args=(journal,))
    process.start()
    process.join()
    assert [line["event"] for line in lines(journal)] == ["start"]


def test_lines_of_several_processes_do_not_mix(tmp_path):
    """All processes of a system append to one file."""
    journal = tmp_path / "journal"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_many, args=(journal, name)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert len(lines(journal)) == 2 * 2 * 200


def test_without_a_journal_nothing_is_written():
    """The journal is the harness's wish, not the server's need."""
    assert execute(load_task("factorial"), 5, "x", None, "web").output == "120"
    assert journal_from({}) is None
    assert journal_from({"QUEUEBENCH_JOURNAL": ""}) is None
    assert journal_from({"QUEUEBENCH_JOURNAL": "/x/y"}) == Path("/x/y")


def test_a_journal_that_cannot_be_written_stops_the_job(tmp_path):
    """A silent gap would read as no work at all."""
    with pytest.raises(OSError, match="gone"):
        execute(load_task("factorial"), 5, "x", tmp_path / "gone" / "journal", "web")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full stands for a full disk on Linux")
def test_a_full_disk_stops_the_job():
    """Likewise."""
    with pytest.raises(OSError, match="No space left"):
        execute(load_task("factorial"), 5, "x", Path("/dev/full"), "web")
