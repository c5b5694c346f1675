"""The routes, over parts that only pretend."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from queued.broker import NotConfirmed
from queued.job import Done, Ending, Failed, Job, Outcome, Record, State
from queued.problem import Problem, job_failed
from queued.settings import Settings
from queued.store import Admission, NewJob, StoreError
from queued.web import submitting
from queued.web.app import create_app
from queued.web.hub import Hub
from queued.web.intake import load_all_for_web
from workloads import load_task

SETTINGS = Settings("amqp://nowhere:1", "redis://nowhere:1", "sleep,spin", token="secret,other")
DONE = Record("1", State.DONE, "sleep", b"1", 1.0, 1.5, 2.0, 0.25, None, attempt=1, owner="anna")
AUTH = {"Authorization": "Bearer secret"}


class Pretended:
    """Publisher and store in one; `confirm` and `refuse_gives` say how a submission goes."""

    def __init__(self) -> None:
        self.submitted: list[NewJob] = []
        self.refused: list[tuple[Job, Problem]] = []
        self.finished: list[tuple[str, int | None, Outcome]] = []
        self.acts: list[str] = []
        self.confirm: Exception | None = None
        self.refuse_gives: State | Exception = State.FAILED
        self.admission = Admission(True, "", False, False, 1.25, 3)
        self.known: Record | None = DONE
        self.connected = True
        self.blocked: str | None = None
        self.store_error: StoreError | None = None

    # the publisher

    def submit(self, new: NewJob) -> "Pretended":
        self.submitted.append(new)
        return self

    def wait(self, _timeout: float) -> Admission:
        if self.confirm is not None:
            raise self.confirm
        job_id = self.admission.job_id or self.submitted[-1].job.id
        return dataclasses.replace(self.admission, job_id=job_id)

    # the store

    def refuse(self, job: Job, problem: Problem) -> State:
        self.refused.append((job, problem))
        if isinstance(self.refuse_gives, Exception):
            raise self.refuse_gives
        return self.refuse_gives

    def finish_by_id(self, job_id: str, attempt: int | None, outcome: Outcome) -> Ending | None:
        self.finished.append((job_id, attempt, outcome))
        return Ending.FINAL if self.known else None

    def record(self, job_id: str) -> Record | None:
        if self.store_error is not None:
            raise self.store_error
        return self.known

    def result(self, job_id: str) -> tuple[Record, bytes] | None:
        return self.known and (self.known, b'"' + b"9" * 5000 + b'"')

    def ping(self) -> None:
        if self.store_error is not None:
            raise self.store_error

    def __getattr__(self, name: str) -> Callable[[str], State]:
        if name not in ("cancel", "delete", "fetched", "give_back", "renew"):
            raise AttributeError(name)

        def act(job_id: str) -> State:
            self.acts.append(f"{name} {job_id}")
            return State.CANCELLED

        return act


class Unheard:
    """What `Store.listen` would give; nobody is told anything."""


@pytest.fixture
def parts() -> Pretended:
    parts = Pretended()
    parts.admission = dataclasses.replace(parts.admission)
    return parts


def client_of(parts: Pretended, **settings: Any) -> FlaskClient:
    chosen = dataclasses.replace(SETTINGS, **settings)
    any_parts: Any = parts

    def listen() -> Any:
        return Unheard()

    hub = Hub(listen, chosen.max_waiters)
    return create_app(chosen, load_all_for_web(chosen.tasks), any_parts, any_parts, hub).test_client()


@pytest.fixture
def client(parts: Pretended) -> FlaskClient:
    return client_of(parts)


# --- submitting ---


def test_an_accepted_job_is_the_checked_one(parts: Pretended) -> None:
    """The input is checked on the way in; the client's id goes along; what to expect is told."""
    client = client_of(parts, retry_after=0.4)
    reply = client.post("/jobs", data='{"task": "sleep", "input": 0.5}', headers={"X-Request-ID": "mine"})
    job = parts.submitted[0].job
    assert reply.status_code == 202
    assert (job.task, job.input, job.request_id) == ("sleep", load_task("sleep").check(0.5), "mine")
    assert job.queue == "jobs.sleep"
    assert reply.headers["Location"] == f"/jobs/{job.id}"
    assert reply.headers["Retry-After"] == "1"
    assert reply.json == {"id": job.id, "state": "queued", "expected_wait": 1.25, "ahead": 3}


