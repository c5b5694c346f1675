"""Who waits in one process, over a store that only pretends."""

import threading
from collections.abc import Callable
from queue import Empty, Queue
from typing import Any

import pytest

from queued.job import Record, State
from queued.store import News, StoreError
from queued.web.hub import Full, Hub, Waiter
from queued.web.waiting import until as until_true

PATIENCE = 10.0


class Line:
    """What `Store.listen` gives: says what the test puts in, until the test breaks it."""

    def __init__(self) -> None:
        self.said: Queue[News] = Queue()
        self.followed: list[str] = []
        self.broken = False
        self.bug: Exception | None = None

    def follow(self, job_id: str) -> None:
        if self.bug is not None:
            raise self.bug
        if self.broken:
            raise StoreError("lost")
        self.followed.append(job_id)

    def unfollow(self, job_id: str) -> None:
        self.followed.remove(job_id)

    def hear(self, timeout: float) -> News | None:
        try:
            said = self.said.get(timeout=min(timeout, 0.05))
        except Empty:
            said = None
        if self.broken:
            raise StoreError("lost")
        return said

    def close(self) -> None:
        self.broken = True


class Lines:
    """Every line that was opened, in order."""

    def __init__(self) -> None:
        self.opened: list[Line] = []
        self.more = threading.Event()

    def __call__(self, listener: str) -> Any:
        assert listener
        self.opened.append(Line())
        self.more.set()
        return self.opened[-1]


def until(true: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if true():
            return
        pause.wait(0.01)
    raise AssertionError("never")


def calm(waiter: Waiter) -> None:
    """Take the news that every new line brings."""
    while waiter.wait(0.1):
        pass


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def hub(lines: Lines) -> Any:
    hub = Hub(lines, most=3)
    hub.start()
    until(lambda: bool(lines.opened))
    yield hub
    hub.close()


def test_news_wake_exactly_who_waits_for_that_job(hub: Hub, lines: Lines) -> None:
    """All who wait for it, and nobody else; news that come before `wait` are not lost."""
    one, same, other = hub.join("one"), hub.join("one"), hub.join("other")
    until(lambda: sorted(lines.opened[0].followed) == ["one", "other"])
    lines.opened[0].said.put(News("one", "running"))
    assert one.wait(PATIENCE)
    assert same.wait(PATIENCE)
    calm(other)
    lines.opened[0].said.put(News("one", "running"))
    assert not other.wait(0.2)


def test_who_waits_for_the_end_is_not_woken_before(hub: Hub, lines: Lines) -> None:
    """A change that does not matter costs no look at the store."""
    waiter = hub.join("one", end_only=True)
    calm(waiter)
    for what in ("queued", "running", "progress"):
        lines.opened[0].said.put(News("one", what))
        assert not waiter.wait(0.1)
    lines.opened[0].said.put(News("one", "cancelled"))
    assert waiter.wait(PATIENCE)


def test_a_job_is_followed_once_and_as_long_as_anybody_waits(hub: Hub, lines: Lines) -> None:
    """What nobody waits for costs the store nothing."""
    first, second = hub.join("one"), hub.join("one")
    until(lambda: lines.opened[0].followed == ["one"])
    first.leave()
    first.leave()
    assert lines.opened[0].followed == ["one"]
    second.leave()
    assert lines.opened[0].followed == []
    assert hub.waiting == 0


def test_who_waits_since_the_submission_costs_the_store_nothing(hub: Hub, lines: Lines) -> None:
    """The end is told to this hub by its name; who comes later and wants all news has the job followed."""
    followed = lines.opened[0].followed
    hub.join("another")
    until(lambda: followed == ["another"])  # the line is in use now
    waiter = hub.join("one", end_only=True, new=True)
    calm(waiter)
    assert followed == ["another"]
    lines.opened[0].said.put(News("one", "done"))
    assert waiter.wait(PATIENCE)
    second = hub.join("one")
    assert followed == ["another", "one"]
    waiter.leave()
    assert followed == ["another", "one"]
    second.leave()
    assert followed == ["another"]
    late = hub.join("late", end_only=True, new=True)
    hub.follow(late)
    hub.follow(late)
    assert followed == ["another", "late"]
    late.leave()
    assert followed == ["another"]


def test_when_the_line_was_lost_everybody_reads_again(hub: Hub, lines: Lines) -> None:
    """Something may have happened meanwhile; and all are followed on the new line."""
    waiter = hub.join("one")
    calm(waiter)
    lines.opened[0].broken = True
    assert waiter.wait(PATIENCE)
    until(lambda: len(lines.opened) > 1 and lines.opened[-1].followed == ["one"])
    calm(waiter)
    lines.opened[-1].said.put(News("one", "running"))
    assert waiter.wait(PATIENCE)


def test_no_more_than_may_wait(hub: Hub) -> None:
    """The limit is what bounds the process; a place that is left can be taken again."""
    waiters = [hub.join(str(n)) for n in range(3)]
    with pytest.raises(Full):
        hub.join("one more")
    waiters[0].leave()
    hub.join("one more")


def test_at_the_end_everybody_goes_at_once(hub: Hub) -> None:
    """Who waits is sent home, and nobody begins to wait."""
    waiter = hub.join("one")
    ended = threading.Event()

    def stay() -> None:
        while not hub.ending:
            waiter.wait(PATIENCE)
        ended.set()

    threading.Thread(target=stay, daemon=True).start()
    hub.stop()
    assert ended.wait(PATIENCE)
    with pytest.raises(Full):
        hub.join("late")


def test_who_could_not_begin_to_wait_takes_no_place(hub: Hub, lines: Lines) -> None:
    """Whatever goes wrong: a place that nobody gives back would be lost for as long as the process lives."""
    calm(hub.join("another"))
    lines.opened[0].bug = ValueError("I/O operation on closed file.")
    with pytest.raises(ValueError, match="closed file"):
        hub.join("one")
    assert hub.waiting == 1


def test_a_client_that_follows_its_place_is_told_though_nobody_tells(hub: Hub) -> None:
    """That a job moves up is no news; its record is looked at."""
    places = iter((5, 5, 4))

    def read() -> Record:
        return Record("one", State.QUEUED, "sleep", b"1", 1.0, None, None, None, None, ahead=next(places))

    last = until_true(hub, "one", PATIENCE, read, lambda first, last: last.ahead != first.ahead, 0.01)
    assert last.ahead == 4
