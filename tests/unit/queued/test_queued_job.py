"""Jobs, their states, and how both travel."""

import itertools
import json
from contextlib import suppress

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


OPTIONAL = st.none() | st.text()


@given(JSON, st.floats(0, 4e9), OPTIONAL, st.text(), st.none() | st.floats(0, 4e9), OPTIONAL, OPTIONAL)
def test_a_job_survives_the_message(
    value: object,
    created: float,
    request_id: str | None,
    queue: str,
    deadline: float | None,
    callback: str | None,
    owner: str | None,
) -> None:
    """Whatever the input, the worker gets the job that the web sent."""
    job = Job(new_id(), "work:function", value, created, request_id, queue, deadline, callback, owner)
    assert Job.decode(job.encode()) == job


MESSAGE = json.loads(Job("i", "t", 1, 1.5, queue="q").encode())


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"5", "not a job"),
        (b"{}", "not a job"),
        (json.dumps({**MESSAGE, "id": 5}), "not a job"),
        (json.dumps({**MESSAGE, "deadline": "soon"}), "not a job"),
        (json.dumps({**MESSAGE, "more": 1}), "unknown"),
        (json.dumps({**MESSAGE, "input": float("nan")}), "not JSON"),
        (json.dumps({key: value for key, value in MESSAGE.items() if key != "queue"}), "missing"),
        (json.dumps({**MESSAGE, "v": 3}), "has format 3, and this version reads 2"),
        (json.dumps({"v": 1, "whatever": "it was"}), "has format 1"),
    ],
)
def test_what_is_no_job_is_told_in_one_line(body: bytes | str, says: str) -> None:
    """A bad message is recognised, whatever is wrong with it."""
    with pytest.raises(BadMessage, match=says):
        Job.decode(body if isinstance(body, bytes) else body.encode())


@given(st.sampled_from(sorted(MESSAGE)), JSON | st.just(10**400))
def test_no_message_is_worse_than_bad(name: str, value: object) -> None:
    """Whatever a field holds, it is a job or a bad message: nothing else comes of it, to block the queue."""
    body = json.dumps({**MESSAGE, name: value}).encode()
    with suppress(BadMessage):
        job = Job.decode(body)
        assert Job.decode(job.encode()) == job


def test_nothing_follows_a_final_state() -> None:
    """The first end stays; and what has not ended may end in any way, or go back to the queue once it ran."""
    for before, after in itertools.product(State, State):
        expected = before not in FINAL and (before, after) != (State.QUEUED, State.QUEUED)
        if (before, after) == (State.RUNNING, State.QUEUED):
            expected = True
        assert (before in FOLLOWS[after]) == expected, (before, after)
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
