"""How a batch is sent, against answers that the test plays."""

import http.client
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from queued.operate import submit
from queued.operate.batch import Ids, read
from queued.operate.client import Answer, Connection, Target
from queued.operate.submit import Submitter, Tally

TARGET = Target("http://nowhere:1/base/")


def answer(status: int, body: object = None, retry_after: float | None = None) -> Answer:
    return Answer(status, retry_after, json.dumps(body).encode())


class Played:
    """Answers in place of a web, and notes what was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, count: int) -> None:
        self.asked: list[str] = []
        self.ended: list[str] = []
        self.answers: Callable[[int], Answer] = lambda n: answer(202, {"id": f"job{n}"})
        path = folder / "jobs"
        path.write_text("".join(f'{{"input": {n}}}\n' for n in range(count)))
        self.batch = read(path)
        self.ids = Ids(folder / "ids", self.batch)
        monkeypatch.setattr(Connection, "submit", self.submit)
        monkeypatch.setattr(submit, "delays", lambda: iter([0.0] * 10_000))

    def submit(self, body: bytes, key: str) -> Answer:
        self.asked.append(key)
        return self.answers(json.loads(body)["input"])

    def run(self, *, in_flight: int = 1, patience: float = 60.0) -> Submitter:
        submitter = Submitter(TARGET, self.batch, self.ids, in_flight, patience)
        submitter.run(lambda _tally: None, 0.01)
        return submitter


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Played:
    return Played(monkeypatch, tmp_path, 3)


def test_each_line_is_sent_once_under_its_key(played: Played) -> None:
    """And its id and address are noted."""
    tally = played.run(in_flight=2).tally
    assert (tally.accepted, tally.refused, tally.ended) == (3, 0, 3)
    assert sorted(played.asked) == sorted(line.key for line in played.batch.lines)
    assert played.ids.left(played.batch.lines) == []
    urls = [json.loads(line)["url"] for line in (played.ids.path).read_text().splitlines()]
    assert sorted(urls) == [f"http://nowhere:1/base/jobs/job{n}" for n in range(3)]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_can_be_tried_again_is(played: Played, status: int) -> None:
    """Under the same key."""
    troubles = iter([answer(status), answer(status)])
    played.answers = lambda n: next(troubles, answer(202, {"id": f"job{n}"}))
    assert played.run().tally.accepted == 3
    assert played.asked[0] == played.asked[1] == played.asked[2]


def test_no_answer_is_tried_again(played: Played) -> None:
    """A submission whose answer was lost may have been accepted: its key finds it."""
    troubles: list[Exception] = [ConnectionResetError("reset"), http.client.RemoteDisconnected("gone")]

    def answers(n: int) -> Answer:
        if troubles:
            raise troubles.pop()
        return answer(202, {"id": f"job{n}"})

    played.answers = answers
    assert played.run().tally.accepted == 3


def test_the_services_advice_is_followed(played: Played) -> None:
    """It is not asked again before Retry-After is over."""
    troubles = [answer(429, {}, retry_after=0.2)]
    played.answers = lambda n: troubles.pop() if troubles else answer(202, {"id": f"job{n}"})
    began = time.monotonic()
    played.run()
    assert time.monotonic() - began >= 0.2


def test_a_bad_line_is_refused_alone(played: Played) -> None:
    """The others go through."""
    played.answers = lambda n: answer(400, {"detail": "no\nsuch"}) if n == 1 else answer(202, {"id": str(n)})
    submitter = played.run()
    assert (submitter.tally.accepted, submitter.tally.refused, submitter.error) == (2, 1, None)
    assert submitter.refusals == ["line 2: 400: no such"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (answer(401, {"detail": "a key is needed"}), "401: a key is needed"),
        (answer(404), "404: Not Found"),
        (answer(301), "301: Moved Permanently"),
        (answer(200, "hello"), "there is no queue"),
    ],
)
def test_what_would_go_wrong_for_all_ends_it(played: Played, given: Answer, says: str) -> None:
    """Nobody wants the same message forty thousand times."""
    played.answers = lambda _n: given
    submitter = played.run()
    assert says in (submitter.error or "")
    assert len(played.asked) == 1


def test_it_gives_up_when_nothing_gets_through(played: Played) -> None:
    """With the last that was said."""
    played.answers = lambda _n: answer(503, {"detail": "the broker is away"})
    submitter = played.run(patience=0.05)
    assert submitter.error == "nothing got through for 0.05 s; the last was 503: the broker is away"
    assert submitter.tally.accepted == 0


def test_stopping_ends_a_wait_at_once(played: Played) -> None:
    """Ctrl-C during a long Retry-After is not made to wait for it."""
    played.answers = lambda _n: answer(429, {}, retry_after=3_000)
    submitter = Submitter(TARGET, played.batch, played.ids, 2, 60.0)

    def watch(tally: Tally) -> None:
        if tally.waiting:
            submitter.stop()

    submitter.run(watch, 0.01)
    assert submitter.tally.ended == 0
    assert submitter.error is None


def test_a_submission_says_no_more_than_was_asked() -> None:
    """Task and priority only where they were given."""
    assert json.loads(TARGET.body(5)) == {"input": 5}
    assert json.loads(Target("http://w", task="spin", priority="low").body(5)) == {
        "input": 5,
        "task": "spin",
        "priority": "low",
    }


def test_a_key_is_never_shown() -> None:
    """Not by chance in a traceback either."""
    assert "hunter2" not in repr(Target("http://w", api_key="hunter2"))
