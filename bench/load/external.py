"""The service time of a service that already runs, from the harness's side."""

import json
import subprocess
import sys
from typing import Any

from bench.load.errors import LoadError
from bench.plan import Calibration


def measure_url(url: str, task: str, value: Any, budget: float) -> Calibration:
    """Send jobs one after another for `budget` seconds, one at least, and take their median.

    A sample is what the service says it spent (`Server-Timing: run`), else the response time as a user of the
    idle service sees it, gateway and network included. The CPU part is not known and given as 0.
    Raises LoadError when the service does not answer or does not do the job.

    The clients live in gevent, which would swallow the exception that Ctrl-C raises in the harness: they get
    a process of their own.
    """
    asked = json.dumps({"url": url, "task": task, "input": value, "budget": budget})
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "bench.load.measure"],
        input=asked,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        said = ended.stderr.strip().splitlines() or [f"measuring {url} ended with code {ended.returncode}"]
        raise LoadError(said[-1])
    return Calibration(**json.loads(ended.stdout))
