"""`bench up`: one system, held; gone without a trace however it ends."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.stack.box import detect_caps
from bench.stack.ports import accepts, free_ports
from bench.stack.ready import run_jobs
from bench.stack.workspace import PREFIX, temporary_root

pytestmark = pytest.mark.integration

PATIENCE = 60.0
"""Seconds after which a test says that something never happened."""


class Up:
    """A `bench up` as a user would start it, in a folder of its own."""

    def __init__(self, folder: Path, *words: str, around: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [*around, sys.executable, "-m", "bench", "up", *words],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def facts(self) -> dict[str, Any]:
        """What it says with --json, once it is up."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read() if self.process.stderr else ""
        found: dict[str, Any] = json.loads(line)
        return found

    def announcement(self) -> str:
        """What it tells a person, once it is up."""
        assert self.process.stdout is not None
        lines: list[str] = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(self.process.stdout.readline())
            assert lines[-1], self.process.stderr.read() if self.process.stderr else ""
        return "".join(lines)

    def end(self, number: int) -> tuple[int, str, str]:
        """Exit code and what else it said, after a signal."""
        self.process.send_signal(number)
        said, complained = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, said, complained


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Start `bench up`; ended by force where a test failed to."""
    started: list[Up] = []

    def start(*words: str, **more: Any) -> Up:
        started.append(Up(tmp_path, *words, **more))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def gone(pids: list[int], pid: int) -> bool:
    """Whether none of these runs, and the harness with this pid has left no folder."""
    alive = [p for p in pids if psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE]
    return not alive and not list(temporary_root().glob(f"{PREFIX}{pid}-*"))


def test_sigterm_ends_it_as_well(up: Callable[..., Up]) -> None:
    """As a service manager or a script would."""
    held = up("blocking", "--json")
    facts = held.facts()
    assert {process["role"] for process in facts["processes"]} == {"web", "gateway"}
    assert facts["broker_url"] is None
    code, said, _ = held.end(signal.SIGTERM)
    assert (code, said) == (0, "")
    assert gone([process["pid"] for process in facts["processes"]], held.process.pid)


def test_it_is_held_until_told_to_end(up: Callable[..., Up]) -> None:
    """One line of JSON for scripts and nothing else on stdout; exit code 0, because this is how it ends."""
    held = up("queued", "--workers", "1", "--json")
    facts = held.facts()
    assert {process["role"] for process in facts["processes"]} == {
        "web",
        "worker",
        "gateway",
        "broker",
        "store",
        "epmd",
    }
    assert facts["broker_url"].startswith("amqp://")
    assert facts["store_url"].startswith("redis://")
    run_jobs("queued", facts["base_url"], 0.01, 2, timeout=PATIENCE)
    code, said, _ = held.end(signal.SIGINT)
    assert (code, said) == (0, "")
    assert gone([process["pid"] for process in facts["processes"]], held.process.pid)


@pytest.mark.parametrize("system", ["queued", "gunicorn"])
def test_killed_outright_it_leaves_nothing_either(up: Callable[..., Up], system: str) -> None:
    """SIGKILL leaves no time to clean up: the guard does."""
    held = up(system, "--json")
    facts = held.facts()
    pids = [process["pid"] for process in facts["processes"]]
    pids += [child.pid for pid in pids for child in psutil.Process(pid).children(recursive=True)]
    assert held.end(signal.SIGKILL)[0] == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while not gone(pids, held.process.pid):
        assert time.monotonic() < deadline, "the guard did not clean up"
        time.sleep(0.05)
    assert not accepts(int(facts["base_url"].rpartition(":")[2]))


def test_interrupted_while_it_comes_up(up: Callable[..., Up]) -> None:
    """Ctrl-C is heeded at once, not after RabbitMQ's boot; the exit code says that it was not up."""
    coming = up("queued", "--json")
    deadline = time.monotonic() + PATIENCE
    while not (booting := list((coming.folder).glob("reports/*/logs/broker-1.log"))):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert booting
    began = time.monotonic()
    code, said, _ = coming.end(signal.SIGINT)
    assert (code, said) == (130, "")
    assert time.monotonic() - began < PATIENCE / 2
    assert gone([], coming.process.pid)


def test_a_person_reads_where_it_is_and_how_to_load_it(up: Callable[..., Up], tmp_path: Path) -> None:
    """URLs, logs, and commands to copy."""
    (tmp_path / "input.json").write_text("0.01")
    held = up("blocking", "--task", "sleep", "--input", "input.json", "--deadline", "2s")
    said = held.announcement()
    assert "blocking is up" in said
    assert "504 after 2 s" in said
    assert "bench/scenarios.py --host http://127.0.0.1:" in said
    assert "--task sleep --job-input '{\"seconds\": 0.01}' --deadline 2s" in said
    code, last, _ = held.end(signal.SIGINT)
    assert code == 0
    assert "nothing is left running" in last


def test_a_port_in_use_is_one_line(up: Callable[..., Up]) -> None:
    """Exit code 1, no traceback, nothing on stdout."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = up("blocking", "--port", str(port), "--json")
        said, complained = refused.process.communicate(timeout=PATIENCE)
    assert (refused.process.returncode, said) == (1, "")
    assert (
        complained.strip()
        == f"bench: Port {port} is in use: choose another with --port, or leave it to chance."
    )


def test_a_port_asked_for_is_used(up: Callable[..., Up]) -> None:
    """So that a script can know it beforehand."""
    (port,) = free_ports(1)
    held = up("blocking", "--port", str(port), "--json")
    assert held.facts()["base_url"] == f"http://127.0.0.1:{port}"
    assert held.end(signal.SIGTERM)[0] == 0


def test_a_function_of_the_users_is_found_where_they_are(up: Callable[..., Up], tmp_path: Path) -> None:
    """Their module need not be installed."""
    (tmp_path / "my_model.py").write_text("def predict(x):\n    return x * 2\n")
    (tmp_path / "input.json").write_text("21")
    held = up("gunicorn", "--task", "my_model:predict", "--input", "input.json", "--json")
    run_jobs("gunicorn", held.facts()["base_url"], 21, 1, timeout=PATIENCE)
    assert held.end(signal.SIGTERM)[0] == 0


def without_rights() -> tuple[str, ...]:
    """Words before a command by which it finds nothing to cap with."""
    if detect_caps().kind == "none":
        return ()
    hide = 'mount -t tmpfs none /sys/fs/cgroup && exec env -u XDG_RUNTIME_DIR "$@"'
    hidden = ("unshare", "--mount", "sh", "-c", hide, "sh")
    if shutil.which("unshare") is None or subprocess.run([*hidden, "true"], check=False).returncode != 0:
        pytest.skip("only root can hide the control groups that are here")
    return hidden


def test_without_rights_it_says_not_capped(up: Callable[..., Up]) -> None:
    """Loudly, and goes on: a person can still look at shapes."""
    held = up("blocking", around=without_rights())
    assert "NOT CAPPED (CPU and memory)" in held.announcement()
    assert held.end(signal.SIGINT)[0] == 0
