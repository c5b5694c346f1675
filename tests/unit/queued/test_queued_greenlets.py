"""pika's I/O loop on greenlets: everything it was asked for is called, in its turn, and nothing else."""

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import gevent
import pytest

from queued.broker.greenlets import GreenletLoop

PATIENCE = 10.0


@pytest.fixture
def loop() -> Iterator[Any]:
    loop = GreenletLoop()
    running = gevent.spawn(loop.start)
    yield loop
    loop.stop()
    running.join(PATIENCE)
    assert running.successful(), running.exception
    loop.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def until(true: Callable[[], object]) -> None:
    """Let other greenlets run until it is so."""
    with gevent.Timeout(PATIENCE):
        while not true():
            gevent.sleep(0.001)


def settle() -> None:
    """Give whatever is due several turns of gevent's hub: enough for what should not happen to happen."""
    for _ in range(20):
        gevent.sleep(0)


def test_callbacks_come_in_order_on_the_loops_own_greenlet(loop: Any) -> None:
    """Also from within a callback, which may wait as any greenlet may."""
    called: list[Any] = []

    def first() -> None:
        gevent.sleep(0.001)
        called.append(gevent.getcurrent())
        loop.add_callback(lambda: called.append("third"))

    loop.add_callback(first)
    loop.add_callback(lambda: called.append("second"))
    until(lambda: len(called) == 3)
    assert called[0] is not gevent.getcurrent()
    assert called[1:] == ["second", "third"]


def test_what_is_due_again_and_again_leaves_others_their_turn(loop: Any) -> None:
    """A callback that asks for itself can't stop this greenlet, which could then never end it."""
    turns = []

    def again() -> None:
        turns.append(1)
        if len(turns) < 1_000_000:
            loop.add_callback(again)

    loop.add_callback(again)
    until(lambda: turns)
    seen = len(turns)
    assert seen < 1_000_000
    turns.extend([1] * 1_000_000)


def test_a_socket_is_told_of_as_long_as_it_is_readable_and_watched(
    loop: Any, pair: tuple[socket.socket, socket.socket]
) -> None:
    """What is left unread is told of again; an end too; nothing once nobody asks."""
    ours, theirs = pair
    got: list[bytes] = []

    def read(fd: int, events: int) -> None:
        assert (fd, events) == (ours.fileno(), loop.READ)
        got.append(ours.recv(1))

    loop.add_handler(ours.fileno(), read, loop.READ)
    settle()
    assert got == []
    theirs.send(b"abc")
    until(lambda: got == [b"a", b"b", b"c"])
    theirs.shutdown(socket.SHUT_WR)
    until(lambda: got[-1] == b"")
    loop.remove_handler(ours.fileno())
    settle()
    seen = len(got)
    settle()
    assert len(got) == seen


def test_who_stops_watching_while_it_is_due_is_not_called(
    loop: Any, pair: tuple[socket.socket, socket.socket]
) -> None:
    """The socket may be closed by then, and its number another's."""
    ours, theirs = pair
    called: list[int] = []
    loop.add_handler(ours.fileno(), lambda _fd, event: called.append(event), loop.READ)
    left = []

    def leave() -> None:
        theirs.send(b"x")
        loop.update_handler(ours.fileno(), loop.READ | loop.WRITE)
        until(lambda: len(loop._due) == 2)  # both are due, and this greenlet is still at it
        loop.remove_handler(ours.fileno())
        left.append(1)

    loop.add_callback(leave)
    until(lambda: left)
    settle()
    assert called == []


def test_a_full_socket_is_written_as_room_comes(loop: Any, pair: tuple[socket.socket, socket.socket]) -> None:
    """The first try is at once; while there is no room nothing is tried, and then it goes on."""
    ours, theirs = pair
    left = bytearray(b"x" * (4 << 20))
    tries = []

    def write(_fd: int, event: int) -> None:
        if event != loop.WRITE:
            return
        tries.append(1)
        try:
            del left[: ours.send(left)]
        except BlockingIOError:
            return
        if not left:
            loop.update_handler(ours.fileno(), loop.READ)

    loop.add_handler(ours.fileno(), write, loop.READ)
    loop.update_handler(ours.fileno(), loop.READ | loop.WRITE)
    settle()
    stuck = len(tries)
    assert left
    settle()
    assert len(tries) == stuck
    received = bytearray()

    def receive() -> bool:
        with suppress(BlockingIOError):
            received.extend(theirs.recv(1 << 20))
        return len(received) == 4 << 20

    until(receive)
    until(lambda: not left)
    done = len(tries)
    settle()
    assert len(tries) == done


def test_a_connection_that_is_being_made_is_told_when_it_stands(
    loop: Any, pair: tuple[socket.socket, socket.socket]
) -> None:
    """A new socket is waited for, and not tried at once: pika would take the first word for success."""
    ours, theirs = pair
    with suppress(BlockingIOError):
        while True:
            ours.send(b"x" * 65536)
    events: list[int] = []

    def connected(fd: int, event: int) -> None:
        events.append(event)
        loop.remove_handler(fd)

    loop.add_handler(ours.fileno(), connected, loop.WRITE)
    settle()
    assert events == []
    with suppress(BlockingIOError):
        while True:
            theirs.recv(1 << 20)
    until(lambda: events)
    assert events == [loop.WRITE]


def test_timers_ring_once_and_not_when_they_were_removed(loop: Any) -> None:
    """Also one that is removed when it is due already."""
    rung: list[str] = []
    loop.call_later(0.02, lambda: rung.append("late"))
    loop.call_later(0.0, lambda: rung.append("soon"))
    removed = loop.call_later(0.01, lambda: rung.append("removed"))
    loop.remove_timeout(removed)
    until(lambda: len(rung) == 2)
    settle()
    assert rung == ["soon", "late"]
    timers: dict[str, Any] = {}

    def ring(name: str, other: str) -> None:
        rung.append(name)
        loop.remove_timeout(timers[other])

    timers["one"] = loop.call_later(0.0, lambda: ring("one", "two"))
    timers["two"] = loop.call_later(0.0, lambda: ring("two", "one"))
    until(lambda: len(rung) > 2)
    settle()
    assert rung[2:] in (["one"], ["two"])


def test_what_goes_wrong_ends_the_loop_with_it() -> None:
    """The link then connects anew."""
    loop = GreenletLoop()

    def fail() -> None:
        raise ValueError("broken")

    running = gevent.spawn(loop.start)
    loop.add_callback(fail)
    running.join(PATIENCE)
    assert isinstance(running.exception, ValueError)
    loop.close()
