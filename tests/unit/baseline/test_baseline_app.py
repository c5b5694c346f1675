"""The blocking server's faces, without a socket: results, refusals, failures, and the trace of each job."""

import json
import math
import sys
from pathlib import Path

import pytest

from baseline.app import create_app
from workloads import InvalidInput, Task, load_task
from workloads.task import no_nominal


def task_of(function) -> Task:
    """A user's function as a task."""
    return Task("my:task", function, lambda v: v, lambda i, o: None, None, None, None, no_nominal)


def client_of(task: Task, journal: Path | None = None):
    return create_app(task, journal=journal).test_client()


@pytest.fixture
def journal(tmp_path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def client(journal):
    """A server of factorials."""
    return client_of(load_task("factorial"), journal)


def events(journal: Path) -> list[tuple[str, str]]:
    if not journal.exists():
        return []
    return [(line["job"], line["event"]) for line in map(json.loads, journal.read_text().splitlines())]


def problem_of(response) -> str:
    """The detail of an answer that must be a problem."""
    assert response.mimetype == "application/problem+json"
    assert response.json["status"] == response.status_code
    assert response.json["type"] == "about:blank"
    assert response.json["title"]
    assert "\n" not in response.json["detail"]
    return response.json["detail"]


def test_the_general_face_runs_the_task_and_answers_with_its_output(client):
    """POST /run {"input": …} → {"output": …}, with what the run took in Server-Timing."""
    response = client.post("/run", json={"input": 5})
    assert response.status_code == 200
    assert response.json == {"output": "120"}
    assert response.mimetype == "application/json"
    name, _, milliseconds = response.headers["Server-Timing"].partition(";dur=")
    assert name == "run"
    assert float(milliseconds) >= 0
    assert response.headers["Cache-Control"] == "no-store"


def test_the_posts_face_answers_as_the_post_does(client):
    """GET /factorial?no=N → {"input", "output"}."""
    response = client.get("/factorial?no=5")
    assert response.json == {"input": 5, "output": "120"}
    assert "run;dur=" in response.headers["Server-Timing"]


def test_the_posts_face_takes_any_tasks_input():
    """As JSON where `no` is JSON, else as text."""
    client = client_of(task_of(lambda value: [value]))
    assert client.get("/factorial", query_string={"no": '{"a": [1]}'}).json["output"] == [{"a": [1]}]
    assert client.get("/factorial?no=a+name").json == {"input": "a name", "output": ["a name"]}


def test_a_result_beyond_pythons_limit_on_digits_is_served_where_the_entry_point_lifted_it(client):
    """And without that it is a 500 which says why, as the post's code does on a present Python."""
    limit = sys.get_int_max_str_digits()
    try:
        sys.set_int_max_str_digits(0)
        assert client.get("/factorial?no=3000").json["output"] == str(math.factorial(3000))
        sys.set_int_max_str_digits(4300)
        response = client.get("/factorial?no=3000")
    finally:
        sys.set_int_max_str_digits(limit)
    assert response.status_code == 500
    assert "ValueError: Exceeds the limit (4300 digits)" in problem_of(response)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b'{"input": NaN}', "NaN is not a JSON number"),
        (b"[" * 100_000, "nested too deeply"),
        (b"5", "must be a JSON object with the input in it"),
        (b"[5]", "must be a JSON object with the input in it"),
        (b"{}", "must be a JSON object with the input in it"),
        (b'{"no": 5}', "must be a JSON object with the input in it"),
        (b'{"input": 5, "inptu": 5}', "unknown members: 'inptu'"),
        (b'{"input": 5, "task": "spin"}', "runs the task factorial and no other"),
        (b'{"input": -5}', "from 0 to 1,000,000, not -5"),
        (b'{"input": 1000001}', "from 0 to 1,000,000"),
        (b'{"input": 5.5}', "whole number, not 5.5"),
        (b'{"input": "five"}', "whole number, not 'five'"),
        (b'{"input": true}', "whole number, not true"),
        (b'{"input": null}', "whole number, not null"),
    ],
)
def test_a_bad_body_is_a_400_that_says_why_and_starts_no_job(client, journal, body, why):
    """No work, no trace in the journal, no traceback."""
    response = client.post("/run", data=body)
    assert response.status_code == 400
    assert why in problem_of(response)
    assert events(journal) == []


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "lacks the input"),
        ("?no=", "not ''"),
        ("?no=-5", "not -5"),
        ("?no=five", "not 'five'"),
        ("?n=5", "lacks"),
    ],
)
def test_a_bad_query_is_a_400_that_says_why_and_starts_no_job(client, journal, query, why):
    """Likewise at the post's face."""
    response = client.get(f"/factorial{query}")
    assert response.status_code == 400
    assert why in problem_of(response)
    assert events(journal) == []


