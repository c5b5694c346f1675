"""How a server's door is opened and closed."""

import errno
import select
import socket
from contextlib import closing

import pytest

from queued.web.listening import CannotServe, check_address, turn_away


def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def test_a_taken_address_is_told_of() -> None:
    with closing(listening()) as server, pytest.raises(CannotServe, match="can't listen on"):
        check_address(*server.getsockname())


@pytest.mark.filters
def test_who_comes_while_the_door_closes_is_refused_and_never_reset() -> None:
    """Who was in is served; who knocks later gets no connection that would be reset."""
    with closing(listening()) as server, closing(socket.socket()) as late:
        address = server.getsockname()
        with closing(socket.create_connection(address)) as early:
            assert turn_away(server)
            late.setblocking(False)
            assert late.connect_ex(address) != 0
            accepted, _ = server.accept()
            with closing(accepted):
                early.sendall(b"in time")
                assert accepted.recv(64) == b"in time"
            server.setblocking(False)
            with pytest.raises(BlockingIOError):
                server.accept()
        server.close()
        assert select.select([], [late], [], 10)[1], "its kernel knocks again, within a second"
        assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
