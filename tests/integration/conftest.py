"""Fixtures of the integration tests: the queue's own processes over the private services."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bench_command import bench_here  # noqa: F401 - a fixture
from page_driver import browser, launch, open_alone, open_page, played  # noqa: F401 - fixtures
from queued_system import QueueSystem

from bench.stack.services import BROKER_VARIABLE, STORE_VARIABLE, Services, ServiceSet

QUEUED_WORK = '''
import os, signal, time

def wait_for(x):
    """Run until the file x appears."""
    while not os.path.exists(x):
        time.sleep(0.005)
    return "seen"

def end(x):
    """Die as x says, in the middle of the job."""
    if x == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if x == "exit":
        os._exit(3)
    if x == "raise":
        raise ValueError("no such class")
    if x == "nan":
        return float("nan")
    if x == "long":
        return 10 ** 5000
    return x
'''


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without the pictures, for tests of their words: drawing takes nine tenths of the time."""
    from bench import charts
    from bench.charts.svg import Picture

    monkeypatch.setattr(charts, "picture", lambda chart, _: Picture(chart.name, "", b"", ()))


@pytest.fixture
def pointed_at(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what the test starts use the session's broker and store, as a user's own; saves RabbitMQ's boot."""
    monkeypatch.setenv(BROKER_VARIABLE, services.broker_url)
    monkeypatch.setenv(STORE_VARIABLE, services.store_url.rpartition("/")[0] + "/5")


@pytest.fixture
def own(services: Services) -> ServiceSet:
    """The session's broker and store, for a test that puts them into trouble and out of it again."""
    kept = services.acquire(None)
    if kept.broker is None or kept.store is None:
        pytest.skip("needs private services, and QUEUEBENCH_…_URL names running ones")
    return kept


@pytest.fixture
def system(tmp_path: Path, broker_url: str, store_url: str, queue: str) -> Iterator[QueueSystem]:
    """Nothing started yet; ends all that the test starts."""
    (tmp_path / "work.py").write_text(QUEUED_WORK)
    system = QueueSystem(tmp_path, broker_url, store_url, queue)
    yield system
    system.stop()
