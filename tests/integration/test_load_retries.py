"""Clients that retry, against a server that does as it is told: attempts exact, one end for each job."""

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import gevent
import pytest
from stub_server import Reply, StubServer

from bench.load.asking import Setting
from bench.load.assignment import Assignment
from bench.load.crowd import Crowd
from bench.load.exchange import origin_of
from bench.load.recorder import Recorder
from bench.load.session import Session
from bench.load.verifier import Verifier
from bench.plan import Load, Retry

SPIN = {"seconds": 0.01, "gil": "held"}
CARELESS = Retry("immediate", attempts=3)
ONE = Load("burst", size=1, window=0)
ASSIGNMENT = Assignment(
    label="stub spin",
    face="run",
    task="spin",
    value=SPIN,
    load=Load("burst", size=5, window=0),
    seed=1,
    deadline=20.0,
    patience=30.0,
    poll_interval=0.02,
    drain_limit=60,
    retry=CARELESS,
)
"""Limits so far apart that a machine that stands still changes no outcome."""


@pytest.fixture
def carry_out(tmp_path):
    """Run an assignment to its end; returns its jobs and requests as they were recorded."""

    def run(server: StubServer, **changes) -> tuple[list[dict], list[dict]]:
        work = replace(ASSIGNMENT, **changes)
        setting = Setting(
            assignment=work,
            origin=origin_of(server.url),
            recorder=Recorder(tmp_path),
            verifier=Verifier(work.task, work.value),
            report=lambda *_: None,
        )
        crowd = Crowd(setting)
        session = Session(setting, crowd)
        started = gevent.spawn(crowd.dispatch)
        session.supervise()
        started.join(5)
        return rows(tmp_path, "jobs"), rows(tmp_path, "requests")

    return run


def rows(folder: Path, name: str) -> list[dict]:
    """Recorded lines."""
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("face", ["run", "get", "jobs", "published"])
@pytest.mark.parametrize(
    "failure", [Reply(status=502), Reply(status=503), Reply(status=429), Reply(drop=True)]
)
def test_what_fails_twice_is_done_at_the_third_attempt(carry_out, face, failure):
    """The job is delivered once, after exactly as many attempts as it took, on every face."""
    faces = ("run", "get") if face in ("run", "get") else ("jobs", "get", "published")
    with StubServer(lambda n: failure if n < 2 else Reply(), faces=faces) as server:
        jobs, requests = carry_out(server, face=face, load=ONE)
    assert [(j["outcome"], j["attempts"]) for j in jobs] == [("ok", 3)]
    assert len(server.submitted) == 3
    assert sum(r["kind"] in ("run", "submit") for r in requests) == 3


def test_who_gives_up_ends_once_with_the_last_answer(carry_out):
    """Three refusals are one rejected job, and the server and the requests show the three of each."""
    with StubServer(lambda _: Reply(status=503)) as server:
        jobs, requests = carry_out(server)
    assert [(j["outcome"], j["status"], j["attempts"]) for j in jobs] == [("rejected", 503, 3)] * 5
    assert Counter(name.partition(".")[0] for name in server.submitted) == {j["job"]: 3 for j in jobs}
    assert len(requests) == 15


def test_attempts_of_one_job_have_ids_of_their_own(carry_out):
    """The journal tells its runs apart by them: the job's id, then .2 and .3 behind it."""
    with StubServer(lambda _: Reply(status=503)) as server:
        jobs, _ = carry_out(server, load=ONE)
    (name,) = (j["job"] for j in jobs)
    assert server.submitted == [name, f"{name}.2", f"{name}.3"]