@pytest.mark.parametrize(
    ("setting", "expected", "told"),
    [
        (1.0, None, "1"),
        (1.0, 12.7, "12"),
        (1.0, 500.0, "30"),
        (5.0, 2.0, "5"),
        (0.0, 0.3, "0"),
        (2.9, None, "2"),
        (2.9, 9.9, "9"),
    ],
)
def test_when_to_ask_again_follows_the_expected_wait(
    parts: Pretended, setting: float, expected: float | None, told: str
) -> None:
    """Never sooner than the setting, never later than half a minute, in whole seconds rounded down."""
    parts.admission = dataclasses.replace(parts.admission, expected_wait=expected)
    reply = client_of(parts, retry_after=setting).post("/jobs", json={"input": 0.5})
    assert reply.headers["Retry-After"] == told


@pytest.mark.parametrize("bad", ["", "x" * 201])
def test_an_unusable_request_id_is_left_out(client: FlaskClient, parts: Pretended, bad: str) -> None:
    """Nothing gets into log lines that does not belong there; the job is taken all the same."""
    assert client.post("/jobs", json={"input": 0.5}, headers={"X-Request-ID": bad}).status_code == 202
    assert parts.submitted[0].job.request_id is None


def test_a_submission_may_choose(parts: Pretended) -> None:
    """Task, priority and deadline reach the job; the deadline is seconds from now."""
    client = client_of(parts, priorities=True)
    body = {"task": "spin", "input": 0.5, "priority": "low", "deadline": 60}
    assert client.post("/jobs", json=body).status_code == 202
    job = parts.submitted[0].job
    assert (job.task, job.queue) == ("spin", "jobs.spin.low")
    assert job.deadline == job.created + 60


BAD = [
    {"input": 0.5, "priority": "urgent"},
    {"input": 0.5, "priority": "high"},  # this service has none
    {"input": 0.5, "priority": ["high"]},
    {"input": 0.5, "deadline": -1},
    {"input": 0.5, "deadline": "soon"},
    {"input": 0.5, "deadline": 1e300},
    {"input": 0.5, "callback": "https://inside.example"},  # and no webhooks
    {"input": 0.5, "callback": 7},
    {"input": 0.5, "task": "caption"},
    {"input": 0.5, "task": ["sleep"]},
    {"input": 0.5, "colour": "red"},
    {"input": "much"},
]


@pytest.mark.parametrize("body", BAD)
def test_a_bad_submission_is_told_why(client: FlaskClient, parts: Pretended, body: dict[str, Any]) -> None:
    """One line, a 400, and nothing on its way."""
    reply = client.post("/jobs", json=body)
    assert (reply.status_code, reply.content_type) == (400, "application/problem+json")
    assert reply.json is not None
    assert "\n" not in reply.json["detail"]
    assert parts.submitted == []


def test_the_same_submission_has_the_same_fingerprint(client: FlaskClient, parts: Pretended) -> None:
    """However it is written; another input, deadline or task has another."""
    key = {"Idempotency-Key": "k"}
    for body in (
        '{"input": {"seconds": 1}}',
        '{ "task": "sleep", "input": 1 }',
        '{"input": 2}',
        '{"input": 1, "deadline": 5}',
        '{"input": 1, "task": "spin"}',
    ):
        assert client.post("/jobs", data=body, headers=key).status_code == 202
    same, again, *others = [new.fingerprint for new in parts.submitted]
    assert same == again
    assert len({same, *others}) == 4
    assert {new.key for new in parts.submitted} == {"k"}


