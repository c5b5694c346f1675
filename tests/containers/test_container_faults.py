"""Containers die, hang and lose their network while jobs stream through: every accepted job is done, once.

One deployment of the harness's own for all strikes. The users and the audit are those of `bench chaos`.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest
from compose_project import awaited
from docker.models.containers import Container

from bench.chaos.audit import Least, audit
from bench.chaos.drive import Users
from bench.chaos.face import JobsFace
from bench.chaos.ground import trial_of
from bench.chaos.ledger import StrikeRow
from bench.chaos.stream import Mix, orders
from bench.chaos.work import TASK, given
from bench.journal import executions
from bench.plan import Box
from bench.stack.containers.deploy import ContainerDeployment, service_of
from bench.stack.containers.place import Place
from bench.stack.containers.runtime import Containers
from bench.stack.systems import SYSTEMS

pytestmark = [pytest.mark.docker, pytest.mark.slow]

HEARTBEAT = 2.0
"""Seconds between signs of life of a worker; a connection without two of them is dead."""
SHORT, LONG = 1.0, 6.0
"""Seconds that a hang or a cut lasts; the long one is noticed by the heartbeats."""
JOBS, SPAN = 16, 2.5
"""Jobs that stream through around a strike, and over how many seconds."""
MIX = Mix(keyless=0.0, fails=0.0, push=0.5, repeats=0.0, spend=(0.1, 0.3))
DRAIN = 100.0
"""Seconds within which all is done; RabbitMQ boots in some ten on a machine of its own."""
AGE = 10.0
"""Seconds that a queue has been there before its broker is struck. RabbitMQ 4.0 may forget, when it is killed
within two seconds or so of a quorum queue's declaration, that it has a member of it (`names.dets`): it then
begins a new one that never has a leader, and nobody can publish or consume until the queue is deleted."""
SERVICES = ("worker", "broker", "store", "web")


@dataclass(frozen=True)
class Struck:
    """The system that all of this happens to."""

    deployed: ContainerDeployment
    place: Place
    since: float
    """Monotonic time at which it was up."""
    seeds: Iterator[int]

    def container(self, service: str) -> Container:
        """Its first container, as it is now."""
        every = [*self.deployed.containers, *self.place.services]
        found = next(c for c in every if service_of(c) == service)
        found.reload()
        return found


@pytest.fixture(scope="module")
def system(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Struck]:
    folder = tmp_path_factory.mktemp("faults")
    queued = replace(SYSTEMS["queued"], workers=2, heartbeat=HEARTBEAT)
    trial = replace(trial_of(queued, task=TASK, probe=given(0, 0.01)), box=Box(1.5, 2**30))
    with Containers(folder) as runtime:
        place = runtime.place(trial.box)
        place.project.environment |= {"QUEUED_LEASE": "3", "QUEUED_RETRY_FIRST": "0.5"}
        with runtime.deployment(trial, folder=folder, journal=folder / "journal.jsonl") as deployed:
            yield Struck(deployed, place, time.monotonic(), count(1))


def streaming(system: Struck, tmp_path: Path, name: str, strike: Callable[[], None]) -> None:
    """Let jobs stream, strike once some are accepted, wait for the last, and hold the books together."""
    time.sleep(max(0.0, system.since + AGE - time.monotonic()))
    seed, began = next(system.seeds), time.time()
    jobs = orders(seed, JOBS, SPAN, MIX)
    users = Users(
        system.deployed.base_url,
        JobsFace(),
        jobs,
        tmp_path,
        seed=seed,
        span=SPAN,
        clock=lambda: time.time() - began,
    )
    users.start()
    try:
        awaited(lambda: True if users.counts().accepted >= 3 else None, "accepted jobs", DRAIN)
        struck = time.time()
        strike()
        over = time.time()
        awaited(
            lambda: True if users.counts().ended == JOBS else None, f"end of all jobs after {name}", DRAIN
        )
        users.close_books()
        awaited(lambda: True if users.closed else None, "last reading", DRAIN)
    finally:
        users.stop()
    merged = system.deployed.journal()
    journal = tmp_path / "journal.jsonl"
    journal.write_text(merged.text())
    ran = [e for e in executions(journal, merged.deaths, time.time()) if e["job"].startswith(f"{seed:x}-")]
    row = StrikeRow(0, name, name, name, "", planned=0.0, began=struck, ended=over)
    found = audit(users.rows, ran, [row], Least({}, {}, near=0.1))
    assert found.unmet == [], found
    assert (found.accepted, found.done, found.read_again) == (JOBS, JOBS, JOBS)
    assert {e["job"] for e in ran if e["ok"]} == {r.request for r in users.rows}
    awaited(lambda: at_rest(system), "empty queue with both workers at it", DRAIN)


def at_rest(system: Struck) -> bool | None:
    return True if system.deployed.queue_depth() == {"ready": 0, "consumers": 2} else None


def running(system: Struck, service: str) -> bool | None:
    return True if system.container(service).attrs["State"]["Running"] else None


@pytest.mark.parametrize("service", SERVICES)
def test_killed_by_hand_and_started_again(system: Struck, tmp_path: Path, service: str) -> None:
    def strike() -> None:
        container = system.container(service)
        container.kill()
        container.reload()
        assert container.attrs["State"]["Status"] == "exited"  # the engine leaves it so
        container.start()

    streaming(system, tmp_path, f"docker kill of the {service}", strike)


@pytest.mark.skipif(os.geteuid() != 0, reason="may not kill a container's process from outside")
@pytest.mark.parametrize("service", SERVICES)
def test_process_killed_and_brought_back(system: Struck, tmp_path: Path, service: str) -> None:
    if not system.place.engine.here:
        pytest.skip("the engine's processes are not this machine's")
    before = len(system.deployed.events())

    def strike() -> None:
        os.kill(system.container(service).attrs["State"]["Pid"], signal.SIGKILL)

    streaming(system, tmp_path, f"death of the {service}", strike)
    seen = [(e["event"], e["role"], e["detail"]) for e in system.deployed.events()[before:]]
    assert [row[:2] for row in seen] == [("died", service), ("restarted", service)]
    assert seen[0][2] == "SIGKILL"


@pytest.mark.parametrize(
    ("service", "seconds"),
    [("worker", SHORT), ("worker", LONG), ("broker", LONG), ("store", LONG), ("web", LONG)],
)
def test_paused(system: Struck, tmp_path: Path, service: str, seconds: float) -> None:
    def strike() -> None:
        container = system.container(service)
        container.pause()
        time.sleep(seconds)
        container.unpause()

    streaming(system, tmp_path, f"hang of the {service}", strike)


@pytest.mark.parametrize("service", SERVICES)
def test_cut_off_the_network(system: Struck, tmp_path: Path, service: str) -> None:
    def strike() -> None:
        container = system.container(service)
        (network,) = system.place.engine.client.networks.list(names=[f"{system.place.project.name}_default"])
        network.disconnect(container)
        time.sleep(LONG)
        network.connect(container, aliases=[service])

    streaming(system, tmp_path, f"cut of the {service}", strike)


def test_in_the_end_no_message_is_left_anywhere(system: Struck) -> None:
    # A message that was published twice may be with a worker still, which finds its job done.
    words = ["rabbitmqctl", "-q", "--no-table-headers", "list_queues", "name", "messages"]

    def emptied() -> dict[str, str] | None:
        told = system.container("broker").exec_run(words).output.decode()
        queues = dict(line.split("\t") for line in told.splitlines() if "\t" in line)
        return queues if queues and set(queues.values()) == {"0"} else None

    assert any("bench.chaos.work:run" in name for name in awaited(emptied, "broker without messages"))