def test_an_input_that_only_running_finds_bad_is_a_400_too():
    """A damaged image, or the user's own refusal."""

    def picky(value):
        raise InvalidInput("this image is damaged")

    response = client_of(task_of(picky)).post("/run", json={"input": 1})
    assert response.status_code == 400
    assert problem_of(response) == "this image is damaged"


def test_a_failing_function_is_a_500_with_type_and_message_and_its_traceback_in_the_log(journal, caplog):
    """The client learns what went wrong but nothing of the code."""

    def fail(value):
        raise LookupError("no such\nclass: cat")

    response = client_of(task_of(fail), journal).post(
        "/run", json={"input": 1}, headers={"X-Request-ID": "j"}
    )
    assert response.status_code == 500
    assert problem_of(response) == "LookupError: no such class: cat"
    assert "Traceback" not in response.text
    assert __file__ not in response.text
    assert __file__ in caplog.text
    assert events(journal) == [("j", "start"), ("j", "end")]


@pytest.mark.parametrize("output", [{1, 2}, float("nan"), object(), b"bytes", {(1, 2): 3}])
def test_an_output_that_json_cannot_carry_is_a_500_that_says_so(output):
    """Not a broken answer, and no server error page."""
    response = client_of(task_of(lambda value: output)).post("/run", json={"input": 1})
    assert response.status_code == 500
    assert "the task's output can't be written as JSON" in problem_of(response)


def test_an_output_with_mixed_keys_and_odd_text_goes_through():
    """What json.dumps can write, the server can send."""
    response = client_of(task_of(lambda value: {1: "ü\ud800", "a": None})).post("/run", json={"input": 1})
    assert json.loads(response.text)["output"] == {"1": "ü\ud800", "a": None}


def test_the_clients_id_names_the_job_in_journal_and_answer(client, journal):
    """So that an execution can be found for a request even when its client has gone."""
    response = client.post("/run", json={"input": 5, "task": "factorial"}, headers={"X-Request-ID": "abc-1"})
    assert response.headers["X-Request-ID"] == "abc-1"
    assert events(journal) == [("abc-1", "start"), ("abc-1", "end")]


@pytest.mark.parametrize(
    "sent", [{}, {"X-Request-ID": ""}, {"X-Request-ID": "x" * 129}, {"X-Request-ID": "ü"}]
)
def test_without_a_usable_id_the_server_gives_one(client, journal, sent):
    """Two jobs never share one."""
    answered = [
        client.post("/run", json={"input": 5}, headers=sent).headers["X-Request-ID"] for _ in range(2)
    ]
    assert len(set(answered)) == 2
    assert all(len(name) == 32 for name in answered)
    assert {job for job, _ in events(journal)} == set(answered)


def test_the_health_face_answers_without_running_anything(client, journal):
    """For readiness checks."""
    response = client.get("/healthz")
    assert response.status_code == 200
    assert response.json["task"] == "factorial"
    assert events(journal) == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/run", 405), ("POST", "/factorial", 405), ("PUT", "/run", 405)],
)
def test_other_addresses_and_methods_are_problems_too(client, method, path, status):
    """Every error has the same form."""
    response = client.open(path, method=method)
    assert response.status_code == status
    problem_of(response)
    assert status != 405 or "Allow" in response.headers


def test_a_body_beyond_the_limit_is_refused_unread(monkeypatch):
    """413, before it fills the memory."""
    monkeypatch.setattr("baseline.app.MAX_BODY", 1000)
    response = client_of(load_task("factorial")).post("/run", data=b"x" * 2000)
    assert response.status_code == 413
    problem_of(response)


def test_a_journal_that_cannot_be_written_is_a_500_and_no_silent_gap(tmp_path):
    """Wasted work must not go uncounted."""
    response = client_of(load_task("factorial"), tmp_path / "gone" / "j").post("/run", json={"input": 5})
    assert response.status_code == 500
    assert "FileNotFoundError" in problem_of(response)