@pytest.mark.parametrize("bad", ["", "x" * 256])
def test_an_unusable_idempotency_key_is_refused(client: FlaskClient, parts: Pretended, bad: str) -> None:
    """Ignoring it would run the job twice when the client repeats it."""
    reply = client.post("/jobs", json={"input": 1}, headers={"Idempotency-Key": bad})
    assert reply.status_code == 400
    assert parts.submitted == []


def test_a_replay_is_the_first_job(client: FlaskClient, parts: Pretended) -> None:
    """202 again, with the first job's place and state, and a header that says so."""
    parts.admission = Admission(True, "1", True, False, None, 0)
    reply = client.post("/jobs", json={"input": 1}, headers={"Idempotency-Key": "k"})
    assert (reply.status_code, reply.headers["Location"]) == (202, "/jobs/1")
    assert reply.headers["Idempotency-Replayed"] == "true"
    assert reply.json == {"id": "1", "state": "done", "expected_wait": None, "ahead": None}


def test_a_key_with_another_input_is_a_conflict(client: FlaskClient, parts: Pretended) -> None:
    """Neither job is guessed to be the one that was meant."""
    parts.admission = Admission(False, "1", False, True, None, 0)
    reply = client.post("/jobs", json={"input": 1}, headers={"Idempotency-Key": "k"})
    assert (reply.status_code, reply.content_type) == (422, "application/problem+json")


@pytest.mark.parametrize(
    ("admission", "kind", "wait"),
    [
        (Admission(False, "", False, False, 12.3, 5), "too-long-a-wait", "3"),
        (Admission(False, "", False, False, 10.0, 100), "queue-full", "1"),
        (Admission(False, "", False, False, None, 100), "queue-full", "1"),
    ],
)
def test_a_job_that_is_not_admitted_hears_when_there_is_room(
    parts: Pretended, admission: Admission, kind: str, wait: str
) -> None:
    """429, and the time until its wait would be within the limit."""
    parts.admission = admission
    reply = client_of(parts, max_wait=10.0, max_queued=100).post("/jobs", json={"input": 1})
    assert reply.status_code == 429
    assert reply.json is not None
    assert reply.json["type"] == f"urn:queued:{kind}"
    assert reply.headers["Retry-After"] == wait


def test_a_job_that_is_not_confirmed_is_refused_and_the_record_says_so(
    client: FlaskClient, parts: Pretended
) -> None:
    """503 with Retry-After, after the record was made final, so that no worker runs it later."""
    parts.confirm = NotConfirmed("the broker did not confirm it within 5 s")
    parts.__dict__["admission"] = None
    reply = client.post("/jobs", json={"input": 0.5})
    assert reply.status_code == 503
    assert reply.headers["Retry-After"] == "1"
    assert reply.content_type == "application/problem+json"
    ((job, problem),) = parts.refused
    assert job == parts.submitted[0].job
    assert json.loads(reply.data) == problem.to_json()


def test_a_replay_that_is_not_confirmed_leaves_the_first_alone(client: FlaskClient, parts: Pretended) -> None:
    """The record is the first submission's, which was accepted."""
    parts.confirm = NotConfirmed("late")
    parts.admission = Admission(True, "1", True, False, None, 0)
    assert client.post("/jobs", json={"input": 1}, headers={"Idempotency-Key": "k"}).status_code == 503
    assert parts.refused == []


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


# --- asking ---


def test_a_long_result_passes_as_it_is(client: FlaskClient) -> None:
    """The output's JSON is not read and written again; Server-Timing says what was spent, in ms."""
    reply = client.get("/jobs/1/result")
    assert reply.data == b'{"output":"' + b"9" * 5000 + b'"}'
    assert reply.headers["Server-Timing"] == "wait;dur=500.000, run;dur=250.000"
    assert reply.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("path", ["/jobs/1", "/jobs/1/result"])
