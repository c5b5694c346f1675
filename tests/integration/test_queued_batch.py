"""`queued submit --batch`: thousands of jobs from a file, to be interrupted and gone on with."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from queued_command import queued
from queued_system import QueueSystem, eventually

pytestmark = pytest.mark.integration


def write(system: QueueSystem, values: list[Any]) -> Path:
    path = system.folder / "jobs.jsonl"
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


def ids(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.with_name(f"{path.name}.ids").read_text().splitlines()]


def recorded(system: QueueSystem) -> set[str]:
    return {key.decode().rpartition(":")[2] for key in system.store().scan_iter("queued:job:*", count=1000)}


def test_a_batch_is_submitted_once_however_often_it_is_sent(system: QueueSystem) -> None:
    """Each line is a job, its id is in the file of ids; sent again, with that file or not, nothing is new."""
    system.web()
    system.worker()
    path = write(system, [{"input": 0.001}, {"input": 0.001}, {"input": 0.002, "id": "mine"}])
    first = queued(system, "submit", "--batch", str(path))
    assert (first.code, first.out) == (0, "")
    assert first.err == f"3 of 3 jobs accepted; their ids are in {path}.ids\n"
    told = ids(path)
    assert [entry["line"] for entry in told] == [1, 2, 3]
    jobs = [entry["id"] for entry in told]
    assert recorded(system) == set(jobs)
    assert len(set(jobs)) == 3
    for job_id in jobs:
        system.wait_for(job_id)
    assert queued(system, "submit", "--batch", str(path)).err.startswith(
        "3 of 3 jobs accepted (3 of them before)"
    )
    path.with_name("jobs.jsonl.ids").unlink()
    assert queued(system, "submit", "--batch", str(path)).code == 0
    assert [entry["id"] for entry in ids(path)] == jobs
    assert sorted(system.journal("start")) == sorted(jobs)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_batch_goes_on_without_duplicates(system: QueueSystem, number: signal.Signals) -> None:
    """Ctrl-C stops it cleanly, and even a kill loses and doubles nothing: the same command does the rest."""
    system.web()
    path = write(system, [{"input": 0.001} for _ in range(2_000)])
    ids_file = path.with_name("jobs.jsonl.ids")
    running = system.start("submit", "--batch", str(path), "--in-flight", "4")
    eventually(
        lambda: ids_file.exists() and ids_file.read_bytes().count(b"\n") >= 50, "some are sent", system.logs
    )
    running.signal(number)
    code = running.ended()
    before = ids_file.read_bytes().count(b"\n")
    assert 50 <= before < 2_000
    if number == signal.SIGINT:
        assert code == 130
        assert running.said.splitlines()[-1] == "stopped; the same command goes on"
        assert "Traceback" not in running.said
    done = queued(system, "submit", "--batch", str(path))
    assert done.code == 0
    assert done.err.startswith(f"2,000 of 2,000 jobs accepted ({before:,} of them before)")
    told = ids(path)
    assert [entry["line"] for entry in told] == list(range(1, 2_001))
    assert recorded(system) == {entry["id"] for entry in told}
    assert len(recorded(system)) == 2_000


def test_a_batch_waits_while_the_service_is_full(system: QueueSystem) -> None:
    """429 and its Retry-After are honoured: no job is refused for good, and all are accepted in the end."""
    system.web(QUEUED_MAX_QUEUED="5")
    path = write(system, [{"input": 0.001} for _ in range(12)])
    running = system.start("submit", "--batch", str(path))
    eventually(lambda: len(recorded(system)) == 5, "the queue is full", system.logs)
    system.worker()
    assert running.ended() == 0
    assert len(ids(path)) == 12


def test_a_batch_outlasts_the_web(system: QueueSystem) -> None:
    """The web is not there at first: the batch waits for it."""
    path = write(system, [{"input": 0.001} for _ in range(3)])
    running = system.start("submit", "--batch", str(path))
    system.web()
    assert running.ended() == 0
    assert len(recorded(system)) == 3


def test_a_service_that_stays_away_is_given_up(system: QueueSystem) -> None:
    """One line that says what the last attempt met, exit code 1, and nothing is lost."""
    path = write(system, [{"input": 0.001}])
    said = queued(system, "submit", "--batch", str(path), "--patience", "0.2")
    assert said.code == 1
    assert "nothing got through for 0.2 s" in said.err.splitlines()[-1]
    assert "the same command goes on" in said.err.splitlines()[-1]


def test_what_the_service_refuses_is_told_by_line(system: QueueSystem) -> None:
    """An input that the task does not take is refused alone; the others are accepted; exit code 1."""
    system.web()
    path = write(system, [{"input": 0.001}, {"input": "much"}, {"input": 0.002}])
    said = queued(system, "submit", "--batch", str(path))
    assert said.code == 1
    assert said.err.splitlines()[0].startswith("line 2: 400: ")
    assert "2 of 3 jobs accepted, 1 refused" in said.err
    assert [entry["line"] for entry in ids(path)] == [1, 3]


def test_bad_lines_are_all_told_before_anything_is_sent(system: QueueSystem) -> None:
    """Each with its number; no job is submitted; exit code 2."""
    system.web()
    path = system.folder / "jobs.jsonl"
    path.write_text(
        '{"input": 1}\n{"inputs": 1}\n\n{"input": 1, "id": "a"}\n{"input": 2, "id": "a"}\nnot json\n'
    )
    said = queued(system, "submit", "--batch", str(path))
    assert said.code == 2
    *faults, last = said.err.splitlines()
    assert [fault.partition(":")[0] for fault in faults] == ["line 2", "line 5", "line 6"]
    assert last == "queued submit: 3 of 5 lines are wrong, so nothing was sent"
    assert recorded(system) == set()
    assert not path.with_name("jobs.jsonl.ids").exists()


def test_a_key_is_shown_where_the_service_asks_for_one(system: QueueSystem) -> None:
    """From the environment; without it one line says what the service said, and nothing is sent on."""
    system.web(QUEUED_API_KEYS="me:a-key-for-tests")
    path = write(system, [{"input": 0.001}] * 2)
    without = queued(system, "submit", "--batch", str(path))
    assert without.code == 1
    assert "401" in without.err.splitlines()[-1]
    assert queued(system, "submit", "--batch", str(path), QUEUED_API_KEY="a-key-for-tests").code == 0
    assert len(recorded(system)) == 2


def test_progress_is_shown_on_a_terminal(system: QueueSystem) -> None:
    """How many of how many, while it goes on; the last line stays."""
    system.web()
    path = write(system, [{"input": 0.001} for _ in range(300)])
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "queued", "submit", "--batch", str(path)],
        stdin=subprocess.DEVNULL,
        stderr=theirs,
        env=system.environment(TERM="xterm", COLUMNS="120"),
        cwd=system.folder,
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65_536):
            shown += chunk
    except OSError:  # how a terminal says that nobody is there any more
        pass
    finally:
        os.close(ours)
    assert process.wait(10) == 0
    assert b"/300" in shown
    assert b"300 of 300 jobs accepted" in shown
