"""The job of the storm: a function of its input alone, so that every result can be checked from outside.

The systems under test load it as any user's function (`bench.chaos.work:run`). It imports nothing of ours.
"""

import hashlib
import os
import time
from typing import Any

TASK = "bench.chaos.work:run"


class OnPurpose(Exception):
    """The first attempt of a job that is to be tried again."""


def answer(n: int) -> str:
    """The right result of job `n`."""
    return hashlib.sha256(f"queuebench {n}".encode()).hexdigest()


def given(n: int, spend: float, marker: str = "") -> dict[str, Any]:
    """The input of a job: its number, the seconds it takes, and a file whose absence makes it fail once."""
    return {"n": n, "spend": spend, "marker": marker}


def run(value: Any) -> str:
    """Take `spend` seconds and give `answer(n)`.

    Raises OnPurpose where a marker file is named and not there yet; it makes the file before it does.
    """
    time.sleep(value["spend"])
    if value["marker"]:
        try:
            os.close(os.open(value["marker"], os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            pass
        else:
            raise OnPurpose("the first attempt of this job fails on purpose")
    return answer(value["n"])