def test_who_has_it_already_gets_nothing_again(client: FlaskClient, path: str) -> None:
    """304 with the same ETag and no body; another ETag gets the whole."""
    etag = client.get(path).headers["ETag"]
    reply = client.get(path, headers={"If-None-Match": f'"another", {etag}'})
    assert (reply.status_code, reply.data, reply.headers["ETag"]) == (304, b"", etag)
    assert client.get(path, headers={"If-None-Match": '"another"'}).status_code == 200


def test_what_there_will_never_be_a_result_of_is_told(client: FlaskClient, parts: Pretended) -> None:
    """A failed job's own problem; 410 for one that was cancelled or came too late; 409 while it runs."""
    failed = dataclasses.replace(DONE, state=State.FAILED, problem=job_failed("ValueError: no"))
    expected = {
        State.FAILED: 500,
        State.CANCELLED: 410,
        State.EXPIRED: 410,
        State.QUEUED: 409,
        State.RUNNING: 409,
    }
    for state, status in expected.items():
        parts.known = dataclasses.replace(failed, state=state)  # an attempt may have failed before
        reply = client.get("/jobs/1/result")
        assert (reply.status_code, reply.content_type) == (status, "application/problem+json")
        assert ("Retry-After" in reply.headers) == (status == 409)


def test_fetching_shortens_a_results_life_only_where_that_is_set(parts: Pretended) -> None:
    """And only who gets the result counts: neither HEAD nor 304."""
    client_of(parts).get("/jobs/1/result")
    assert parts.acts == []
    client = client_of(parts, fetched_ttl=5.0)
    client.head("/jobs/1/result")
    reply = client.get("/jobs/1/result")
    assert parts.acts == ["fetched 1"]
    client.get("/jobs/1/result", headers={"If-None-Match": reply.headers["ETag"]})
    assert parts.acts == ["fetched 1"]


def test_deleting_cancels_what_has_not_ended_and_forgets_what_has(
    client: FlaskClient, parts: Pretended
) -> None:
    """200 with the state it is in then, or 204; an unknown job is 404."""
    assert client.delete("/jobs/1").status_code == 204
    parts.known = dataclasses.replace(DONE, state=State.RUNNING)
    reply = client.delete("/jobs/1")
    assert (reply.status_code, reply.json) == (200, {"id": "1", "state": "cancelled"})
    assert parts.acts == ["delete 1", "cancel 1"]
    parts.known = None
    assert client.delete("/jobs/1").status_code == 404


def test_while_it_runs_the_rest_of_its_time_is_told(parts: Pretended) -> None:
    """What jobs of its queue take, less what it has taken."""
    parts.known = dataclasses.replace(DONE, state=State.RUNNING, service_time=20.0, elapsed=7.5)
    assert client_of(parts).get("/jobs/1").headers["Retry-After"] == "12"


# --- who may ---


def test_workers_deliver_what_they_have_encoded(client: FlaskClient, parts: Pretended) -> None:
    """The body of the worker's PUT is stored as it is, with its attempt and the time that it took."""
    put = client.put("/jobs/1/result?attempt=2&run=0.25", data=b"[1, 2]", headers=AUTH)
    assert (put.status_code, put.json) == (200, {"ending": "final"})
    told = job_failed("ValueError")
    failed = client.put(
        "/jobs/1/result?attempt=2&retry=1",
        data=json.dumps(told.to_json()),
        content_type="application/problem+json",
        headers=AUTH,
    )
    assert failed.status_code == 200
    assert parts.finished == [("1", 2, Done(b"[1, 2]", 0.25)), ("1", 2, Failed(told, None, retry=True))]
    bad = client.put("/jobs/1/result", data=b"{}", content_type="application/problem+json", headers=AUTH)
    assert bad.status_code == 400


