"""Projects of containers, each brought up once for its file and checked to leave nothing behind."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from compose_project import Project

from bench.stack.containers.runtime import IMAGES

SAID = pytest.StashKey[list[str]]()
SAID_BY_WORKER = "queuebench-said"


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Have a figure printed in the last lines of the run."""
    return request.config.stash.setdefault(SAID, []).append


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what was measured to the process that prints, where files run side by side."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[SAID_BY_WORKER] = session.config.stash.get(SAID, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what such a process has measured; one that was killed hands nothing over."""
    node.config.stash.setdefault(SAID, []).extend(getattr(node, "workeroutput", {}).get(SAID_BY_WORKER, []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was measured on the way."""
    for line in config.stash.get(SAID, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def images(engine: None) -> None:
    """All images of this state of the code; seconds where they are there."""
    Project(IMAGES).compose("build", "--quiet", all_profiles=True)


@pytest.fixture(scope="module")
def project(images: None, say: Callable[[str], None]) -> Iterator[Callable[..., Project]]:
    """Bring up projects that end with the file: profiles, then the variables of `.env`."""
    with ExitStack() as stack:
        yield lambda *profiles, **variables: stack.enter_context(brought_up(say, profiles, variables))


@contextmanager
def brought_up(
    say: Callable[[str], None], profiles: tuple[str, ...], variables: dict[str, str]
) -> Iterator[Project]:
    """Bring one up, and end it."""
    it = Project(f"queuebench-test-{os.getpid()}", *profiles, **variables)
    try:
        seconds = it.up()
        say(
            f"docker compose up --wait from nothing beside other tests, {' '.join(profiles)}: {seconds:.1f} s"
        )
        yield it
    finally:
        it.down()
    assert it.left() == []
