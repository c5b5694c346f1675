"""The users' HTTP client and the proxy that is cut, against servers of the test's own."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from bench.chaos.client import Client, NoReply, Request
from bench.chaos.proxy import Proxy

PATIENCE = 5.0


class Server:
    """Answers each connection with what the test says, on a thread of its own."""

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.connections = 0
        self._talk = talk
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                one, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._one, args=(one,), daemon=True).start()

    def _one(self, one: socket.socket) -> None:
        with closing(one):
            try:
                self._talk(one)
            except OSError:
                return

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(PATIENCE)


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[socket.socket], None]], Server]]:
    started: list[Server] = []

    def start(talk: Callable[[socket.socket], None]) -> Server:
        started.append(Server(talk))
        return started[-1]

    yield start
    for server in started:
        server.close()


def saying(*answers: bytes) -> Callable[[socket.socket], None]:
    """Answer one request after another, then close."""

    def talk(one: socket.socket) -> None:
        for answer in answers:
            if not one.recv(65536):
                return
            one.sendall(answer)

    return talk


def ask(port: int, times: int = 1, patience: float = PATIENCE) -> list[object]:
    """Ask so often on one client; what came, or why not."""

    async def go() -> list[object]:
        client = Client("127.0.0.1", port)
        told: list[object] = []
        for _ in range(times):
            try:
                told.append(await client.ask(Request("GET", "/x"), patience))
            except NoReply as error:
                told.append(str(error))
        client.close()
        return told

    return asyncio.run(go())


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-It: y\r\n\r\nok"


def test_connections_are_kept(serve: Callable[..., Server]) -> None:
    """Two requests, one connection."""
    server = serve(saying(OK, OK))
    one, other = ask(server.port, times=2)
    assert one.status == 200
    assert (one.body, one.headers["x-it"]) == (b"ok", "y")
    assert other == one
    assert server.connections == 1


def test_chunks_are_put_together(serve: Callable[..., Server]) -> None:
    """As servers send what they do not know the length of."""
    server = serve(
        saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
    )
    (told,) = ask(server.port)
    assert told.body == b"abcde"


def test_every_way_of_not_answering_is_no_reply(serve: Callable[..., Server]) -> None:
    """Refused, closed half-way, no HTTP, too late: the user hears of each, and decides."""
    half = serve(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
    other = serve(saying(b"SSH-2.0 hello\r\n\r\n"))
    silent = serve(lambda one: one.recv(65536) and time.sleep(PATIENCE))
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        closed = nobody.getsockname()[1]
    assert all(isinstance(told, str) for port in (half.port, other.port, closed) for told in ask(port))
    assert ask(silent.port, patience=0.1) == ["no answer in time"]


def echo(one: socket.socket) -> None:
    while data := one.recv(65536):
        one.sendall(data)


def test_a_proxy_passes_on_until_it_is_cut(serve: Callable[..., Server]) -> None:
    """Frozen: nothing comes through and nobody is told. Reset: both sides are told. Then it works again."""
    server = serve(echo)
    with Proxy(server.port) as proxy, closing(socket.create_connection(("127.0.0.1", proxy.port))) as line:
        line.settimeout(PATIENCE)
        line.sendall(b"one")
        assert line.recv(10) == b"one"
        proxy.freeze()
        time.sleep(0.05)  # the order must reach the proxy's thread; what is sent after it must not pass
        line.sendall(b"two")
        line.settimeout(0.2)
        with pytest.raises(TimeoutError):
            line.recv(10)
        line.settimeout(PATIENCE)
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            line.recv(10)
        with closing(socket.create_connection(("127.0.0.1", proxy.port))) as again:
            again.settimeout(PATIENCE)
            again.sendall(b"three")
            assert again.recv(10) == b"three"


def test_a_proxy_tells_of_an_end(serve: Callable[..., Server]) -> None:
    """A server that closes is seen to close through the proxy."""
    server = serve(saying(b"bye"))
    with Proxy(server.port) as proxy, closing(socket.create_connection(("127.0.0.1", proxy.port))) as line:
        line.settimeout(PATIENCE)
        line.sendall(b"x")
        assert line.recv(10) == b"bye"
        assert line.recv(10) == b""


def test_a_proxy_to_nobody_refuses(serve: Callable[..., Server]) -> None:
    """A broker that is down is down through the proxy too."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        closed = nobody.getsockname()[1]
    with Proxy(closed) as proxy, closing(socket.create_connection(("127.0.0.1", proxy.port))) as line:
        line.settimeout(PATIENCE)
        with pytest.raises(ConnectionResetError):
            line.recv(10)
