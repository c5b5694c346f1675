"""Fixtures for every test, skips that say why, and the check that nothing is left behind."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from bench.stack import browser
from bench.stack.box import detect_caps
from bench.stack.installed import PROGRAMS
from bench.stack.services import Services
from bench.stack.sweep import MARK
from bench.stack.workspace import PREFIX, Workspace, temporary_root
from queued.web.listening import turn_away

REQUIRE = "QUEUEBENCH_REQUIRE"
"""Comma list of caps, browser, docker, filters, namespaces, services: what must be there or fails."""
RUN_MARK = "QUEUEBENCH_TEST_RUN"
"""Environment variable that everything a test starts inherits, however far down."""
PATIENCE = 5.0
"""Seconds in which what a test ended must be gone."""


def pytest_configure() -> None:
    """Undo what `nohup` or a shell's `&` left: ignored signals are inherited, and tests send real ones.

    And the runs of tests do not belong on the page of a CI job.
    """
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
    os.environ.pop("GITHUB_STEP_SUMMARY", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests begin first, and those that start nothing last.

    Files run side by side, each as a whole: a long one that began last would be run with nobody beside it.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, "unit" in item.path.parts))


# --- what this machine lacks ---


def missing_services() -> str | None:
    gone = [name for name, program in PROGRAMS.items() if program.find() is None]
    return f"not installed: {', '.join(gone)}" if gone else None


def missing_caps() -> str | None:
    caps = detect_caps()
    return None if caps.cpu and caps.memory else f"no cap on both CPU and memory: {caps.why}"


def missing_browser() -> str | None:
    return None if browser.find() else "no Chromium that can be driven (a snap can't)"


def missing_namespaces() -> str | None:
    name = f"queuebench-{os.getpid()}"
    try:
        subprocess.run(["ip", "netns", "add", name], check=True, capture_output=True)
        subprocess.run(["ip", "netns", "delete", name], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"may not make network namespaces: {getattr(error, 'stderr', b'') or error}"
    return None


def missing_filters() -> str | None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return None if turn_away(server) else "this system, or the sandbox around us, takes no socket filters"


def missing_docker() -> str | None:
    ask = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        for words in (ask, ["docker", "compose", "version"]):
            subprocess.run(words, check=True, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", None) or error).strip()
        return f"no Docker engine with Compose: {said.splitlines()[-1]}"
    return None


NEEDS = {  # marker → what QUEUEBENCH_REQUIRE calls it, and what is missing
    "integration": ("services", missing_services),
    "caps": ("caps", missing_caps),
    "browser": ("browser", missing_browser),
    "docker": ("docker", missing_docker),
    "namespaces": ("namespaces", missing_namespaces),
    "filters": ("filters", missing_filters),
}


@pytest.fixture(scope="session")
def _missing() -> dict[str, str | None]:
    """Looked up once a session and only where a test asks."""
    return {}


@pytest.fixture(autouse=True)
def _needs(request: pytest.FixtureRequest, _missing: dict[str, str | None]) -> None:
    """Look for all that the test's markers say it needs."""
    for marker in NEEDS:
        if request.node.get_closest_marker(marker) is not None:
            demand(marker, _missing)


def demand(marker: str, seen: dict[str, str | None]) -> None:
    """Skip with the reason, or fail with it where QUEUEBENCH_REQUIRE names the need."""
    required = {word.strip() for word in os.environ.get(REQUIRE, "").split(",") if word.strip()}
    need, look = NEEDS[marker]
    if marker not in seen:
        seen[marker] = look()
    reason = seen[marker]
    if reason is not None and need in required:
        pytest.fail(f"{REQUIRE} asks for {need}, but {reason}")
    if reason is not None:
        pytest.skip(f"needs {need}: {reason}")


@pytest.fixture(scope="session")
def engine(_missing: dict[str, str | None]) -> None:
    """A Docker engine with Compose: for fixtures that many tests share, which come before `_needs`."""
    demand("docker", _missing)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium to drive; for tests with the marker `browser`."""
    return str(browser.find())


# --- services ---


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory, _kept: list[Workspace]) -> Iterator[Services]:
    """Private RabbitMQ and Redis outside any box, kept for the session: use `broker_url` and `store_url`."""
    with Services(tmp_path_factory.mktemp("services")) as kept:
        _kept.append(kept.workspace)
        yield kept
        _kept.remove(kept.workspace)


@pytest.fixture
def broker_url(services: Services) -> str:
    """AMQP URL of a private RabbitMQ. Use the `queue` fixture's name for what you declare."""
    return services.broker_url