def test_every_token_is_valid_and_nothing_else(client: FlaskClient) -> None:
    """Tokens are changed without a moment in which a worker is refused."""
    for token in ("secret", "other"):
        headers = {"Authorization": f"Bearer {token}"}
        assert client.put("/jobs/1/result", data=b"1", headers=headers).status_code == 200
    for header in (
        "",
        "Bearer",
        "Bearer ",
        "Bearer secret,other",
        "Basic secret",
        "secret",
        "Bearer s\xe9cret",
    ):
        reply = client.put("/jobs/1/result", data=b"1", headers={"Authorization": header})
        assert reply.status_code == 401, header
        assert reply.headers["WWW-Authenticate"] == "Bearer"


ROUTES = [
    ("POST", "/worker/begin"),
    ("POST", "/worker/renew"),
    ("POST", "/worker/give-back"),
    ("POST", "/worker/appear"),
    ("POST", "/worker/vanish"),
    ("PUT", "/jobs/1/result"),
    ("POST", "/factorial/update"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_worker_routes_are_closed_to_others(parts: Pretended, method: str, path: str) -> None:
    """401 without the token, 403 where the service has none, 400 for what makes no sense."""
    assert client_of(parts).open(path, method=method, data=b"1").status_code == 401
    assert client_of(parts, token=None).open(path, method=method, data=b"1", headers=AUTH).status_code == 403
    if method == "POST":
        for nonsense in (b"1", b"{", b'{"held": [1], "worker": 1, "jobs": [1]}'):
            assert client_of(parts).open(path, method=method, data=nonsense, headers=AUTH).status_code == 400


KEYS = (("anna", "a-key"), ("anna", "next-key"), ("bert", "b-key"))


def test_with_api_keys_a_job_belongs_to_who_submitted_it(parts: Pretended) -> None:
    """No key: 401. Another's key: as if there were no such job. Either of one's own keys, either header."""
    client = client_of(parts, api_keys=KEYS)
    anna = {"Authorization": "Bearer a-key"}
    assert client.post("/jobs", json={"input": 1}).status_code == 401
    assert client.post("/jobs", json={"input": 1}, headers=anna).status_code == 202
    assert parts.submitted[0].job.owner == "anna"
    routes = [
        ("GET", "/jobs/1"),
        ("GET", "/jobs/1/result"),
        ("GET", "/jobs/1/events"),
        ("GET", "/factorial/result?id=1"),
        ("DELETE", "/jobs/1"),
    ]
    for method, path in routes:
        assert client.open(path, method=method).status_code == 401
        foreign = client.open(path, method=method, headers={"X-API-Key": "b-key"})
        assert foreign.status_code == 404
        assert parts.acts == []
        for mine in (anna, {"X-API-Key": "next-key"}):
            assert client.open(path, method=method, headers=mine).status_code in (200, 204)
        parts.acts.clear()
    assert client.get("/healthz").status_code == 200


def test_a_job_of_nobody_is_nobodys_once_there_are_keys(parts: Pretended) -> None:
    """What was submitted before keys were asked for is not handed to whoever has one."""
    parts.known = dataclasses.replace(DONE, owner=None)
    client = client_of(parts, api_keys=KEYS)
    assert client.get("/jobs/1", headers={"X-API-Key": "a-key"}).status_code == 404


# --- waiting and health ---


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=20", "wait=20"),
        ("respond-async, Wait = 7; x=1", "wait=7"),
        ('wait="3"', "wait=3"),
        ("wait=100000", "wait=30"),
        ("wait=-1", None),
        ("wait=soon", None),
        ("wait=0", None),
        ("handling=lenient", None),
    ],
)
def test_how_long_to_wait_is_read_as_the_standard_says(
    client: FlaskClient, prefer: str, applied: str | None
) -> None:
    """RFC 7240; cut to half of what the gateway bears, and what makes no sense is ignored."""
    reply = client.get("/jobs/1", headers={"Prefer": prefer})  # it has ended, so there is nothing to wait for
    assert reply.status_code == 200
    assert reply.headers.get("Preference-Applied") == applied


