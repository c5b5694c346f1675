"""HTTP as it comes over a wire that does what it likes."""

import socket
import threading
from contextlib import contextmanager

import pytest

from bench.load.clock import Clock
from bench.load.errors import LoadError
from bench.load.exchange import Connection, origin_of


@contextmanager
def raw_server(*answers: bytes | None):
    """Give each connection the next of these bytes and close it; None: say nothing at all."""
    listener = socket.create_server(("127.0.0.1", 0))
    held = []

    def serve() -> None:
        for answer in answers:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            peer.recv(65536)
            if answer is None:
                held.append(peer)
            else:
                peer.sendall(answer)
                peer.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()
        for peer in held:
            peer.close()


def ask(url: str, limit: float = 2.0):
    connection = Connection(origin_of(url), Clock())
    try:
        return connection.exchange("GET", "/x", limit)
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", b"abc"),
        (b"HTTP/1.0 200 OK\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
    ],
    ids=["length", "chunked", "until closed", "after an interim answer"],
)
def test_whole_answers_are_read_however_they_are_framed(answer, body):
    """A length, chunks, or the end of the connection: all are ways to end a body."""
    with raw_server(answer) as url:
        got = ask(url)
    assert (got.status, got.body, got.error) == (200, body, "")
    assert got.done >= got.sent


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "not a whole HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nContent-", "not a whole HTTP answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not a whole HTTP answer"),
    ],
    ids=["nothing", "half a body", "half a head", "not HTTP"],
)
def test_broken_answers_are_errors_that_say_what_broke(answer, why):
    """Never an exception, and never a result."""
    with raw_server(answer) as url:
        got = ask(url)
    assert got.status == 0
    assert why in got.error
    assert not got.timed_out


def test_silence_ends_at_the_limit():
    """A server that accepts and says nothing costs the client its patience, not more."""
    with raw_server(None) as url:
        got = ask(url, limit=0.2)
    assert got.timed_out
    assert 0.2 <= got.done - got.sent < 1


def test_headers_are_found_whatever_their_case():
    """And several of one name are one list."""
    with raw_server(b"HTTP/1.1 200 OK\r\nSERVER-timing: a;dur=1\r\nServer-Timing: b;dur=2\r\n\r\n") as url:
        assert ask(url).header("Server-Timing") == "a;dur=1, b;dur=2"


@pytest.mark.parametrize(
    "url", ["localhost:80", "ftp://localhost", "http://", "http://127.0.0.1:x", "http://no.such.host.invalid"]
)
def test_addresses_that_lead_nowhere_are_refused_with_one_line(url):
    """Before any job is started."""
    with pytest.raises(LoadError) as caught:
        origin_of(url)
    assert "\n" not in str(caught.value)
    assert url in str(caught.value)


def test_a_path_in_the_url_stands_before_every_route():
    """A service behind http://host/some/prefix is asked for /some/prefix/x."""
    assert origin_of("http://127.0.0.1:8/some/prefix/").prefix == "/some/prefix"