@pytest.fixture
def store_url(services: Services) -> str:
    """Redis URL of a private, emptied Redis."""
    url = services.store_url
    services.clear()
    return url


@pytest.fixture
def queue(services: Services, request: pytest.FixtureRequest) -> str:
    """A queue name of this test's own; the queue is deleted when the next test clears the services."""
    name = f"test-{abs(hash(request.node.nodeid)):x}"
    services.acquire(None).queues.add(name)
    return name


# --- nothing left behind ---


@dataclass(frozen=True)
class Traces:
    """What a stack leaves in the world while it is up."""

    processes: frozenset[str]
    ports: frozenset[str]
    cgroups: frozenset[str]
    folders: frozenset[str]

    def beyond(self, before: "Traces") -> list[str]:
        """In words, what is here and was not before."""
        return [
            f"{kind}: {thing}"
            for kind in ("processes", "ports", "cgroups", "folders")
            for thing in sorted(getattr(self, kind) - getattr(before, kind))
        ]


@pytest.fixture(scope="session")
def _kept() -> list[Workspace]:
    """Workspaces that live longer than one test, on purpose: session fixtures add theirs."""
    return []


@pytest.fixture(scope="session", autouse=True)
def _run_mark() -> Iterator[str]:
    """Mark everything that this test run starts."""
    mark = f"{os.getpid()}-{time.time()}"
    os.environ[RUN_MARK] = mark
    yield mark
    del os.environ[RUN_MARK]


@pytest.fixture(autouse=True)
def _nothing_left(
    request: pytest.FixtureRequest,
    _kept: list[Workspace],
    _run_mark: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    """After every integration test: no process, port, cgroup or folder that was not there before."""
    if request.node.get_closest_marker("integration") is None:
        yield
        return
    base = str(tmp_path_factory.getbasetemp())
    before = traces(_run_mark, base, _kept)
    yield
    deadline = time.monotonic() + PATIENCE
    while (left := traces(_run_mark, base, _kept).beyond(before)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left, "left behind:\n  " + "\n  ".join(left)


def traces(run_mark: str, base: str, kept: list[Workspace]) -> Traces:
    """Look around for what this test run has started and made, apart from the kept workspaces'."""
    ours = {p.pid for p in psutil.Process().children(recursive=True)}
    spared = kept_pids(kept)
    processes: dict[int, str] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid in spared or process.status() == psutil.STATUS_ZOMBIE:
                continue
            environment, words = process.environ(), " ".join(process.cmdline())
            started_here = process.pid in ours or environment.get(RUN_MARK) == run_mark or base in words
            if started_here and environment.get(MARK) not in {workspace.mark for workspace in kept}:
                processes[process.pid] = f"{process.pid} {words[:150]}"
    ports = set()
    for pid, words in processes.items():
        with suppress(psutil.Error):
            for connection in psutil.Process(pid).net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    ports.add(f"{connection.laddr.port} of {words}")
    return Traces(
        processes=frozenset(processes.values()),
        ports=frozenset(ports),
        cgroups=frozenset(str(path) for path in cgroups() if not others(path.name, kept)),
        folders=frozenset(
            str(path) for path in temporary_root().glob(f"{PREFIX}*") if not others(path.name, kept)
        ),
    )


def kept_pids(kept: list[Workspace]) -> set[int]:
    """This process, the kept workspaces' processes and those below them."""
    pids = {os.getpid()}
    for workspace in kept:
        for pid in workspace.pids():
            pids.add(pid)
            with suppress(psutil.Error):
                pids |= {child.pid for child in psutil.Process(pid).children(recursive=True)}
    return pids


def cgroups() -> Iterator[Path]:
    """Every cgroup that a stack has made."""
    root = Path("/sys/fs/cgroup")
    for folder, names, _ in os.walk(root):
        for name in names:
            if name.startswith(PREFIX.rstrip("-")):  # a slice of systemd is named with _
                yield Path(folder) / name


def others(name: str, kept: list[Workspace]) -> bool:
    """Whether a name belongs to a kept workspace, or to a living harness that is not of this test run."""
    mark = name.replace("_", "-").removeprefix(PREFIX)
    if any(mark.startswith(workspace.mark) for workspace in kept):
        return True
    owner = mark.split("-")[0]
    if not owner.isdigit() or int(owner) == os.getpid():
        return False
    with suppress(psutil.Error):
        return psutil.Process(int(owner)).environ().get(RUN_MARK) != os.environ.get(RUN_MARK)
    return False
