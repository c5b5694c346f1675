"""How many requests the gateway has in progress, as nginx itself counts them."""

import re
import socket

from bench.stack.ports import LOOPBACK

PATIENCE = 2.0
"""Seconds to wait for nginx before the sample is given up."""
_COUNTS = re.compile(rb"Reading: (\d+) Writing: (\d+)")


class RequestsInProgress:
    """Asks a gateway. Cheap enough to be called several times a second."""

    def __init__(self, port: int) -> None:
        """`port`: where the gateway tells of itself, see `bench.stack.nginx.configuration`."""
        self._port = port

    def __call__(self) -> int | None:
        """Requests whose head has begun to come and whose answer is not all sent; None when it can't be told.

        That is `Reading` and `Writing` of nginx's stub_status module, without the question itself.
        """
        try:
            with socket.create_connection((LOOPBACK, self._port), PATIENCE) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                told = b"".join(iter(lambda: connection.recv(4096), b""))
        except OSError:
            return None
        found = _COUNTS.search(told)
        return max(0, int(found[1]) + int(found[2]) - 1) if found else None
