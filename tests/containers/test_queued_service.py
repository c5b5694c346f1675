"""The queued service of `docker compose up --wait`: it works, is contained, and outlives its parts."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any
from urllib.request import urlopen

import pytest
from compose_project import IN_BOX, Container, Project, ask, awaited, docker

pytestmark = pytest.mark.docker

GRACE = 4
"""Seconds that a worker may go on with the job in hand."""
JOB = 2.0
"""Seconds of a job that is done within the grace."""
GUEST = """
import pika
try:
    pika.BlockingConnection(pika.URLParameters("amqp://guest:guest@broker:5672/%2F"))
except pika.exceptions.ProbableAuthenticationError:
    print("refused")
"""


@pytest.fixture(scope="module")
def queued(project: Callable[..., Project]) -> Project:
    """The service with jobs that sleep."""
    grace = {"QUEUED_GRACE": str(GRACE), "STOP_GRACE": f"{GRACE + 6}s"}
    return project("queued", TASK="sleep", QUEUED_LEASE="3", **grace)


@pytest.fixture(scope="module")
def gateway(queued: Project) -> str:
    """Its address."""
    return queued.address("gateway")


def submit(gateway: str, seconds: float) -> str:
    """Submit a job; returns its id."""
    status, body = ask(f"{gateway}/jobs", {"input": seconds})
    assert status == 202, body
    return str(body["id"])


def record(gateway: str, id: str) -> dict[str, Any]:
    """What the service says of a job."""
    status, body = ask(f"{gateway}/jobs/{id}")
    assert status == 200, body
    return dict(body)


def await_state(gateway: str, id: str, *states: str) -> dict[str, Any]:
    """Wait until a job is in one of these states; returns its record."""

    def look() -> dict[str, Any] | None:
        found = record(gateway, id)
        return found if found["state"] in states else None

    return awaited(look, f"job that is {' or '.join(states)}")


def consumers(queued: Project) -> int:
    """How many consumers the broker counts."""
    status = json.loads(
        queued.execute("web", "python", "-m", "queued", "status", "--json", "--interval", "0.1")
    )
    return int(status["queues"][0]["consumers"])


def await_consumers(queued: Project, number: int) -> None:
    """Wait until the broker counts as many."""
    awaited(lambda: True if consumers(queued) == number else None, f"{number} consumers")


@contextmanager
def watched(gateway: str) -> Iterator[list[int]]:
    """Ask again and again meanwhile; gives the statuses that came."""
    came: list[int] = []
    over = Event()

    def watch() -> None:
        while not over.wait(0.02):
            came.append(ask(f"{gateway}/healthz")[0])

    thread = Thread(target=watch)
    thread.start()
    try:
        yield came
    finally:
        over.set()
        thread.join()


# --- it works ---


def test_a_job_goes_through_the_gateway(gateway: str) -> None:
    """Submitted, done, its result fetched; and by the long-poll in one request."""
    done = await_state(gateway, submit(gateway, 0.1), "done")
    status, body = ask(f"{gateway}/jobs/{done['id']}/result")
    assert status == 200
    assert body["output"]["seconds"] >= 0.1
    status, body = ask(f"{gateway}/jobs", {"input": 0.1}, {"Prefer": "wait=20"})
    assert status == 200
    assert body["output"]["seconds"] >= 0.1


def test_events_come_through_the_gateway_as_they_happen(gateway: str) -> None:
    """The stream is not held back until it is whole: its start is there while the job sleeps."""
    id = submit(gateway, JOB)
    with urlopen(f"{gateway}/jobs/{id}/events", timeout=10) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        assert stream.readline()
        assert record(gateway, id)["state"] != "done"
    await_state(gateway, id, "done")


# --- it is contained ---


def test_no_container_may_do_more_than_it_must(queued: Project) -> None:
    """No process of root's, no capability, no way to more; nothing of the file system can be written."""
    for container in queued.containers():
        name = container.service
        host = container.inspect()["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert not host["CapAdd"], name
        assert not host["Privileged"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        processes = container.execute("sh", "-c", "cat /proc/[0-9]*/status")
        lines = [line.split() for line in processes.splitlines()]
        users = {word for line in lines if line[0] in ("Uid:", "Gid:") for word in line[1:]}
        assert users
        assert "0" not in users, name
        assert {int(line[1], 16) for line in lines if line[0] in ("CapEff:", "CapPrm:", "CapBnd:")} == {0}, (
            name
        )
        assert {line[1] for line in lines if line[0] == "NoNewPrivs:"} == {"1"}, name
        said = container.execute(
            "sh", "-c", "for d in / /etc /app /usr/bin; do touch $d/x; done", check=False
        )
        assert "Read-only file system" in said, name


def test_the_box_has_2_vcpu_and_2_gib(queued: Project) -> None:
    """All caps of the service together, with no swap beside them; as for every other system."""
    caps = [container.inspect()["HostConfig"] for container in queued.containers(*IN_BOX["queued"])]
    assert len(caps) == 5
    assert sum(cap["NanoCpus"] for cap in caps) == 2 * 10**9
    assert sum(cap["Memory"] for cap in caps) == 2 * 2**30
    assert all(cap["MemorySwap"] == cap["Memory"] for cap in caps)


def test_nothing_is_published_beyond_this_machine(queued: Project) -> None:
    """Gateway and the broker's page on loopback; AMQP, Redis and the web on no port of the host."""
    published = {}
    for container in queued.containers():
        for port, places in container.inspect()["NetworkSettings"]["Ports"].items():
            for place in places or ():
                assert place["HostIp"] == "127.0.0.1"
                published[container.service] = port
    assert published == {"gateway": "8080/tcp", "broker": "15672/tcp"}


def test_guest_is_not_let_in(queued: Project) -> None:
    """Neither by AMQP nor at the management page, where the service's own user is."""
    assert queued.execute("web", "python", "-c", GUEST).strip() == "refused"
    page = queued.address("broker", 15672)
    assert ask(f"{page}/api/whoami", headers=basic("guest", "guest"))[0] == 401
    assert ask(f"{page}/api/whoami", headers=basic("queuebench", "local-broker"))[0] == 200


def test_the_store_wants_its_password_and_shows_it_nowhere(queued: Project) -> None:
    """Who has none is refused; and the list of processes does not tell it."""
    (store,) = queued.containers("store")
    assert "NOAUTH" in docker("exec", "--env", "REDISCLI_AUTH=", store.id, "redis-cli", "ping", check=False)
    assert "local-store" not in docker("top", store.id)


def basic(user: str, password: str) -> dict[str, str]:
    """The header of HTTP's basic authentication."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


# --- it outlives its parts ---


def test_workers_that_are_stopped_lose_nothing(queued: Project, gateway: str) -> None:
    """A job that is done within the grace is finished; one that is not goes back, and is done by the next."""
    quick, slow = submit(gateway, JOB), submit(gateway, GRACE + JOB)
    for id in (quick, slow):
        await_state(gateway, id, "running")
    workers = queued.containers("worker")
    began = time.monotonic()
    queued.compose("stop", "worker")
    assert time.monotonic() - began < GRACE + 5
    assert [worker.state["ExitCode"] for worker in workers] == [0, 0]
    assert record(gateway, quick)["state"] == "done"
    assert record(gateway, slow)["state"] == "queued"
    queued.up()
    await_state(gateway, slow, "done")


def test_a_killed_worker_comes_back_and_its_job_is_done(queued: Project, gateway: str) -> None:
    """Killed as the kernel kills for want of memory."""
    id = submit(gateway, JOB)
    await_state(gateway, id, "running")
    workers = queued.containers("worker")
    for worker in workers:
        worker.kill_processes()
    await_state(gateway, id, "done")
    assert [worker.inspect()["RestartCount"] for worker in workers] == [1, 1]


def test_a_killed_web_comes_back_and_the_gateway_finds_it(queued: Project, gateway: str) -> None:
    """Meanwhile users see 502 and never a wrong answer; what was accepted is kept."""
    id = submit(gateway, JOB)
    (web,) = queued.containers("web")
    with watched(gateway) as came:
        web.kill_processes()
        awaited(lambda: True if 502 in came else None, "sign of the web's death")
        awaited(lambda: True if came[-1] == 200 else None, "web that came back")
    assert set(came) == {200, 502}
    await_state(gateway, id, "done")


def test_the_gateway_finds_a_web_at_another_address(queued: Project, gateway: str) -> None:
    """A container that comes back may have one; the gateway is not told."""
    (web,) = queued.containers("web")
    before = address_of(web)
    queued.compose("stop", "web")
    awaited(lambda: True if ask(f"{gateway}/healthz")[0] == 502 else None, "sign of the web's absence")
    image, network = web.inspect()["Config"]["Image"], f"{queued.name}_default"
    # takes the address that has become free, where the engine would give it to the web again
    other = docker("run", "-d", "--rm", "--init", "--network", network, "--entrypoint", "sleep", image, "300")
    try:
        queued.compose("start", "web")
        assert address_of(web) != before
        awaited(lambda: True if ask(f"{gateway}/healthz")[0] == 200 else None, "web that came back")
    finally:
        docker("rm", "--force", other.strip())


def address_of(container: Container) -> str:
    """Its address in the project's network."""
    (network,) = container.inspect()["NetworkSettings"]["Networks"].values()
    return str(network["IPAddress"])


def test_scaling_adds_consumers(queued: Project, gateway: str) -> None:
    """`--scale worker=3` and back."""
    queued.up("--scale", "worker=3")
    await_consumers(queued, 3)
    ids = [submit(gateway, JOB) for _ in range(3)]
    for id in ids:
        await_state(gateway, id, "running")
    queued.up("--scale", "worker=2")
    await_consumers(queued, 2)
    for id in ids:
        await_state(gateway, id, "done")


def test_what_was_accepted_outlives_the_whole_service(queued: Project, gateway: str) -> None:
    """`docker compose down` and `up`: the volumes keep what waits and what was done."""
    done = submit(gateway, 0.1)
    await_state(gateway, done, "done")
    queued.compose("stop", "worker")
    waiting = submit(gateway, 0.1)
    queued.compose("down")
    queued.up()
    gateway = queued.address("gateway")
    assert record(gateway, done)["state"] == "done"
    await_state(gateway, waiting, "done")


def test_down_leaves_nothing(queued: Project) -> None:
    """No container, no network, no volume; `down` at the end of the file finds nothing more to do."""
    assert queued.left()
    queued.down()
    assert queued.left() == []
