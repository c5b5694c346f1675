"""Child processes that do not outlive their parent, also where it is killed outright. Linux only."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def told_of_parents_end() -> Callable[[], None] | None:
    """What a child does, just forked, to be sent SIGTERM when its parent ends; None where it can't."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask


def end_with_parent() -> None:
    """Have every process that this one forks, without another program in it, end with this one."""
    ask = told_of_parents_end()
    if ask is not None:
        os.register_at_fork(after_in_child=ask)
