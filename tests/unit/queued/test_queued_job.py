"""Jobs, their states, and how both travel."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queued.job import FINAL, FOLLOWS, BadMessage, Job, State, new_id
from queued.problem import Problem, job_failed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(JSON, st.floats(0, 4e9), st.none() | st.text())
def test_a_job_survives_the_message(value: object, created: float, request_id: str | None) -> None:
    """Whatever the input, the worker gets the job that the web sent."""
    job = Job(new_id(), "work:function", value, created, request_id)
    assert Job.decode(job.encode()) == job


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"5", "not a job"),
        (b"{}", "not a job"),
        (
            json.dumps({"v": 1, "id": 5, "task": "t", "input": 1, "created": 1, "request_id": None}),
            "not a job",
        ),
        (
            json.dumps({"v": 2, "id": "i", "task": "t", "input": 1, "created": 1, "request_id": None}),
            "format 2",
        ),
    ],
)
def test_what_is_no_job_is_told_in_one_line(body: bytes | str, says: str) -> None:
    """A bad message is recognised, whatever is wrong with it."""
    with pytest.raises(BadMessage, match=says):
        Job.decode(body if isinstance(body, bytes) else body.encode())


def test_nothing_follows_a_final_state() -> None:
    """The first end stays, and nothing goes back to the queue."""
    for before, after in itertools.product(State, State):
        allowed = before in FOLLOWS[after]
        assert allowed == (
            (before, after)
            in {
                (State.QUEUED, State.RUNNING),
                (State.RUNNING, State.RUNNING),
                (State.QUEUED, State.DONE),
                (State.QUEUED, State.FAILED),
                (State.RUNNING, State.DONE),
                (State.RUNNING, State.FAILED),
            }
        )
    assert not any(state in sources for state in FINAL for sources in FOLLOWS.values())


def test_ids_can_not_be_guessed() -> None:
    """128 random bits each."""
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(one) == 32 for one in ids)


def test_the_journal_has_the_clients_name_for_a_job() -> None:
    """The client's X-Request-ID where it sent one, else the job's own id."""
    assert Job("own", "t", 1, 0, "theirs").trace == "theirs"
    assert Job("own", "t", 1, 0).trace == "own"


def test_a_problem_survives_its_way_through_the_store() -> None:
    """What went wrong in the worker is what the client reads."""
    problem = job_failed("ValueError: no such class")
    assert Problem.from_json(json.loads(json.dumps(problem.to_json()))) == problem
    with pytest.raises(ValueError, match="not problem details"):
        Problem.from_json({"type": "urn:queued:x"})