def test_only_who_waits_with_the_submission_is_told_of_the_end(parts: Pretended) -> None:
    """The job then carries this process's name, by which its end is told here; no other job is told of."""
    waiting = {"Prefer": "wait=20"}
    client = client_of(parts)
    for _ in range(2):
        assert client.post("/jobs", json={"input": 1}, headers=waiting).status_code == 200
    assert client.post("/jobs", json={"input": 1}).status_code == 202
    full = client_of(parts, max_waiters=0)
    assert full.post("/jobs", json={"input": 1}, headers=waiting).status_code == 200
    one, same, apart, beyond = (new.listener for new in parts.submitted)
    assert one == same != ""
    assert apart == beyond == ""


def test_who_waits_long_follows_the_job_as_well(parts: Pretended, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that was lost and made anew tells its end to those who follow it only."""
    followed: list[str] = []
    monkeypatch.setattr(Hub, "follow", lambda _hub, waiter: followed.append(waiter.job_id))
    monkeypatch.setattr(submitting, "UNSURE", 0.1)
    monkeypatch.setattr(submitting, "LONG", 0.3)
    parts.known = dataclasses.replace(DONE, state=State.RUNNING)
    reply = client_of(parts).post("/jobs", json={"input": 1}, headers={"Prefer": "wait=1"})
    assert reply.status_code == 202
    assert set(followed) == {parts.submitted[0].job.id}


def test_a_stream_beyond_the_limit_is_refused(parts: Pretended) -> None:
    """503 with Retry-After; a long-poll is answered at once instead."""
    parts.known = dataclasses.replace(DONE, state=State.RUNNING)
    client = client_of(parts, max_waiters=0)
    reply = client.get("/jobs/1/events")
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "1")
    assert client.get("/jobs/1", headers={"Prefer": "wait=20"}).json["state"] == "running"


def test_events_of_an_ended_job_are_its_end(client: FlaskClient) -> None:
    """One event with the status, then the stream closes; a browser that comes back is told not to (204)."""
    reply = client.get("/jobs/1/events")
    assert reply.content_type == "text/event-stream"
    assert reply.headers["X-Accel-Buffering"] == "no"
    event, told, data = reply.data.decode().strip().split("\n")
    assert (event, told) == ("event: end", "id: end")
    assert json.loads(data.removeprefix("data: "))["state"] == "done"
    assert client.get("/jobs/1/events", headers={"Last-Event-ID": "end"}).status_code == 204


def test_a_place_to_wait_is_given_back(parts: Pretended) -> None:
    """Also by who asks for the head of a stream only, or leaves before its first word."""
    client = client_of(parts, max_waiters=1)
    for method in ("HEAD", "GET", "HEAD", "GET"):
        with client.open("/jobs/1/events", method=method) as reply:
            assert reply.status_code == 200, method


def test_readiness_says_which_part_is_missing(client: FlaskClient, parts: Pretended) -> None:
    """200 while jobs can be taken; liveness does not depend on it."""
    assert client.get("/readyz").status_code == 200
    parts.blocked = "the broker is short of memory"
    assert "short of memory" in client.get("/readyz").json["detail"]
    parts.connected, parts.store_error = False, StoreError("the store can't be reached")
    reply = client.get("/readyz")
    assert reply.status_code == 503
    assert reply.json is not None
    assert "broker" in reply.json["detail"]
    assert "store" in reply.json["detail"]
    assert client.get("/healthz").status_code == 200


def test_a_bug_of_ours_is_a_problem_without_a_traceback(client: FlaskClient, parts: Pretended) -> None:
    """The client hears 500 and where the reason is; the reason itself is in the log."""
    parts.confirm = ZeroDivisionError("secret detail")
    reply = client.post("/jobs", json={"input": 0.5})
    assert (reply.status_code, reply.content_type) == (500, "application/problem+json")
    assert b"secret detail" not in reply.data
