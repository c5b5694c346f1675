"""Who died of what, and who comes back; with processes and a box that are played."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bench.stack import supervise
from bench.stack.supervise import Supervisor


class Played:
    """A process that dies when told."""

    def __init__(self, role: str, pid: int) -> None:
        self.role = role
        self.pid = pid
        self.code: int | None = None

    def poll(self) -> int | None:
        return self.code

    def kill(self) -> None:
        pass

    def start(self) -> None:
        self.pid += 1000
        self.code = None


class PlayedBox:
    """A box whose kernel kills when told."""

    def __init__(self) -> None:
        self.kills = 0
        self.inside: set[int] = set()

    def oom_kills(self) -> int:
        return self.kills

    def pids(self) -> set[int]:
        return set(self.inside)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "TICK", 0.005)
    monkeypatch.setattr(supervise, "RESTART_AFTER", 0.05)
    monkeypatch.setattr(supervise, "OOM_PATIENCE", 0.1)


@pytest.fixture
def watching() -> Iterator[Callable[..., Supervisor]]:
    """Start a supervisor that is stopped in the end."""
    started: list[Supervisor] = []

    def start(box: PlayedBox, *pairs: tuple[Played, bool]) -> Supervisor:
        supervisor = Supervisor(box, pairs)
        supervisor.start()
        started.append(supervisor)
        return supervisor

    yield start
    for supervisor in started:
        supervisor.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "supervisor"]


def until(supervisor: Supervisor, count: int) -> list[dict[str, Any]]:
    """Wait for so many events."""
    deadline = time.monotonic() + 5
    while len(supervisor.events()) < count:
        assert time.monotonic() < deadline, supervisor.events()
        time.sleep(0.005)
    return supervisor.events()


def test_a_death_is_noted_with_its_cause_and_the_process_comes_back(
    watching: Callable[..., Supervisor],
) -> None:
    """The record says who, when and of what, and that it was started again."""
    web = Played("web", 7)
    supervisor = watching(PlayedBox(), (web, True))
    web.code = 3
    died, restarted = until(supervisor, 2)
    assert (died["event"], died["role"], died["pid"], died["detail"]) == ("died", "web", 7, "exit code 3")
    assert (restarted["event"], restarted["pid"]) == ("restarted", 1007)
    assert restarted["t"] - died["t"] >= 0.05


def test_a_variant_without_restarts_stays_down(watching: Callable[..., Supervisor]) -> None:
    """The published consumer is not brought back: that is the finding."""
    consumer = Played("worker", 7)
    supervisor = watching(PlayedBox(), (consumer, False))
    consumer.code = -11
    (died,) = until(supervisor, 1)
    time.sleep(0.1)
    assert died["detail"] == "SIGSEGV"
    assert [event["event"] for event in supervisor.events()] == ["died"]


def test_a_memory_kill_is_given_to_the_process_that_died_of_it(watching: Callable[..., Supervisor]) -> None:
    """Out of memory is told from any other SIGKILL by the kernel's own count."""
    web, box = Played("web", 7), PlayedBox()
    supervisor = watching(box, (web, True))
    web.code, box.kills = -9, 1
    events = {event["event"]: event for event in until(supervisor, 3)}
    assert (events["oom_kill"]["role"], events["oom_kill"]["pid"]) == ("web", 7)


def test_a_memory_kill_of_a_child_is_given_to_its_role(
    watching: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """gunicorn's processes and a worker's warm child are no children of ours, but theirs is the role."""
    master, box = Played("worker", 7), PlayedBox()
    box.inside = {7, 8}
    monkeypatch.setattr(supervise.os, "getsid", lambda _pid: 7)
    supervisor = watching(box, (master, True))
    box.inside, box.kills = {7}, 1
    (kill,) = until(supervisor, 1)
    assert (kill["event"], kill["role"], kill["pid"]) == ("oom_kill", "worker", 8)


def test_a_memory_kill_without_a_known_victim_is_still_told(watching: Callable[..., Supervisor]) -> None:
    """A process that lived shorter than a look leaves its death all the same."""
    box = PlayedBox()
    supervisor = watching(box)
    box.kills = 1
    (kill,) = until(supervisor, 1)
    assert (kill["event"], kill["role"]) == ("oom_kill", "box")


def test_an_ordinary_sigkill_is_no_memory_kill(watching: Callable[..., Supervisor]) -> None:
    """Chaos kills processes too."""
    web = Played("web", 7)
    supervisor = watching(PlayedBox(), (web, False))
    web.code = -9
    assert [event["event"] for event in until(supervisor, 1)] == ["died"]
    time.sleep(0.15)
    assert len(supervisor.events()) == 1
