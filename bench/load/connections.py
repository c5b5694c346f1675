"""How many connections one process may hold, and with them jobs in flight."""

import resource
import sys

FILES_OF_ITS_OWN = 100


def connections_possible() -> int:
    """How many connections this process may hold at once, some files for itself left over."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if limit == resource.RLIM_INFINITY else max(1, limit - FILES_OF_ITS_OWN)
