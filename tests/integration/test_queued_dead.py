"""`queued dead`: what was given up can be looked at, brought back and thrown away, on the real services."""

import json
from contextlib import closing

import pika
import pytest
from queued_command import queued
from queued_system import QueueSystem, eventually, free_port

pytestmark = pytest.mark.integration

REPAIRED = '''
import os

def run(x):
    """Fail until the file x is there."""
    if not os.path.exists(x):
        raise ValueError("the model is not there")
    return "repaired"
'''


@pytest.fixture
def failing(system: QueueSystem) -> QueueSystem:
    """A system whose jobs fail, twice in all, until their file is there."""
    (system.folder / "repaired.py").write_text(REPAIRED)
    system.task = "repaired:run"
    system.more |= {"QUEUED_MAX_ATTEMPTS": "2", "QUEUED_RETRY_FIRST": "0.05", "QUEUED_RETRY_MOST": "0.1"}
    system.web()
    system.worker()
    return system


def dead_letters(system: QueueSystem) -> int:
    return system.messages(system.dead_queue)


def bury(system: QueueSystem, *names: str) -> list[str]:
    """Submit jobs that fail for good; their ids, once they are dead letters."""
    before = dead_letters(system)
    jobs = [system.submit(str(system.folder / name)) for name in names]
    for job_id in jobs:
        system.wait_for(job_id, "failed")
    eventually(lambda: dead_letters(system) == before + len(names), "they are buried", system.logs)
    return jobs


def test_a_job_that_was_given_up_can_be_looked_at_and_run_again(failing: QueueSystem) -> None:
    """The list says which, when and why; looking changes nothing; a retry runs it as new, and once."""
    # One after the other: the list goes by the time of death, and how long a retry waits is drawn by lot.
    (one,), (two,) = bury(failing, "one"), bury(failing, "two")
    for _ in range(2):
        listed = queued(failing, "dead", "list")
        assert (listed.code, listed.err) == (0, "")
        first, second = listed.out.splitlines()
        assert first.startswith(one)
        assert second.startswith(two)
        assert "attempt 2: ValueError: the model is not there" in first
    facts = json.loads(queued(failing, "dead", "show", one).out)
    assert (facts["id"], facts["task"], facts["attempts"], facts["state"]) == (one, failing.task, 2, "failed")
    assert facts["input"] == str(failing.folder / "one")
    assert facts["broker"] == "rejected"
    assert facts["died"] >= facts["created"]
    assert dead_letters(failing) == 2
    (failing.folder / "one").touch()
    retried = queued(failing, "dead", "retry", one)
    assert (retried.code, retried.out) == (0, f"{one} is queued again\n")
    assert failing.result(one) == "repaired"
    assert failing.journal("start").count(one) == 3
    assert [
        json.loads(line)["id"] for line in queued(failing, "dead", "list", "--json").out.splitlines()
    ] == [two]


def test_all_can_be_run_again_and_what_fails_again_comes_back(failing: QueueSystem) -> None:
    """`--all` deals with each letter that is there once, and ends."""
    jobs = bury(failing, "one", "two", "three")
    for name in ("one", "two"):
        (failing.folder / name).touch()
    retried = queued(failing, "dead", "retry", "--all")
    assert retried.code == 0
    assert retried.out.count("is queued again") == 3
    assert [failing.result(job_id) for job_id in jobs[:2]] == ["repaired", "repaired"]
    eventually(lambda: dead_letters(failing) == 1, "the third fails again", failing.logs)
    assert jobs[2] in queued(failing, "dead", "list").out
    assert queued(failing, "dead", "purge", jobs[2]).code == 0
    assert queued(failing, "dead", "list").out == "no dead letters\n"
    assert failing.state(jobs[2]) == "failed"  # what is known of it stays


def test_a_retry_that_was_cut_off_can_be_repeated(failing: QueueSystem) -> None:
    """The letter was left although the job runs again: another retry does no harm and drops it."""
    (job_id,) = bury(failing, "one")
    (failing.folder / "one").touch()
    with closing(pika.BlockingConnection(pika.URLParameters(failing.broker_url))) as connection:
        channel = connection.channel()
        method, properties, body = channel.basic_get(failing.dead_queue)
        assert queued(failing, "dead", "list").out == "no dead letters\n"  # somebody has it just now
        channel.basic_publish("", failing.dead_queue, body, properties)
        channel.basic_nack(method.delivery_tag)
    assert queued(failing, "dead", "retry", job_id).out.splitlines()[0] == f"{job_id} is queued again"
    assert dead_letters(failing) == 0
    assert failing.result(job_id) == "repaired"
    assert failing.journal("start").count(job_id) == 3


def test_a_poison_message_can_be_shown_and_purged_and_not_retried(failing: QueueSystem) -> None:
    """It is no job, so nobody can run it: said in one line, and it stays until it is purged."""
    failing.publish(b"\xffnot a job")
    eventually(lambda: dead_letters(failing) == 1, "it is buried", failing.logs)
    (line,) = queued(failing, "dead", "list").out.splitlines()
    name = line.split()[0]
    assert name.startswith("poison-")
    assert "not JSON" in line
    assert json.loads(queued(failing, "dead", "show", name).out)["message"] == "\\xffnot a job"
    retried = queued(failing, "dead", "retry", name)
    assert retried.code == 1
    assert "can't be retried" in retried.out
    assert dead_letters(failing) == 1
    assert queued(failing, "dead", "purge", name).code == 0
    assert dead_letters(failing) == 0


@pytest.mark.parametrize("words", [["show", "nobody"], ["retry", "nobody"], ["purge", "nobody"]])
def test_who_is_not_there_is_named(system: QueueSystem, words: list[str]) -> None:
    """One line and a code that is not 0, also where there is no such queue yet."""
    said = queued(system, "dead", *words)
    assert said.code != 0
    assert (said.out + said.err).splitlines()[-1].endswith("no dead letter is called nobody")


def test_a_broker_that_is_away_is_said_in_one_line(system: QueueSystem) -> None:
    """No traceback, no password, exit code 2."""
    said = queued(system, "dead", "list", QUEUED_BROKER_URL=f"amqp://me:hunter2@127.0.0.1:{free_port()}")
    assert said.code == 2
    assert said.err.startswith("queued dead: the broker can't be reached")
    assert len(said.err.splitlines()) == 1
    assert "hunter2" not in said.err
