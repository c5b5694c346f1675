"""What is in the images, and what is not; and the harness in its own."""

import json
import os

import pytest
from compose_project import ROOT, Project, docker

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("images")]

SYSTEMS = ("baseline", "web", "worker")
ALL = (*SYSTEMS, "gateway", "broker")
TOOLS = "cc gcc g++ c++ make ld as pip pip3 uv cargo go npm"


def image(target: str) -> str:
    """Full name of an image."""
    return f"queuebench/{target}:{os.environ.get('QUEUEBENCH_TAG', 'latest')}"


def run(target: str, *words: str) -> str:
    """Run a command in a fresh container; returns all it wrote."""
    return docker(
        "run", "--rm", "--read-only", "--entrypoint", words[0], image(target), *words[1:], check=False
    )


@pytest.mark.parametrize("target", [*SYSTEMS, "bench"])
def test_nothing_builds_or_installs(target: str) -> None:
    """Who gets in finds neither a compiler nor what fetches packages of Python."""
    found = run(target, "sh", "-c", f"for tool in {TOOLS}; do command -v $tool; done; true")
    assert found == ""
    for module in ("pip", "ensurepip", "setuptools"):
        assert f"No module named '{module}'" in run(target, "python", "-c", f"import {module}")


@pytest.mark.parametrize("target", ALL)
def test_an_image_says_by_itself_how_to_run_it(target: str) -> None:
    """Not as root, with a healthcheck and a signal that drains, wherever it is run."""
    (found,) = json.loads(docker("image", "inspect", image(target)))
    config = found["Config"]
    assert config["User"] not in ("", "root", "0")
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert config["StopSignal"] == ("SIGQUIT" if target == "gateway" else "SIGTERM")


def test_the_systems_under_test_share_their_layers() -> None:
    """One environment and one code, stored once."""
    layers = [
        json.loads(docker("image", "inspect", image(target)))[0]["RootFS"]["Layers"] for target in SYSTEMS
    ]
    assert layers[0] == layers[1] == layers[2]


@pytest.mark.parametrize("target", SYSTEMS)
def test_nothing_is_compiled_anew_at_every_start(target: str) -> None:
    """On a read-only root file system bytecode that is not there is never kept."""
    script = "import flask, pika, redis, gunicorn, queued.worker.work, baseline.app"
    said = run(target, "python", "-v", "-c", script)
    assert "matches" in said or "code object from" in said
    compiled = [line for line in said.splitlines() if "code object from" in line and ".pyc" not in line]
    assert compiled == []


def test_images_have_no_more_of_the_project_than_they_run() -> None:
    """No tests, no reports, no history; the systems not even the harness."""
    assert run("web", "ls", "-A", "/app").split() == ["baseline", "queued", "workloads"]
    there = set(run("bench", "ls", "-A", "/app").split())
    assert not there & {"tests", "reports", ".git", "docs"}


def test_the_harness_reaches_the_engine_and_can_build() -> None:
    """`docker compose run bench`: there are the command line, Compose and all that the images are made of."""
    bench = Project(f"queuebench-test-{os.getpid()}", "bench")
    try:
        script = (
            "docker version --format {{.Server.Version}} && docker compose build --quiet web && ls reports"
        )
        said = bench.compose("run", "--rm", "-T", "--entrypoint", "sh", "bench", "-c", script)
        assert said.split()[1:] == sorted(path.name for path in (ROOT / "reports").iterdir())
        assert "Usage: bench run" in bench.compose("run", "--rm", "-T", "bench", "run", "--help")
    finally:
        bench.down()
