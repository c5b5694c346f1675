"""What nginx is told."""

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
    """On a socket in its own folder: no port, no route, and no limit that it would count in."""
    text = configuration(Path("/x"), port=1, upstream=2, timeout=1, connections=12)
    system, _, status = text.partition("listen unix:/x/status.sock;")
    assert "stub_status;" in status
    assert "limit_conn system 12;" in system
    assert "limit_conn" not in status
    assert "proxy_pass" not in status


def test_a_gateway_that_can_not_tell_is_not_asked_to() -> None:
    """An nginx without the module, or a folder whose path no socket takes, starts all the same."""
    for folder, status in ((Path("/x"), False), (Path("/" + "x" * 120), True)):
        text = configuration(folder, port=1, upstream=2, timeout=1, status=status)
        assert "stub_status" not in text
        assert "unix:" not in text


def test_who_asks_a_gateway_that_is_not_there_hears_nothing(tmp_path: Path) -> None:
    """A gap in the samples, not an error."""
    assert RequestsInProgress(tmp_path)() is None
    assert RequestsInProgress(tmp_path / ("x" * 120))() is None
