"""The other systems, each behind its gateway, whose limits are what its users see."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from compose_project import IN_BOX, Project, ask, awaited

pytestmark = pytest.mark.docker

LIMIT = 1.5
"""Seconds after which the gateways give up."""
CONNECTIONS = 3


@pytest.fixture(scope="module")
def systems(project: Callable[..., Project]) -> Project:
    """All of them in one project, with jobs that sleep."""
    return project(
        *("blocking", "blocking-gunicorn", "as-published"),
        TASK="sleep",
        GATEWAY_TIMEOUT_MS=f"{1000 * LIMIT:.0f}",
        CONNECTIONS=str(CONNECTIONS),
    )


@pytest.mark.parametrize("system", ["blocking", "gunicorn"])
def test_a_job_goes_through_the_gateway(systems: Project, system: str) -> None:
    """The request waits, and the answer has the result."""
    status, body = ask(f"{systems.address(f'{system}-gateway')}/run", {"input": 0.1})
    assert status == 200
    assert body["output"]["seconds"] >= 0.1


def test_a_job_goes_through_the_published_queue(systems: Project) -> None:
    """Submitted, then asked for until it is there."""
    gateway = systems.address("published-gateway")
    status, body = ask(f"{gateway}/factorial?no=0.1")
    assert (status, body["status"]) == (200, "processing")

    def look() -> str | None:
        _, found = ask(f"{gateway}/factorial/result?id={body['id']}")
        return str(found["output"]) if found["status"] == "done" else None

    assert awaited(look, "result")


@pytest.mark.parametrize("system", ["blocking", "gunicorn"])
def test_a_job_beyond_the_limit_is_a_504(systems: Project, system: str) -> None:
    """The gateway gives up on a request that waits longer."""
    assert ask(f"{systems.address(f'{system}-gateway')}/run", {"input": 2 * LIMIT})[0] == 504


def test_connections_beyond_the_limit_are_503(systems: Project) -> None:
    """Refused at once, so that those who were admitted are answered in time."""
    url = f"{systems.address('blocking-gateway')}/run"
    with ThreadPoolExecutor(4 * CONNECTIONS) as pool:
        came = list(pool.map(lambda _: ask(url, {"input": 1.0})[0], range(4 * CONNECTIONS)))
    assert sorted(came) == [200] * CONNECTIONS + [503] * 3 * CONNECTIONS


def test_the_gateway_tells_of_its_requests_inside_only(systems: Project) -> None:
    """nginx's own count, for the harness's probe, on a port that is not published."""
    (gateway,) = systems.containers("blocking-gateway")
    script = "exec 3<>/dev/tcp/127.0.0.1/8081; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
    assert "Active connections: " in gateway.execute("bash", "-c", script)
    assert not gateway.inspect()["NetworkSettings"]["Ports"].get("8081/tcp")


@pytest.mark.parametrize("profile", ["blocking", "blocking-gunicorn", "as-published"])
def test_each_box_has_2_vcpu_and_2_gib(systems: Project, profile: str) -> None:
    """The same box for every system, or comparing them would say nothing."""
    caps = [container.inspect()["HostConfig"] for container in systems.containers(*IN_BOX[profile])]
    assert sum(cap["NanoCpus"] for cap in caps) == 2 * 10**9
    assert sum(cap["Memory"] for cap in caps) == 2 * 2**30
    assert all(cap["MemorySwap"] == cap["Memory"] for cap in caps)


def test_a_published_consumer_that_dies_stays_dead(systems: Project) -> None:
    """As the post had it, whereas its web comes back."""
    (web,) = systems.containers("published-web")
    consumer = systems.containers("published-worker")[0]
    web.kill_processes()
    consumer.kill_processes()
    awaited(
        lambda: True if web.state["Status"] == "running" and web.inspect()["RestartCount"] else None, "web"
    )
    assert consumer.state["Status"] == "exited"
    assert consumer.inspect()["RestartCount"] == 0
