"""The listening socket, opened before anything else so that a port in use is found at once."""

import socket


def listen(host: str, port: int, backlog: int) -> socket.socket:
    """Listen on host and port, 0 for any free one; the kernel holds up to `backlog` waiting connections.

    Raises OSError, also where the host's name is not known.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except UnicodeError:
        raise OSError(f"{host!r} is no host name") from None
    return socket.create_server(address, family=family, backlog=backlog)
