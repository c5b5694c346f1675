"""`bench run --runtime docker` where something is missing, or is ended: one line, and nothing left."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import docker
import pytest
from compose_project import awaited
from left_by import containers_of, left_by, volumes_of

from bench.stack.containers.project import SERVICE

pytestmark = [pytest.mark.docker, pytest.mark.slow]

EXPERIMENT = """
title = "One"
task = "sleep"
input = 0.1
deadline = "20S"

[[parts]]
name = "load"
shows = "load"
systems = ["queued"]
rates = ["0.5C"]
window = "3s"
"""
GUARD_PATIENCE = 30.0
"""Seconds in which the guard of a harness that was killed has removed everything."""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def client(engine: None) -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


def started(
    folder: Path, *words: str, experiment: str = EXPERIMENT, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """`bench run` of the experiment in containers, its reports in this folder."""
    (folder / "one.toml").write_text(experiment)
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "bench",
            "run",
            "one.toml",
            "--runtime",
            "docker",
            "--reports",
            "reports",
            *words,
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refused(client: docker.DockerClient, process: subprocess.Popen[str], code: int = 1) -> str:
    """Its end: this code, one line, nothing left. Returns the line."""
    _, told = process.communicate(timeout=200)
    assert process.returncode == code, told
    assert len(told.splitlines()) == 1, told
    assert told.startswith("bench: ")
    assert left_by(client, process.pid) == []
    return told


# --- what is missing ---


def test_no_docker_command(client: docker.DockerClient, tmp_path: Path) -> None:
    line = refused(client, started(tmp_path, environment={"PATH": str(tmp_path)}))
    assert "no `docker` command" in line


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("unix:///nosuch.sock", "no socket"),
        ("tcp://127.0.0.1:9", "refused"),
        ("ssh://somewhere.invalid", "another machine"),
        ("tcp://somewhere.invalid:2375", "another machine"),
    ],
)
def test_no_engine(client: docker.DockerClient, tmp_path: Path, host: str, said: str) -> None:
    line = refused(client, started(tmp_path, environment={"DOCKER_HOST": host}))
    assert host in line
    assert said in line


def test_unknown_context(client: docker.DockerClient, tmp_path: Path) -> None:
    line = refused(client, started(tmp_path, environment={"DOCKER_CONTEXT": "nosuch"}))
    assert 'context "nosuch"' in line


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("echo \"docker: 'compose' is not a docker command.\" >&2; exit 1", "no Compose v2"),
        ("echo 1.29.2", "too old"),
    ],
)
def test_no_compose(client: docker.DockerClient, tmp_path: Path, answer: str, said: str) -> None:
    fake = tmp_path / "docker"
    fake.write_text(f"#!/bin/sh\n[ $1 = compose ] && {{ {answer}; exit; }}\necho '[]'\n")
    fake.chmod(0o755)
    line = refused(client, started(tmp_path, environment={"PATH": f"{tmp_path}:{os.environ['PATH']}"}))
    assert said in line


@pytest.mark.parametrize("variable", ["PYTHON_IMAGE", "REDIS_IMAGE"])
def test_an_image_that_can_not_be_had(client: docker.DockerClient, tmp_path: Path, variable: str) -> None:
    line = refused(client, started(tmp_path, environment={variable: "nosuch/image:1"}))
    assert "nosuch/image:1 can't be pulled" in line


@pytest.mark.parametrize(("beyond", "code"), [(2**30, 2), (-(2**27), 1)])
def test_too_little_memory(client: docker.DockerClient, tmp_path: Path, beyond: int, code: int) -> None:
    total = int(client.info()["MemTotal"])
    box = f'deadline = "20S"\nbox = {{ memory = "{(total + beyond) // 2**20}MiB" }}'
    experiment = EXPERIMENT.replace('deadline = "20S"', box)
    line = refused(client, started(tmp_path, experiment=experiment), code)
    assert "Ask for less" in line


# --- how it is ended ---


def building(client: docker.DockerClient, process: subprocess.Popen[str], folder: Path) -> bool | None:
    return True if "building images" in (folder / "out").read_text() else None


def measuring(client: docker.DockerClient, process: subprocess.Popen[str], folder: Path) -> bool | None:
    return True if "measuring the service time" in (folder / "out").read_text() else None


def services_starting(
    client: docker.DockerClient, process: subprocess.Popen[str], folder: Path
) -> bool | None:
    return _has(client, process, "broker")


def system_starting(client: docker.DockerClient, process: subprocess.Popen[str], folder: Path) -> bool | None:
    return _has(client, process, "worker")


def under_load(client: docker.DockerClient, process: subprocess.Popen[str], folder: Path) -> bool | None:
    return True if list(folder.glob("reports/*/trials/*/progress.json")) else None


def closing(client: docker.DockerClient, process: subprocess.Popen[str], folder: Path) -> bool | None:
    return True if "once more" in (folder / "out").read_text() else None


def _has(client: docker.DockerClient, process: subprocess.Popen[str], service: str) -> bool | None:
    return True if any(c.labels.get(SERVICE) == service for c in containers_of(client, process.pid)) else None


Moment = Callable[[docker.DockerClient, "subprocess.Popen[str]", Path], bool | None]
MOMENTS = (building, measuring, services_starting, system_starting, under_load, closing)


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        *((signal.SIGKILL, moment) for moment in MOMENTS),
        *((signal.SIGINT, moment) for moment in MOMENTS[1:]),
        (signal.SIGTERM, building),
        (signal.SIGTERM, under_load),
    ],
)
def test_ended_at_any_moment(
    client: docker.DockerClient, tmp_path: Path, number: signal.Signals, moment: Moment
) -> None:
    (tmp_path / "one.toml").write_text(EXPERIMENT)
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench", "run", "one.toml", "--runtime", "docker", "--reports", "reports"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=err,
        )
    try:
        awaited(lambda: moment(client, process, tmp_path), f"moment {moment.__name__}", 120.0)
        volumes = volumes_of(client, process.pid)
        process.send_signal(number)
        code = process.wait(60)
    finally:
        process.kill()
        process.wait()
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    assert "Traceback" not in (tmp_path / "err").read_text()
    if number == signal.SIGKILL:
        awaited(
            lambda: None if left_by(client, process.pid, volumes) else True, "clean machine", GUARD_PATIENCE
        )
    assert left_by(client, process.pid, volumes) == []
