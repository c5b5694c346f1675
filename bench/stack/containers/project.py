"""One Compose project of the harness: its commands, and its end without a trace."""

import contextlib
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from typing import Any

import docker
import docker.errors
import psutil
import requests
from docker.models.containers import Container

from bench.interrupt import uninterrupted
from bench.stack.containers.engine import Engine
from bench.stack.errors import PortTaken, StackError
from bench.stack.sweep import kill_group
from bench.stack.workspace import PREFIX

ROOT = Path(__file__).parents[3]
COMPOSE_FILE = ROOT / "docker-compose.yml"
PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
OWNER = "queuebench.owner"
"""Label: where the process lives that made the container. Its number means nothing elsewhere."""
IN_CONTAINER = "container "
"""Begins the name of an owner that lives in a container, whose id follows."""
COMMAND_LIMIT = 180
"""Seconds for one command; building has none."""
TRIES = 3
"""Of an engine's removal, which another client's may cross."""
KILL_PATIENCE = 1.0
"""Seconds after which a container that was killed is killed once more."""

ENGINE_ERRORS = (docker.errors.DockerException, requests.RequestException)

SAYINGS: tuple[tuple[str, Callable[[re.Match[str]], StackError]], ...] = (
    (r"[Bb]ind for (\S+) failed: port is already allocated", lambda m: _port(m[1])),
    (r"listen tcp\d? (\S+?): bind: address already in use", lambda m: _port(m[1])),
    (r"no space left on device", lambda _: StackError("The engine's disk is full: free some space.")),
    (r"/v2/(\S+?)/manifests/([^\"\s]+)", lambda m: _image(f"{m[1]}:{m[2]}")),
    (r"(?:pull access denied for|manifest for|failed to solve:) (\S+?)[,:]? (?:.*not found|repository)",
     lambda m: _image(m[1])),
    (r"(?:Get|Head) \"\S+/v2/\"",
     lambda _: StackError("An image can't be pulled: its registry is not reached.")),
    (r"(could not find an available.*address pool.*)", lambda m: StackError(f"No more networks: {m[1]}.")),
)  # fmt: skip
"""What engine and Compose say, and what to tell a person instead."""


class Project:
    """A Compose project named after the process that owns it. Its end is `remove_project`."""

    def __init__(self, engine: Engine, name: str, environment: Mapping[str, str]) -> None:
        """`environment`: the variables of the Compose file."""
        if not COMPOSE_FILE.exists():
            raise StackError(f"{COMPOSE_FILE} is missing: run from a clone of the repository.")
        self.engine = engine
        self.name = name
        self.environment = dict(environment)
        """Variables of the Compose file, for every command."""

    def compose(
        self,
        *words: str,
        override: Path | None = None,
        variables: Mapping[str, str] | None = None,
        limit: float | None = COMMAND_LIMIT,
    ) -> str:
        """Run one command of Compose and return what it printed. Raises StackError, in one line if it can.

        `variables`: more of the Compose file's.
        """
        files = ["-f", str(COMPOSE_FILE), *(["-f", str(override)] if override else [])]
        argv = ["docker", "compose", "-p", self.name, "--project-directory", str(ROOT), *files, *words]
        # Variables of the user's own shell must not change what is measured.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("COMPOSE_", "QUEUED_"))}
        code, out, told = run({**inherited, **self.environment, **(variables or {})}, argv, limit)
        if code is None:
            raise StackError(f"`docker compose {words[0]}` did not end within {limit:.0f} s.")
        if code != 0:
            raise said(words[0], told or out)
        return out

    def fetch_image(self, service: str) -> None:
        """Pull the image of a service that is not built, unless it is there. Raises StackError."""
        name = self.compose("config", "--images", service).strip()
        try:
            self.engine.client.images.get(name)
        except docker.errors.ImageNotFound:
            code, _, _ = run(os.environ, ["docker", "pull", "--quiet", name], None)
            if code != 0:
                raise _image(name) from None
        except ENGINE_ERRORS as error:
            raise StackError(f"The container engine does not tell of its images: {error}.") from None

    def containers(self) -> list[Container]:
        """Return the project's containers, running or not. Raises StackError."""
        return containers_of(self.engine, self.name)


def _port(address: str) -> PortTaken:
    return PortTaken(f"Port {address} is in use: end what listens there, or choose another.")


def _image(name: str) -> StackError:
    return StackError(f"The image {name} can't be pulled: is the name right, and is there a network?")


def run(
    environment: Mapping[str, str], argv: Sequence[str], limit: float | None
) -> tuple[int | None, str, str]:
    """Run a command: exit code (None: it took longer than `limit` seconds), output, complaints.

    Ctrl-C is for the harness, which then ends the command with the plug-in that does its work.
    """
    process: subprocess.Popen[str] | None = None
    try:
        with uninterrupted():
            process = subprocess.Popen(
                argv,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        out, told = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        return None, "", ""
    except OSError as error:
        raise StackError(f"`{argv[0]}` can't be run: {error.strerror}.") from None
    finally:
        if process is not None and process.returncode is None:
            kill_group(process.pid)
            process.communicate()
    return process.returncode, out, told


def said(command: str, text: str) -> StackError:
    """Turn what a failed command of Compose printed into one error."""
    for pattern, tell in SAYINGS:
        if match := re.search(pattern, text):
            return tell(match)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if "error" in line.lower()] or lines[-3:]
    return StackError(f"`docker compose {command}` failed: {' / '.join(told)[-400:] or 'it says nothing'}")


