"""The connections to Redis that are kept, over connections that only pretend."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis

from queued.store import client
from queued.store.client import CONNECTIONS, Lines


class Connection:
    """Answers with what the test has put in, or raises it."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers
        self.sent: list[tuple[Any, ...]] = []
        self.lost = 0

    def send_command(self, *words: Any, check_health: bool) -> None:
        assert not check_health
        self.sent.append(words)

    def read_response(self) -> Any:
        answer = self.answers.pop(0) if self.answers else b"OK"
        if callable(answer):
            return answer()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def disconnect(self) -> None:
        self.lost += 1


def made(*answers: Any) -> tuple[Lines, list[Connection]]:
    """Lines whose first connection gives these answers, and all connections that were made."""
    connections: list[Connection] = []

    def make() -> Connection:
        connections.append(Connection(list(answers) if not connections else []))
        return connections[-1]

    return Lines(make), connections


def test_a_connection_is_kept_and_used_again() -> None:
    """One at a time needs one."""
    lines, connections = made(1, 2)
    assert [lines.run("GET", "a"), lines.run("GET", "b")] == [1, 2]
    assert [one.sent for one in connections] == [[("GET", "a"), ("GET", "b")]]


def test_one_that_was_cut_off_is_tried_once_more_and_no_oftener() -> None:
    """A restart of Redis leaves every connection dead."""
    lines, connections = made(redis.ConnectionError("cut"), 7)
    assert lines.run("GET", "a") == 7
    assert (connections[0].lost, len(connections)) == (1, 1)
    lines, connections = made(redis.ConnectionError("cut"), redis.ConnectionError("away"), 7)
    with pytest.raises(redis.ConnectionError, match="away"):
        lines.run("GET", "a")
    assert connections[0].lost == 2


@pytest.mark.parametrize("error", [redis.TimeoutError("late"), KeyboardInterrupt(), ValueError("x")])
def test_one_that_owes_an_answer_is_closed(error: BaseException) -> None:
    """The answer would be taken for that of the next command. It is not sent again: it may have been done."""
    lines, connections = made(error)
    with pytest.raises(type(error)):
        lines.run("GET", "a")
    assert (connections[0].lost, len(connections[0].sent)) == (1, 1)
    assert lines.run("GET", "b") == b"OK"


def test_a_refusal_is_an_answer() -> None:
    """The connection stays as it is."""
    lines, connections = made(redis.exceptions.NoScriptError("none"))
    with pytest.raises(redis.exceptions.NoScriptError):
        lines.run("EVALSHA", "x")
    lines.run("EVAL", "x")
    assert (connections[0].lost, len(connections)) == (0, 1)


def test_what_is_lost_on_the_way_leaves_its_place_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """As often as one likes."""
    monkeypatch.setattr(client, "TIMEOUT", 0.05)
    lines, _ = made(*[redis.TimeoutError("late")] * CONNECTIONS)
    for _ in range(CONNECTIONS):
        with pytest.raises(redis.TimeoutError):
            lines.run("PING")
    assert lines.run("PING") == b"OK"


def test_who_comes_when_all_are_in_use_is_told_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is served once there is a place again."""
    monkeypatch.setattr(client, "TIMEOUT", 0.05)
    go_on = threading.Event()
    inside = threading.Semaphore(0)

    def wait() -> bytes:
        inside.release()
        go_on.wait(10)
        return b"OK"

    def make() -> Connection:
        return Connection([wait])

    lines = Lines(make)
    threads = [threading.Thread(target=run_one(lines)) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert inside.acquire(timeout=10)
    with pytest.raises(redis.ConnectionError, match="all connections are in use"):
        lines.run("PING")
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert lines.run("PING") == b"OK"


def run_one(lines: Lines) -> Callable[[], object]:
    return lambda: lines.run("PING")


def test_closing_closes_all_also_one_that_is_in_use() -> None:
    """As soon as it is done with."""
    lines, connections = made(lambda: lines.close() or b"OK")
    assert lines.run("PING") == b"OK"
    assert connections[0].lost == 1
