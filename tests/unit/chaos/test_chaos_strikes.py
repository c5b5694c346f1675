"""The striker, on a ground that only notes what is done to it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bench.chaos.plan import Kind, Plan, Strike
from bench.chaos.strikes import Striker

PATIENCE = 5.0


@dataclass
class Way:
    """A proxy that is frozen or not."""

    connections: int = 2
    done: list[str] = field(default_factory=list)

    def freeze(self) -> None:
        self.done.append("freeze")

    def reset(self) -> None:
        self.done.append("reset")


class Played:
    """A ground without processes."""

    def __init__(self, seams: Path) -> None:
        self.seams = seams
        self.proxies = {"worker": Way(), "web": Way()}
        self.down: set[str] = set()
        self.done: list[str] = []

    def up(self, role: str, number: int = 0) -> bool:
        return role not in self.down

    def kill(self, role: str, number: int = 0) -> int:
        self.done.append(f"kill {role} {number}")
        return 4711

    def freeze(self, role: str, number: int = 0) -> list[int]:
        self.done.append(f"stop {role} {number}")
        return [1, 2]

    def thaw(self, pids: list[int]) -> None:
        self.done.append(f"continue {pids}")

    def events(self) -> list[dict[str, Any]]:
        return []


@pytest.fixture
def ground(tmp_path: Path) -> Played:
    return Played(tmp_path)


def play(
    ground: Played, *strikes: Strike, patience: float = 1.0, meanwhile: Callable[[], None] = lambda: None
) -> Any:
    """Carry a plan out to its end and return what was noted."""
    span = max(s.at + s.lasts for s in strikes)
    striker = Striker(ground, Plan(strikes, span), time.time(), patience)
    striker.start(time.time)
    deadline = time.monotonic() + PATIENCE
    while not striker.over:
        meanwhile()
        assert time.monotonic() < deadline, "the striker never ends"
        time.sleep(0.01)
    striker.stop()
    return striker.rows()


def test_a_kill_and_a_stop(ground: Played) -> None:
    """The right worker; the stopped one goes on after its time, and not before."""
    killed = Strike(0.0, Kind.KILL_WORKER, (Kind.KILL_WORKER,), worker=1)
    stopped = Strike(0.05, Kind.STOP_WORKER, (Kind.STOP_WORKER,), worker=0, lasts=0.2)
    one, other = play(ground, killed, stopped)
    assert ground.done == ["kill worker 1", "stop worker 0", "continue [1, 2]"]
    assert one.role == "worker 2"
    assert other.ended - other.began >= 0.2


def test_a_pair_is_struck_at_once(ground: Played) -> None:
    """Both, in one look."""
    pair = Strike(0.0, Kind.PAIR, (Kind.KILL_STORE, Kind.CUT_WEB), lasts=0.1)
    (row,) = play(ground, pair)
    assert ground.done == ["kill store 0"]
    assert ground.proxies["web"].done == ["freeze", "reset"]
    assert (row.kind, row.name) == ("pair", "kill-store + cut-web")


def test_who_is_down_is_struck_when_it_is_up_again(ground: Played) -> None:
    """A dead process can't be killed: the strike waits."""
    ground.down.add("broker")
    began = time.time()

    def rise() -> None:
        if time.time() - began > 0.2:
            ground.down.clear()

    (row,) = play(ground, Strike(0.0, Kind.KILL_BROKER, (Kind.KILL_BROKER,)), meanwhile=rise)
    assert row.began - began >= 0.15


def test_who_never_rises_is_missed(ground: Played) -> None:
    """It is counted as not carried out, and the storm ends all the same."""
    ground.down.add("broker")
    (row,) = play(ground, Strike(0.0, Kind.KILL_BROKER, (Kind.KILL_BROKER,)), patience=0.2)
    assert row.began is None
    assert ground.done == []


def test_a_seam_is_hit_when_its_file_is_gone(ground: Played) -> None:
    """One file a hit, one at a time; what nobody came by is taken away."""
    seam = Strike(0.0, Kind.SEAM, (), seam="after-store")
    file = ground.seams / "after-store"
    hits = 0

    def come_by() -> None:
        nonlocal hits
        if hits < 2 and file.exists():
            file.unlink()
            hits += 1

    rows = play(ground, seam, seam, seam, patience=0.5, meanwhile=come_by)
    assert [row.began is not None for row in rows] == [True, True, False]
    assert not file.exists()


def test_stopping_early_undoes_what_lasts(ground: Played) -> None:
    """Ctrl-C in the middle of a cut leaves no frozen connection."""
    cut = Strike(0.0, Kind.CUT_WORKER, (Kind.CUT_WORKER,), lasts=60.0)
    striker = Striker(ground, Plan((cut,), 60.0), time.time(), 1.0)
    striker.start(time.time)
    way, deadline = ground.proxies["worker"], time.monotonic() + PATIENCE
    while not way.done:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    striker.stop()
    assert way.done == ["freeze", "reset"]
