"""A Compose project of this repository, driven as a user drives it: by `docker compose`."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 30.0
"""Seconds in which what is awaited must have come."""
PORTS = ("QUEUED", "BLOCKING", "GUNICORN", "PUBLISHED", "MANAGEMENT", "LOCUST")
IN_BOX = {
    "blocking": ("blocking",),
    "blocking-gunicorn": ("gunicorn",),
    "queued": ("web", "worker", "broker", "store"),
    "as-published": ("published-web", "published-worker", "broker", "store"),
}
"""Profile → the services that make up the box of its system."""
Answer = tuple[int, Any]
Found = TypeVar("Found")


class Project:
    """One project: its profiles, its variables, and no port of its own."""

    def __init__(self, name: str, *profiles: str, **variables: str) -> None:
        """`variables` are those of `.env`."""
        self.name = name
        self._profiles = profiles
        self._variables = {f"{port}_PORT": "" for port in PORTS} | variables

    def compose(self, *words: str, check: bool = True, all_profiles: bool = False) -> str:
        """Run `docker compose …`; returns what it wrote. Fails with what it said."""
        profiles = ("*",) if all_profiles else self._profiles
        chosen = [word for profile in profiles for word in ("--profile", profile)]
        return docker(
            *("compose", "--ansi", "never", "-p", self.name, *chosen, *words),
            check=check,
            variables=self._variables,
        )

    def up(self, *words: str) -> float:
        """`docker compose up --wait`; returns the seconds it took."""
        began = time.monotonic()
        self.compose("up", "--wait", "--wait-timeout", "120", *words)
        return time.monotonic() - began

    def down(self) -> None:
        """End and remove all of it, its data too."""
        self.compose("down", "--volumes", "--timeout", "5", all_profiles=True)

    def left(self) -> list[str]:
        """Every container, network and volume of this project."""
        mine = ("--filter", f"label=com.docker.compose.project={self.name}", "--quiet")
        kinds = (("container", "ls", "--all"), ("network", "ls"), ("volume", "ls"))
        return [f"{kind[0]} {id}" for kind in kinds for id in docker(*kind, *mine).split()]

    def containers(self, *services: str) -> list["Container"]:
        """Those that are there, of these services or of all."""
        ids = self.compose("ps", "--all", "--quiet", *services).split()
        return [Container(id) for id in ids]

    def address(self, service: str, port: int = 8080) -> str:
        """URL at which a service is published on this machine."""
        return f"http://{self.compose('port', service, str(port)).strip()}"

    def execute(self, service: str, *words: str, check: bool = True) -> str:
        """Run a command in a service's first container."""
        return self.compose("exec", "-T", service, *words, check=check)


@dataclass(frozen=True)
class Container:
    """One container of the engine's."""

    id: str

    def inspect(self) -> dict[str, Any]:
        """What the engine says of it now."""
        found: list[dict[str, Any]] = json.loads(docker("inspect", self.id))
        return found[0]

    @property
    def service(self) -> str:
        """The service's name."""
        return str(self.inspect()["Config"]["Labels"]["com.docker.compose.service"])

    @property
    def state(self) -> dict[str, Any]:
        """Status, Health, ExitCode, …"""
        found: dict[str, Any] = self.inspect()["State"]
        return found

    def execute(self, *words: str, check: bool = True) -> str:
        """Run a command in it."""
        return docker("exec", self.id, *words, check=check)

    def kill_processes(self) -> None:
        """Kill all of it, so that the engine sees it die; `docker kill` would keep it from coming back.

        By its own user from inside, who may do it on every machine. The first process, which can't be killed
        from there, ends with the one that it is there for.
        """
        self.execute("sh", "-c", "kill -KILL -1", check=False)


def docker(*words: str, check: bool = True, variables: Mapping[str, str] | None = None) -> str:
    """Run `docker …` in the project's folder; returns stdout. Fails with what it said on stderr."""
    done = subprocess.run(
        ["docker", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **(variables or {})},
        stdin=subprocess.DEVNULL,
        timeout=220,
    )
    assert done.returncode == 0 or not check, f"docker {' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout if check else done.stdout + done.stderr


def ask(
    url: str, body: Any = None, headers: Mapping[str, str] | None = None, timeout: float = 30.0
) -> Answer:
    """GET, or POST with a JSON body; returns status and decoded body (None where it is no JSON)."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json", **(headers or {})})
    try:
        with urlopen(request, timeout=timeout) as response:
            return response.status, _decoded(response.read())
    except HTTPError as error:
        with error:
            return error.code, _decoded(error.read())


def _decoded(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def awaited(look: Callable[[], Found | None], what: str, patience: float = PATIENCE) -> Found:
    """Look until something is found, and return it."""
    deadline = time.monotonic() + patience
    while (found := look()) is None:
        assert time.monotonic() < deadline, f"no {what} within {patience:g} s"
        time.sleep(0.1)
    return found
