"""How another thread, or a signal handler, ends the wait of a thread that waits for its sockets."""

import contextlib
import socket


class Waker:
    """Register it with the selector; then `wake` ends the wait."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)
        self._awake = False  # a plain flag: a signal handler must not wait for a lock

    def fileno(self) -> int:
        """What the selector listens to."""
        return self._ours.fileno()

    def wake(self) -> None:
        """End the wait; several calls count as one."""
        if not self._awake:
            self._awake = True
            with contextlib.suppress(OSError):  # full, which wakes as well, or closed
                self._theirs.send(b"!")

    def rest(self) -> None:
        """Be ready to be woken again; call it before looking at what there is to do."""
        with contextlib.suppress(BlockingIOError):
            self._ours.recv(64)
        self._awake = False

    def close(self) -> None:
        """Close both ends."""
        self._ours.close()
        self._theirs.close()
