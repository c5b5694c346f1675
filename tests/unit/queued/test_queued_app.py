"""The routes, over parts that only pretend."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from flask.testing import FlaskClient

from queued.app import create_app
from queued.broker import NotConfirmed
from queued.job import Done, Job, Outcome, Record, State
from queued.problem import Problem
from queued.settings import Settings
from queued.store import StoreError
from workloads import load_task

SETTINGS = Settings("amqp://nowhere:1", "redis://nowhere:1", "sleep", token="secret", retry_after=0.4)


class Pretended:
    """Publisher and store in one; `confirm` and `refuse_gives` say how a submission goes."""

    def __init__(self) -> None:
        self.submitted: list[Job] = []
        self.refused: list[tuple[Job, Problem]] = []
        self.finished: list[tuple[str, Outcome]] = []
        self.confirm: Exception | None = None
        self.refuse_gives: State | Exception = State.FAILED

    def submit(self, job: Job) -> "Pretended":
        self.submitted.append(job)
        return self

    def wait(self, _timeout: float) -> None:
        if self.confirm is not None:
            raise self.confirm

    def create(self, jobs: Sequence[Job]) -> None:
        raise AssertionError

    def refuse(self, job: Job, problem: Problem) -> State:
        self.refused.append((job, problem))
        if isinstance(self.refuse_gives, Exception):
            raise self.refuse_gives
        return self.refuse_gives

    def finish(self, job_id: str, outcome: Outcome) -> State:
        self.finished.append((job_id, outcome))
        return State.DONE

    def result(self, job_id: str) -> tuple[Record, bytes]:
        record = Record(job_id, State.DONE, "sleep", b"1", 1.0, 1.5, 2.0, 0.25, None)
        return record, b'"' + b"9" * 5000 + b'"'


@pytest.fixture
def parts() -> Pretended:
    return Pretended()


@pytest.fixture
def client(parts: Pretended) -> FlaskClient:
    parts_: Any = parts
    return create_app(SETTINGS, load_task("sleep"), parts_, parts_).test_client()


def test_an_accepted_job_is_the_checked_one(client: FlaskClient, parts: Pretended) -> None:
    """The input is checked on the way in; the client's id goes along; Retry-After is rounded down."""
    reply = client.post("/jobs", data='{"task": "sleep", "input": 0.5}', headers={"X-Request-ID": "mine"})
    (job,) = parts.submitted
    assert reply.status_code == 202
    assert (job.task, job.input, job.request_id) == ("sleep", load_task("sleep").check(0.5), "mine")
    assert reply.headers["Location"] == f"/jobs/{job.id}"
    assert reply.headers["Retry-After"] == "0"


@pytest.mark.parametrize("bad", ["", "x" * 201])
def test_an_unusable_request_id_is_left_out(client: FlaskClient, parts: Pretended, bad: str) -> None:
    """Nothing gets into log lines that does not belong there; the job is taken all the same."""
    assert client.post("/jobs", json={"input": 0.5}, headers={"X-Request-ID": bad}).status_code == 202
    assert parts.submitted[0].request_id is None


def test_a_job_that_is_not_confirmed_is_refused_and_the_record_says_so(
    client: FlaskClient, parts: Pretended
) -> None:
    """503 with Retry-After, after the record was made final, so that no worker runs it later."""
    parts.confirm = NotConfirmed("the broker did not confirm it within 5 s")
    reply = client.post("/jobs", json={"input": 0.5})
    assert reply.status_code == 503
    assert reply.headers["Retry-After"] == "1"
    assert reply.content_type == "application/problem+json"
    ((job, problem),) = parts.refused
    assert job == parts.submitted[0]
    assert json.loads(reply.data) == problem.to_json()


@pytest.mark.parametrize("state", [State.RUNNING, State.DONE])
def test_a_job_that_a_worker_has_already_is_accepted_after_all(
    client: FlaskClient, parts: Pretended, state: State
) -> None:
    """The confirm came too late but the message arrived: refusing it now would be a lie."""
    parts.confirm, parts.refuse_gives = NotConfirmed("late"), state
    assert client.post("/jobs", json={"input": 0.5}).status_code == 202


def test_neither_broker_nor_store_is_a_503_too(client: FlaskClient, parts: Pretended) -> None:
    """With both away the client hears to come back, not an internal error."""
    parts.confirm, parts.refuse_gives = NotConfirmed("away"), StoreError("the store can't be reached")
    reply = client.post("/jobs", json={"input": 0.5})
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "1")


def test_a_long_result_passes_as_it_is(client: FlaskClient) -> None:
    """The output's JSON is not read and written again; Server-Timing says what was spent, in ms."""
    reply = client.get("/jobs/1/result")
    assert reply.data == b'{"output":"' + b"9" * 5000 + b'"}'
    assert reply.headers["Server-Timing"] == "wait;dur=500.000, run;dur=250.000"
    assert reply.headers["Cache-Control"] == "no-store"


def test_a_worker_delivers_what_it_has_encoded(client: FlaskClient, parts: Pretended) -> None:
    """The body of the worker's PUT is stored as it is, with the time that it took."""
    auth = {"Authorization": "Bearer secret"}
    assert client.put("/jobs/1/result?run=0.25", data=b"[1, 2]", headers=auth).status_code == 200
    assert parts.finished == [("1", Done(b"[1, 2]", 0.25))]
    bad = client.put("/jobs/1/result", data=b"{}", content_type="application/problem+json", headers=auth)
    assert bad.status_code == 400


def test_a_bug_of_ours_is_a_problem_without_a_traceback(client: FlaskClient, parts: Pretended) -> None:
    """The client hears 500 and where the reason is; the reason itself is in the log."""
    parts.confirm = ZeroDivisionError("secret detail")
    reply = client.post("/jobs", json={"input": 0.5})
    assert (reply.status_code, reply.content_type) == (500, "application/problem+json")
    assert b"secret detail" not in reply.data
