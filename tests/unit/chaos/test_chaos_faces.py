"""What is sent to a system and how its answers are read."""

import json
from typing import Any

import pytest

from bench.chaos.client import Reply
from bench.chaos.face import JobsFace, PublishedFace, face_of


def reply(status: int, body: Any) -> Reply:
    return Reply(status, {}, json.dumps(body).encode())


def test_a_submission_carries_its_key_and_its_name() -> None:
    """By the key a repeat is known, by the name the journal is read."""
    sent = JobsFace().submission({"n": 1}, "r1", "key-r1")
    assert (sent.method, sent.path, json.loads(sent.body)) == ("POST", "/jobs", {"input": {"n": 1}})
    assert sent.headers["X-Request-ID"] == "r1"
    assert sent.headers["Idempotency-Key"] == "key-r1"
    assert "Idempotency-Key" not in JobsFace().submission({}, "r1", None).headers


@pytest.mark.parametrize("status", [400, 404, 422, 429, 500, 502, 503, 504])
def test_only_a_2xx_with_an_id_is_a_promise(status: int) -> None:
    """Everything else may be submitted again."""
    assert JobsFace().accepted(reply(status, {"id": "x"})) is None
    assert JobsFace().accepted(reply(202, {"id": "x"})) == "x"
    assert JobsFace().accepted(reply(202, {})) is None
    assert JobsFace().accepted(Reply(202, {}, b"<html>")) is None


def test_a_look_and_what_it_shows() -> None:
    """State, when it ended, why it failed; nothing where the answer says nothing."""
    face = JobsFace()
    assert face.look("a b", 0).path == "/jobs/a%20b"
    assert face.look("a", 5).headers == {"Prefer": "wait=5"}
    seen = face.seen(reply(200, {"state": "failed", "finished": 12.5, "problem": {"title": "no"}}))
    assert seen is not None
    assert (seen.state, seen.stamp) == ("failed", 12.5)
    assert "no" in seen.problem
    assert face.seen(reply(503, {"state": "done"})) is None
    assert face.seen(reply(200, ["done"])) is None


def test_a_result_has_a_digest() -> None:
    """Two readings are compared by it."""
    face = JobsFace()
    one, other = face.given(reply(200, {"output": "x"})), face.given(reply(200, {"output": "y"}))
    assert one is not None
    assert other is not None
    assert one.output == "x"
    assert one.digest != other.digest
    assert face.given(reply(409, {"output": "x"})) is None
    assert face.given(reply(200, {"output": None})) is not None


def test_the_posts_routes() -> None:
    """One route for state and result; `processing` is no result."""
    face = face_of("as_published")
    assert isinstance(face, PublishedFace)
    assert face.submission({"n": 1}, "r", "k").path == "/factorial?no=%7B%22n%22%3A%201%7D"
    assert face.accepted(reply(200, {"id": "x"})) == "x"
    assert face.given(reply(200, {"status": "processing", "output": None})) is None
    given = face.given(reply(200, {"status": "done", "output": "x"}))
    assert given is not None
    assert given.output == "x"
