"""Free ports on the loopback interface.

A port can be taken between the look and the use, so whoever starts a server on one tries again with another
when the server says that its address is in use.
"""

import random
import socket

from bench.stack.errors import StackError

LOOPBACK = "127.0.0.1"
RANGE = range(20_000, 29_000)
"""Below the ports that systems hand out to outgoing connections (32768 and up on Linux, 49152 on macOS): a
server that is down for a second must find its port again, not one of the generator's connections on it."""
TAKEN = ("address already in use", "eaddrinuse", "bind: address", "address in use", "(98:", "(48:")
"""How nginx, Redis, Erlang, gunicorn and werkzeug say that a port is taken."""


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Choose distinct free ports at random. Raises StackError when it finds none."""
    chosen: list[int] = []
    for port in random.sample(RANGE, 400):
        if is_free(port):
            chosen.append(port)
            if len(chosen) == count:
                return chosen
    raise StackError(
        f"No {count} free ports on {LOOPBACK} between {RANGE.start} and {RANGE.stop}.",
        hint="Something holds thousands of ports here; `ss -ltn` shows what.",
    )


def accepts(port: int, timeout: float = 1.0) -> bool:
    """Whether something listens on this loopback port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout):
            return True
    except OSError:
        return False
