"""What a load generator in C or Go makes of the same server: `wrk`, else `hey`, where one is installed."""

import re
import resource
import shutil
import subprocess
from dataclasses import dataclass

SECONDS = 4
CONNECTIONS = 50


@dataclass(frozen=True)
class Other:
    """What it reached, over connections that it keeps; ours opens one for each job, as users do."""

    tool: str
    rate: float
    """Requests per second."""
    cpu_per_request: float
    """CPU seconds."""


def measure_other(url: str) -> Other | None:
    """Let it send as fast as it can for some seconds; None where there is none, or it failed."""
    tool = next((name for name in ("wrk", "hey") if shutil.which(name)), None)
    if tool is None:
        return None
    words = {
        "wrk": ["-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s"],
        "hey": ["-c", str(CONNECTIONS), "-z", f"{SECONDS}s"],
    }
    before = _cpu_of_children()
    ended = subprocess.run(
        [tool, *words[tool], url], capture_output=True, text=True, timeout=SECONDS + 30, check=False
    )
    used = _cpu_of_children() - before
    found = re.search(r"Requests/sec:\s+([\d.]+)", ended.stdout)
    if ended.returncode or found is None:
        return None
    rate = float(found[1])
    return Other(tool, rate, used / max(1.0, rate * SECONDS))


def _cpu_of_children() -> float:
    """CPU seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
