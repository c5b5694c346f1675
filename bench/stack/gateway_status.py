"""How many requests the gateway has in progress, as nginx itself counts them."""

import re
import socket
from pathlib import Path

SOCKET = "status.sock"
"""In the gateway's own folder: no port, and no route beside those of the system."""
LONGEST = 100
"""Bytes of a path that a socket can surely have; Linux takes 107."""
PATIENCE = 2.0
"""Seconds to wait for nginx before the sample is given up."""
_COUNTS = re.compile(rb"Reading: (\d+) Writing: (\d+)")


def address(folder: Path) -> Path | None:
    """Where the gateway in this folder tells of itself; None where no socket can be: its path is too long."""
    path = folder / SOCKET
    return path if len(bytes(path)) <= LONGEST else None


class RequestsInProgress:
    """Asks a gateway. Cheap enough to be called several times a second."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the gateway's."""
        self._address = address(folder)

    def __call__(self) -> int | None:
        """Requests whose head has begun to come and whose answer is not all sent; None when it can't be told.

        That is `Reading` and `Writing` of nginx's stub_status module, without the question itself.
        """
        if self._address is None:
            return None
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(PATIENCE)
                connection.connect(str(self._address))
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                told = b"".join(iter(lambda: connection.recv(4096), b""))
        except OSError:
            return None
        found = _COUNTS.search(told)
        return max(0, int(found[1]) + int(found[2]) - 1) if found else None
