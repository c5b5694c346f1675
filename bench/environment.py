"""What a run's figures depend on besides the experiment: machine, versions, source. Recorded in run.json."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

LIBRARIES = ("flask", "gunicorn", "pika", "redis", "locust", "gevent", "pillow")


def describe() -> dict[str, Any]:
    """Return the facts as plain JSON types. Memory in bytes."""
    return {
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "system": platform.system(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "distribution": _distribution(),
        "cpu": _cpu_model(),
        "cores": usable_cores(),
        "memory": psutil.virtual_memory().total,
        "swap": psutil.swap_memory().total,
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "queuebench": metadata.version("queuebench"),
        "commit": _commit(),
    }


def usable_cores() -> int:
    """Cores this process may use: affinity where the system has it, else all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return platform.mac_ver()[0]


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _commit() -> str:
    """Commit of the source tree this runs from, `+` where it has uncommitted changes, empty outside git."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return head.stdout.strip()
