"""Whether an address can be listened on, said before a server says it its own way."""

import socket

from queued.errors import QueuedError


class CannotServe(QueuedError):
    """The web can't be served."""


def check_address(host: str, port: int) -> None:
    """Raise CannotServe where the address is taken, or none of this machine.

    gunicorn would try for five seconds, and both it and Flask's server end in many lines.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, OverflowError) as error:
        raise CannotServe(
            f"can't listen on {host}:{port}: {getattr(error, 'strerror', '') or error}"
        ) from None