def test_a_client_with_a_time_out_of_its_own_leaves_its_first_attempt_running(carry_out):
    """It gives up after 1 s and asks again; the server works on both. That is wasted work, made visible."""
    with StubServer(lambda n: Reply(delay=15) if n == 0 else Reply()) as server:
        jobs, requests = carry_out(server, load=ONE, retry=replace(CARELESS, after=1.0))
        assert len(server.jobs) == 2
    assert [(j["outcome"], j["attempts"]) for j in jobs] == [("ok", 2)]
    assert jobs[0]["done"] - jobs[0]["arrival"] >= 1.0
    assert jobs[0]["sent"] - jobs[0]["arrival"] < requests[0]["elapsed"], "sent is the first attempt's"
    assert ["no answer" in r["error"] for r in requests] == [True, False]


def test_all_attempts_timed_out_is_given_up(carry_out):
    """The client's own limit, and not the gateway's: no 504."""
    with StubServer(lambda _: Reply(delay=20)) as server:
        jobs, _ = carry_out(
            server, load=Load("burst", size=2, window=0), retry=replace(CARELESS, attempts=2, after=0.3)
        )
    assert [(j["outcome"], j["status"], j["attempts"]) for j in jobs] == [("gave_up", 0, 2)] * 2


def test_an_error_of_the_task_is_not_retried(carry_out):
    """A 500 would be one again."""
    with StubServer(lambda _: Reply(status=500)) as server:
        jobs, _ = carry_out(server)
    assert [(j["outcome"], j["attempts"]) for j in jobs] == [("error", 1)] * 5
    assert len(server.submitted) == 5


# --- the queue ---


def test_every_attempt_to_submit_one_job_has_its_idempotency_key(carry_out):
    """The server took the first, whose answer got lost: with the key it knows the second for the same."""
    with StubServer(lambda n: Reply(hold=15) if n == 0 else Reply()) as server:
        jobs, _ = carry_out(server, face="jobs", load=ONE, retry=replace(CARELESS, after=1.0))
    assert [(j["outcome"], j["attempts"]) for j in jobs] == [("ok", 2)]
    assert server.keys == [jobs[0]["job"]] * 2


def test_a_client_without_retries_sends_no_key(carry_out):
    """Other experiments ask as they always did."""
    with StubServer() as server:
        carry_out(server, face="jobs", retry=Retry())
    assert server.keys == [None] * 5


def test_a_job_that_was_accepted_is_never_submitted_again(carry_out):
    """After the 202 it is polled, whatever the polls say and however long it takes."""
    with StubServer(lambda _: Reply(delay=2.0, polls=(503, 504, 429, 0))) as server:
        jobs, requests = carry_out(server, face="jobs", retry=replace(CARELESS, after=1.0))
    assert [(j["outcome"], j["attempts"]) for j in jobs] == [("ok", 1)] * 5
    assert len(server.submitted) == 5
    assert Counter(r["kind"] for r in requests)["submit"] == 5


def test_the_polite_wait_as_long_as_they_are_told(carry_out):
    """429 with Retry-After: 1 from admission; the second attempt comes no earlier than that."""
    polite = Retry("jitter", attempts=2, base=0.2, cap=0.2)
    with StubServer(lambda n: Reply(status=429, retry_after="1") if n == 0 else Reply()) as server:
        jobs, _ = carry_out(server, face="jobs", load=ONE, retry=polite)
    assert [(j["outcome"], j["attempts"]) for j in jobs] == [("ok", 2)]
    assert all(b - a >= 0.99 for a, b in pairwise(server.asked))


def test_a_budget_bounds_the_retries_of_all_clients_together(carry_out):
    """20 jobs that all fail: 25 % of all attempts may be retries, which is 6 of 26."""
    with StubServer(lambda _: Reply(status=503)) as server:
        jobs, _ = carry_out(
            server,
            load=Load("burst", size=20, window=0),
            retry=replace(CARELESS, budget=0.25, budget_window=60.0),
        )
    assert [j["outcome"] for j in jobs] == ["rejected"] * 20
    retried = len(server.submitted) - 20
    assert sum(j["attempts"] for j in jobs) == len(server.submitted)
    assert retried <= 6
    assert retried >= 1
