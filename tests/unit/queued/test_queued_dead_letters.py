"""What `queued dead` does with a letter, in which order, with a broker and a store that the test plays."""

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest

from queued.broker import NotConfirmed
from queued.broker.operator import Letter, Operator
from queued.job import Job, Record, State
from queued.operate.dead import DeadError, Letters
from queued.settings import Settings
from queued.store import Store

SETTINGS = Settings("amqp://nowhere:1", "redis://nowhere:1", "sleep,spin")


def letter(body: bytes, tag: int = 1) -> Letter:
    return Letter(body, tag, None, 1_700_000_000.0, "rejected", "jobs.sleep")


def job(name: str = "a", task: str = "sleep", queue: str = "jobs.sleep") -> Job:
    return Job(name, task, {"seconds": 1}, 0.0, queue=queue)


class Played:
    """Broker and store in one; `said` is all that happened, in order."""

    def __init__(self, *letters: Letter) -> None:
        self.said: list[tuple[str, Any]] = []
        self.held = letters
        self.failed = True
        self.fails: Exception | None = None

    def letters(self, queue: str) -> Iterator[Letter]:
        return iter(self.held if queue == "jobs.sleep.dead" else ())

    def drop(self, letter: Letter) -> None:
        self.said.append(("drop", letter.tag))

    def publish(self, job: Job) -> None:
        self.said.append(("publish", job.id))
        if self.fails is not None:
            raise self.fails

    def revive(self, job: Job) -> bool:
        self.said.append(("revive", job.id))
        return self.failed

    def record(self, job_id: str) -> Record | None:
        return None if self.failed else cast(Record, type("R", (), {"state": State.RUNNING}))

    def run(self, verb: str, *wanted: str) -> tuple[bool, list[str]]:
        lines: list[str] = []
        letters = Letters(SETTINGS, cast(Operator, self), cast(Store, self))
        act = letters.retry if verb == "retry" else letters.purge
        return act(wanted or None, lines.append), lines


def test_a_letter_goes_last() -> None:
    """Record, message, letter: what dies in between leaves the letter, or a record that the keeper finds."""
    played = Played(letter(job().encode()))
    assert played.run("retry", "a") == (True, ["a is queued again"])
    assert played.said == [("revive", "a"), ("publish", "a"), ("drop", 1)]


def test_a_message_that_is_not_confirmed_keeps_its_letter() -> None:
    """The error is told, and the letter is there for the next try."""
    played = Played(letter(job().encode()))
    played.fails = NotConfirmed("the broker refused it")
    with pytest.raises(NotConfirmed):
        played.run("retry", "a")
    assert ("drop", 1) not in played.said


def test_what_runs_already_is_not_run_twice() -> None:
    """A second letter of the same job, or one that an interrupted retry left, is dropped."""
    played = Played(letter(job().encode()))
    played.failed = False
    assert played.run("retry") == (True, ["a is running already; its dead letter is dropped"])
    assert played.said == [("revive", "a"), ("drop", 1)]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"not a job", "the message is not JSON"),
        (job(task="caption").encode(), "no worker here does its task, caption"),
        (job(queue="elsewhere").encode(), "its queue, elsewhere, is none of task sleep"),
        (json.dumps({"v": 99}).encode(), "has format 99"),
    ],
)
def test_poison_stays(body: bytes, says: str) -> None:
    """What nobody can run is neither queued again nor lost."""
    played = Played(letter(body))
    well, (line,) = played.run("retry")
    assert not well
    assert says in line
    assert played.said == []
    assert played.run("purge")[0]
    assert played.said == [("drop", 1)]


def test_only_what_was_named_is_dealt_with() -> None:
    """The others stay, and who is not there is told."""
    played = Played(letter(job("a").encode(), 1), letter(job("b").encode(), 2))
    well, lines = played.run("purge", "b", "c")
    assert played.said == [("drop", 2)]
    assert (well, lines[-1]) == (False, "no dead letter is called c")


def test_the_list_ends_where_it_is_told_to() -> None:
    """A queue of a million letters does not flood a terminal, and how many are left is said."""
    played = Played(*(letter(job(str(n)).encode(), n) for n in range(5)))
    lines: list[str] = []
    letters = Letters(SETTINGS, cast(Operator, played), cast(Store, played))
    letters.list(2, False, lines.append)
    assert len(lines) == 3
    assert lines[2].startswith("and 3 more")
    with pytest.raises(DeadError, match="no dead letter is called nobody"):
        letters.show("nobody", lines.append)
