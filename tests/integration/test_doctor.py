"""`bench doctor`: what is there, and what to do about each gap."""

import subprocess
import sys

import pytest
from played_programs import play
from rich.console import Console

from bench import doctor
from bench.stack.box import Caps
from bench.stack.installed import dotted, required

pytestmark = pytest.mark.integration


def said(monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Exit code and text of a look around."""
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115 - a sink
    code = doctor.run(console)
    return code, console.export_text()


def test_a_machine_that_can_run_the_main_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program with its version, and exit code 0."""
    code, text = said(monkeypatch)
    assert code == 0
    for what in ("Python", "RabbitMQ", "Redis", "nginx", "caps", "cores", "memory", "disk", "Chromium"):
        assert what in text
    assert dotted(required("RabbitMQ").version) in text
    assert "Ready" in text


def test_a_missing_program_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1, because the main job can't run."""
    play(monkeypatch, "RabbitMQ", version=())
    code, text = said(monkeypatch)
    assert code == 1
    assert "not found" in text
    assert "make setup" in text
    assert "Not ready: RabbitMQ" in text


def test_a_program_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """As missing, but named with its version."""
    play(monkeypatch, "Redis", version=(6, 0, 16))
    code, text = said(monkeypatch)
    assert code == 1
    assert "6.0.16" in text
    assert "too old" in text


def test_a_machine_without_caps_is_weaker_but_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts will say so; the exit code is 0."""
    monkeypatch.setattr(doctor, "detect_caps", lambda: Caps("none", False, False, "read-only file system"))
    code, text = said(monkeypatch)
    assert code == 0
    assert "read-only file system" in text
    assert "Weaker: caps" in text


def test_a_running_service_stands_in_for_an_installed_one(
    services: object, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is asked whether it answers."""
    play(monkeypatch, "RabbitMQ", version=())
    monkeypatch.setenv("QUEUEBENCH_BROKER_URL", broker_url)
    code, text = said(monkeypatch)
    assert code == 0
    assert "running elsewhere" in text
    monkeypatch.setenv("QUEUEBENCH_BROKER_URL", "amqp://guest:guest@127.0.0.1:1/")
    code, text = said(monkeypatch)
    assert code == 1
    assert "does not answer" in text


def test_the_command_and_what_the_set_up_asks_it() -> None:
    """`bench doctor` is a table; `--missing` lists packages for a script."""
    table = subprocess.run(
        [sys.executable, "-m", "bench", "doctor"], capture_output=True, text=True, check=False
    )
    assert table.returncode == 0
    assert "RabbitMQ" in table.stdout
    missing = subprocess.run(
        [sys.executable, "-m", "bench.doctor", "--missing"], capture_output=True, text=True, check=False
    )
    assert (missing.returncode, missing.stdout) == (0, "")
