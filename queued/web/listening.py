"""Whether an address can be listened on, said before a server says it its own way; and how to stop."""

import ctypes
import socket
import struct
import sys

from queued.errors import QueuedError

SO_ATTACH_FILTER = 26
DROP_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0)
"""One instruction of a socket filter: `BPF_RET | BPF_K` with 0 bytes to keep (linux/filter.h)."""


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


def turn_away(listener: socket.socket) -> bool:
    """Have the kernel set up no more connections for this socket, in whatever process: before it is closed.

    A connection that the kernel sets up between a server's last `accept` and its `close` is reset, and its
    client can't know whether the request was done. Now it stays without an answer, and the client's kernel
    knocks again after a second: at the next server's door, or it is refused, which every gateway takes as a
    reason to ask another. False: this system can't, because it is not Linux or a sandbox forbids socket
    filters; that moment remains then.
    """
    if sys.platform != "linux":
        return False
    code = ctypes.create_string_buffer(DROP_ALL, len(DROP_ALL))
    program = struct.pack("@HP", 1, ctypes.addressof(code))  # struct sock_fprog
    try:
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    except OSError:
        return False
    return True
