"""What nginx is told."""

import socket
import threading
from pathlib import Path

from bench.stack.gateway_status import RequestsInProgress
from bench.stack.nginx import configuration


def test_the_gateway_gives_up_after_its_time_out_and_asks_nobody_else() -> None:
    """The time-out is what makes the 504s; a second try would hide them."""
    text = configuration(Path("/x"), port=1234, upstream=4321, timeout=1.5)
    assert "proxy_read_timeout 1500ms;" in text
    assert "proxy_connect_timeout 1500ms;" in text
    assert "proxy_next_upstream off;" in text
    assert "listen 127.0.0.1:1234 " in text
    assert "server 127.0.0.1:4321 " in text


def test_connections_are_limited_only_where_asked() -> None:
    """The bounded rival refuses at once with 503; everybody else queues."""
    assert "limit_conn" not in configuration(Path("/x"), port=1, upstream=2, timeout=1)
    bounded = configuration(Path("/x"), port=1, upstream=2, timeout=1, connections=12)
    assert "limit_conn system 12;" in bounded
    assert "limit_conn_status 503;" in bounded


def test_everything_nginx_writes_is_in_its_own_folder() -> None:
    """A package's nginx would write under /var, where only root may."""
    text = configuration(Path("/private/place"), port=1, upstream=2, timeout=1)
    for line in text.splitlines():
        if "_path " in line or line.startswith("pid "):
            assert "/private/place/" in line


def test_what_a_server_pushes_gets_through() -> None:
    """A WebSocket may change the protocol, and events are not held back in a buffer."""
    text = configuration(Path("/x"), port=1, upstream=2, timeout=1)
    assert "proxy_set_header Upgrade $http_upgrade;" in text
    events = text.partition("/events$ {")[2].partition("}")[0]
    assert "proxy_buffering off;" in events


def test_the_gateway_tells_of_its_requests_apart_from_the_system() -> None:
    """At a port of its own: no route beside the system's, and no limit that it would count in."""
    text = configuration(Path("/x"), port=1, upstream=2, timeout=1, connections=12, status=77)
    system, _, status = text.partition("listen 127.0.0.1:77;")
    assert "stub_status;" in status
    assert "limit_conn system 12;" in system
    assert "limit_conn" not in status
    assert "proxy_pass" not in status
    assert "stub_status" not in configuration(Path("/x"), port=1, upstream=2, timeout=1)


def test_who_asks_a_gateway_that_is_not_there_hears_nothing() -> None:
    """A gap in the samples, not an error."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert RequestsInProgress(port)() is None


def test_who_is_told_something_else_hears_nothing() -> None:
    """Whatever stands at that port now."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.0 404 Not Found\r\n\r\nActive")

        other = threading.Thread(target=answer)
        other.start()
        assert RequestsInProgress(server.getsockname()[1])() is None
        other.join()
