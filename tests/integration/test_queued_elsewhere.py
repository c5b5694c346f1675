"""Workers on other machines, each a network namespace with a cable of its own to ours."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from queued_system import QueueSystem, eventually

from bench.chaos.proxy import Proxy

pytestmark = [pytest.mark.integration, pytest.mark.namespaces]

QUICK = {"QUEUED_HEARTBEAT": "2", "QUEUED_LEASE": "3"}


@dataclass(frozen=True)
class Machine:
    """A host that sees nothing of ours but what is passed on to it."""

    name: str
    cable: str
    """Our end of it."""
    address: str
    """Our address on that cable."""

    @property
    def inside(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)

    def plug(self, state: str) -> None:
        ip("link", "set", self.cable, state)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextlib.contextmanager
def machine(number: int) -> Iterator[Machine]:
    name, cable = f"qb{os.getpid()}-{number}", f"qb{os.getpid() % 100_000}.{number}"
    ours, theirs = f"10.213.{number}.1", f"10.213.{number}.2"
    ip("netns", "add", name)
    try:
        ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("address", "add", f"{ours}/30", "dev", cable)
        ip("link", "set", cable, "up")
        ip("-n", name, "address", "add", f"{theirs}/30", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", name, "link", "set", "lo", "up")
        yield Machine(name, cable, ours)
    finally:
        ip("netns", "delete", name)  # its end of the cable goes with it, and so does ours


@pytest.fixture
def machines() -> Iterator[tuple[Machine, Machine]]:
    with machine(1) as one, machine(2) as other:
        yield one, other


@contextlib.contextmanager
def addresses(system: QueueSystem, there: Machine) -> Iterator[dict[str, str]]:
    """The services' addresses as that machine sees them; to Redis only a worker that writes there itself."""
    with contextlib.ExitStack() as opened:

        def passed_on(url: str) -> str:
            parts = urlsplit(url)
            assert parts.port is not None
            port = opened.enter_context(Proxy(parts.port, there.address)).port
            return url.replace(f"{parts.hostname}:{parts.port}", f"{there.address}:{port}")

        yield {
            "QUEUED_BROKER_URL": passed_on(system.broker_url),
            "QUEUED_STORE_URL": passed_on(system.store_url),
            "QUEUED_API_URL": passed_on(f"http://127.0.0.1:{system.port}"),
        }


def test_workers_on_two_machines_and_a_cable_that_is_pulled(
    system: QueueSystem, machines: tuple[Machine, Machine]
) -> None:
    """They need the addresses and the code alone; a job of a machine that is cut off is run by the other."""
    one, other = machines
    system.task = "work:wait_for"
    system.web(**QUICK)
    with addresses(system, one) as by_one, addresses(system, other) as by_other:
        cut = system.worker(inside=one.inside, **by_one, **QUICK)
        first = system.submit(str(system.folder / "first"))
        system.wait_for(first, "running")
        by_other |= {"QUEUED_RESULT_PATH": "api", "QUEUED_STORE_URL": ""}
        helping = system.worker(inside=other.inside, **QUICK, **by_other)
        second = system.submit(str(system.folder / "second"))
        system.wait_for(second, "running")  # the first is in the other machine's hands
        (system.folder / "second").touch()
        assert system.result(second) == "seen"

        one.plug("down")
        eventually(
            lambda: system.journal("start").count(first) == 2, "the other machine has begun it", system.logs
        )
        (system.folder / "first").touch()
        assert system.result(first) == "seen"
        one.plug("up")
        helping.signal(signal.SIGTERM)
        assert helping.ended() == 0
        assert system.result(system.submit(str(system.folder / "first"))) == "seen"  # it is back by itself
        assert cut.process.poll() is None
