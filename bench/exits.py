"""Exit codes of the `bench` command. A leaf."""

FINE = 0
FAILED = 1
"""A trial, a claim or a threshold failed, or this machine can't do the job."""
USAGE = 2
"""Bad usage: options, experiment files, run folders."""
INVALID = 3
"""The measurement itself must not be believed."""
INTERRUPTED = 130


def gravest(*codes: int) -> int:
    """One code for several things: interrupted before bad usage, failed, invalid, fine."""
    return next((code for code in (INTERRUPTED, USAGE, FAILED, INVALID) if code in codes), FINE)
