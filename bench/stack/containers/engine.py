"""The container engine and Compose: found, asked what they can do, or said in one line what is missing."""

import json
import re
import shutil
import socket
import subprocess
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import docker
import docker.errors
import requests

from bench.stack.errors import StackError

COMPOSE_NEEDED = (2, 20)
"""Oldest Compose that reads the files as they are meant: override files that take something back, too."""
NEAR = ("localhost", "127.0.0.1", "::1")
TIMEOUT = 60
"""Seconds for one answer of the engine."""


@dataclass(frozen=True)
class Engine:
    """An engine that answers, with a Compose that can drive it."""

    client: docker.DockerClient
    version: str
    compose: str
    cgroup_version: int
    cgroup_driver: str
    """`cgroupfs` or `systemd`."""
    cores: int
    memory: int
    """Bytes the engine's machine has."""
    swap_limit: bool
    """Whether a container's swap can be limited."""
    here: bool
    """Whether it runs on the same kernel as this process, whose control groups can then be seen."""

    def close(self) -> None:
        """Close the connection."""
        self.client.close()


def find_engine() -> Engine:
    """Connect to the engine that the `docker` command uses too. Raises StackError, in one line."""
    if shutil.which("docker") is None:
        raise StackError(
            "There is no `docker` command here: install Docker with Compose v2, or use --runtime local."
        )
    host = _host()
    if not _near(host):
        raise StackError(
            f"The container engine at {host} is on another machine, whose ports are not seen from here: run "
            "bench there, or use --runtime local."
        )
    compose = _compose_version()
    try:
        client = docker.DockerClient(base_url=host, timeout=TIMEOUT)
        told = client.info()
        version = str(client.version()["Version"])
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise StackError(f"The container engine at {host} does not answer: {_gist(error)}") from None
    if told.get("OSType", "linux") != "linux":
        raise StackError(f"The container engine at {host} runs {told['OSType']} containers, not Linux ones.")
    return Engine(
        client=client,
        version=version,
        compose=compose,
        cgroup_version=int(told.get("CgroupVersion") or 1),
        cgroup_driver=str(told.get("CgroupDriver", "")),
        cores=int(told.get("NCPU", 1)),
        memory=int(told.get("MemTotal", 0)),
        swap_limit=bool(told.get("SwapLimit", False)),
        here=_same_kernel(told, host),
    )


def _compose_version() -> str:
    try:
        done = subprocess.run(
            ["docker", "compose", "version", "--short"],
            capture_output=True, text=True, timeout=TIMEOUT, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"`docker compose version` can't be run: {error}.") from None
    version = done.stdout.strip().lstrip("v")
    found = re.match(r"(\d+)\.(\d+)", version)
    if done.returncode != 0 or found is None:
        raise StackError("This `docker` has no Compose v2: install the package docker-compose-plugin.")
    if (int(found[1]), int(found[2])) < COMPOSE_NEEDED:
        needed = ".".join(map(str, COMPOSE_NEEDED))
        raise StackError(f"Compose {version} is too old: {needed} or later is needed.")
    return version


def _host() -> str:
    """The endpoint of the command's current context: the library alone would look at DOCKER_HOST only.

    Raises StackError where there is no such context.
    """
    try:
        done = subprocess.run(
            ["docker", "context", "inspect"], capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
        if done.returncode != 0:
            raise StackError(f"`docker context inspect` failed: {_last_line(done.stderr)}")
        return str(json.loads(done.stdout)[0]["Endpoints"]["docker"]["Host"])
    except (OSError, subprocess.SubprocessError, ValueError, LookupError):
        return "unix:///var/run/docker.sock"


def _near(host: str) -> bool:
    """Whether what its containers publish on loopback is on our own."""
    kind, _, rest = host.partition("://")
    return kind in ("unix", "npipe") or (kind != "ssh" and (urlsplit(f"//{rest}").hostname or "") in NEAR)


def _same_kernel(told: dict[str, Any], host: str) -> bool:
    """By the host's name: in a container of its own, or beside a virtual machine, that differs."""
    return host.startswith("unix://") and told.get("Name") == socket.gethostname()


def _gist(error: Exception) -> str:
    text = str(error)
    if "FileNotFoundError" in text or "No such file" in text:
        return "there is no socket. Is it started?"
    if "PermissionError" in text or "Permission denied" in text:
        return "permission denied. Are you in the group docker?"
    if "ConnectionRefused" in text or "Connection refused" in text:
        return "connection refused. Is it started?"
    return f"{_last_line(text) or type(error).__name__}."


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200].rstrip(".") if lines else ""