def containers_of(engine: Engine, project: str) -> list[Container]:
    """Return a project's containers, running or not. Raises StackError."""
    try:
        found: list[Container] = engine.client.containers.list(
            all=True, filters={"label": f"{PROJECT}={project}"}, ignore_removed=True
        )
    except ENGINE_ERRORS as error:
        raise StackError(f"The container engine does not list containers: {error}.") from None
    return found


def kill_containers(containers: Sequence[Container]) -> None:
    """Kill containers, side by side; they stay, so that files can be had of them.

    Killing one that is just being started again waits ten seconds for a process that the signal missed. So
    it is said again while the first word has had no effect.
    """
    killers: list[Thread] = []
    waiting = list(containers)
    for _ in range(TRIES):
        killers = [Thread(target=_kill, args=(c,), name="kill", daemon=True) for c in waiting]
        for thread in killers:
            thread.start()
        deadline = time.monotonic() + KILL_PATIENCE
        for thread in killers:
            thread.join(max(0.0, deadline - time.monotonic()))
        waiting = [c for c, thread in zip(waiting, killers, strict=True) if thread.is_alive()]
        if not waiting:
            return
    for thread in killers:
        thread.join()


def _kill(container: Container) -> None:
    with contextlib.suppress(*ENGINE_ERRORS):
        container.kill()


def last_words(container: Container, lines: int) -> list[str]:
    """The end of a container's log; empty where it can't be had."""
    with contextlib.suppress(*ENGINE_ERRORS):
        return str(container.logs(tail=lines).decode(errors="replace")).strip().splitlines()
    return []


def remove_containers(containers: Sequence[Container]) -> None:
    """Kill and remove containers with their own volumes, side by side. Those that are gone are fine."""
    if containers:
        with ThreadPoolExecutor(max_workers=min(8, len(containers))) as pool:
            list(pool.map(_remove, containers))


def _remove(container: Container) -> None:
    for _ in range(TRIES):
        with contextlib.suppress(*ENGINE_ERRORS):
            container.remove(force=True, v=True)
            return
        with contextlib.suppress(*ENGINE_ERRORS):
            container.wait(timeout=10, condition="removed")


def remove_project(client: docker.DockerClient, name: str) -> list[str]:
    """Remove all that a project has: containers, networks, volumes. Returns what would not go, in words.

    By its labels, so that it works without the Compose file and after half of a start.
    """
    label = {"label": f"{PROJECT}={name}"}
    for _ in range(TRIES):
        with contextlib.suppress(*ENGINE_ERRORS):
            remove_containers(client.containers.list(all=True, filters=label, ignore_removed=True))
            for network in client.networks.list(filters=label):
                network.remove()
            for volume in client.volumes.list(filters=label):
                volume.remove(force=True)
            return []
    left = []
    with contextlib.suppress(*ENGINE_ERRORS):
        left += [f"container {c.name}" for c in client.containers.list(all=True, filters=label)]
        left += [f"network {n.name}" for n in client.networks.list(filters=label)]
        left += [f"volume {v.name}" for v in client.volumes.list(filters=label)]
        return left
    return [f"project {name}: the engine does not answer"]


def owner(client: docker.DockerClient) -> str:
    """Name the place in which this process has its number: the container, or the host and its namespace.

    The host's name alone will not do: a container on the host's network has the same one.
    """
    with contextlib.suppress(OSError, *ENGINE_ERRORS):
        found = re.search(r"/containers/([0-9a-f]{64})/", Path("/proc/self/mountinfo").read_text())
        if found is not None:
            return f"{IN_CONTAINER}{client.containers.get(found[1]).id}"
    try:
        numbers = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # a system without namespaces
        numbers = ""
    return f"{socket.gethostname()} {numbers}".strip()


def leftovers(client: docker.DockerClient) -> list[str]:
    """Projects whose harness is gone: power cuts leave some, and containers that are killed."""
    here = owner(client)
    found: set[str] = set()
    with contextlib.suppress(*ENGINE_ERRORS):
        for container in client.containers.list(all=True, filters={"label": OWNER}, ignore_removed=True):
            name = str(container.labels.get(PROJECT, ""))
            pid = name.removeprefix(PREFIX).partition("-")[0]
            there = str(container.labels[OWNER])
            if not (name.startswith(PREFIX) and pid.isdigit()):
                continue
            if there == here:
                gone = not psutil.pid_exists(int(pid))
            else:
                gone = there.startswith(IN_CONTAINER) and not _lives(client, there.removeprefix(IN_CONTAINER))
            if gone:
                found.add(name)
    return sorted(found)


def _lives(client: docker.DockerClient, container: str) -> bool:
    try:
        return bool(client.containers.get(container).attrs["State"]["Running"])
    except docker.errors.NotFound:
        return False


def write_override(file: Path, services: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write an override file: JSON, which is YAML too, but for the tag that takes something back.

    Raises StackError.
    """
    try:
        file.write_text(json.dumps({"services": services}, indent=1).replace('"!reset"', "!reset null"))
    except OSError as error:
        raise StackError(f"{file} can't be written: {error.strerror}.") from None
    return file
