"""What nginx is told."""

from pathlib import Path

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
