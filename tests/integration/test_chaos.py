"""The storm in small: everything is struck once while 200 jobs stream through, and nothing is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from bench.chaos.bare.measures import NAMES
from bench.chaos.plan import KINDS, SEAMS
from bench.chaos.work import TASK, answer, given
from bench.stack.ports import free_ports
from bench.stack.ready import NotYet, ask

pytestmark = pytest.mark.integration

PATIENCE = 60.0
"""Seconds after which a test says that something never happened."""


def start(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """A command of ours, in a folder of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )


@pytest.fixture
def storm(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """`bench chaos --short`, ended by force where a test failed to."""
    process = start(tmp_path, "bench", "chaos", "--short", "--output", str(tmp_path / "out"))
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


@pytest.mark.slow
def test_nothing_is_lost_in_a_short_storm(storm: "subprocess.Popen[str]", tmp_path: Path) -> None:
    """Each part killed, stopped or cut, each seam hit: every accepted job has its one right result."""
    said, _ = storm.communicate(timeout=3 * PATIENCE)
    assert storm.returncode == 0, said
    told: dict[str, Any] = json.loads((tmp_path / "out" / "chaos.json").read_text())["storm"]["findings"]
    assert told["accepted"] == 200
    assert {n: told[n] for n in ("lost", "wrong", "failed", "changed", "doubled_keys")} == {
        "lost": 0, "wrong": 0, "failed": 0, "changed": 0, "doubled_keys": 0,
    }  # fmt: skip
    assert told["struck"] == dict.fromkeys(KINDS, 1)
    assert told["hits"] == dict.fromkeys(SEAMS, 1)
    assert told["failed_on_purpose"] > 0, "no retries were under way"
    assert told["near"] >= 0.3
    assert "0 lost" in said
    assert "0 lost" in (tmp_path / "out" / "summary.md").read_text()
    assert "0 lost" in (tmp_path / "out" / "reliability.html").read_text()


def test_interrupted_it_leaves_nothing(storm: "subprocess.Popen[str]", tmp_path: Path) -> None:
    """Ctrl-C while it comes up; that nothing is left is looked at after every test."""
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "out" / "logs" / "broker-1.log").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    storm.send_signal(signal.SIGINT)
    said, _ = storm.communicate(timeout=PATIENCE)
    assert storm.returncode == 130, said
    assert "everything that was started has been ended" in said


@pytest.mark.parametrize("measures", ["", ",".join(NAMES)], ids=["nothing", "everything"])
def test_the_bare_queue_of_the_ladder_does_a_job(
    measures: str, tmp_path: Path, broker_url: str, store_url: str, queue: str
) -> None:
    """Whatever is switched on, it works as long as nothing dies."""
    (port,) = free_ports(1)
    environment = {
        **os.environ,
        "QUEUED_BROKER_URL": broker_url,
        "QUEUED_STORE_URL": store_url,
        "QUEUED_QUEUE": queue,
        "QUEUED_TASK": TASK,
    }
    with ExitStack() as stack:
        for words in (("web", "--port", str(port)), ("worker",)):
            process = subprocess.Popen(
                [sys.executable, "-m", "bench.chaos.bare", *words, "--with", measures],
                env=environment,
                cwd=tmp_path,
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
            )
            assert process.stdout is not None
            stack.enter_context(closing(process.stdout))
            stack.callback(process.wait)
            stack.callback(process.kill)
        url = f"http://127.0.0.1:{port}"
        body = {"input": given(7, 0.01)}
        job = eventually(lambda: ask(url, "POST", "/jobs", body, timeout=5)["id"])
        told = eventually(lambda: ask(url, "GET", f"/jobs/{job}/result", timeout=5))
    assert told == {"output": answer(7)}


def eventually(look: Any) -> Any:
    """Ask again until it is there."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return look()
        except NotYet:
            assert time.monotonic() < deadline, "never"
            time.sleep(0.05)
