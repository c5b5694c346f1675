"""The broker's own troubles: its alarms, a full queue, others' queues, TLS; on a node of these tests."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pika
import pytest
import trustme
from queued_system import QueueSystem, eventually, free_port

from bench.stack import rabbitmq
from bench.stack.installed import required
from bench.stack.ports import accepts
from bench.stack.workspace import Workspace
from queued.broker import BrokerError, NotConfirmed, Publisher
from queued.job import Job, new_id
from queued.settings import Settings
from queued.store import Admission, NewJob

pytestmark = pytest.mark.integration

TLS = """\
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {ca}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
"""


@dataclass(frozen=True)
class Node:
    """A broker that these tests may trouble, and its authority."""

    broker: rabbitmq.Broker
    tls_port: int
    ca: Path

    @property
    def tls_url(self) -> str:
        """The same over TLS."""
        url = self.broker.url.replace("amqp://", "amqps://")
        return url.replace(f":{self.broker.port}/", f":{self.tls_port}/")

    def control(self, *words: str) -> None:
        """Run rabbitmqctl on the node."""
        command = self.broker.processes[0].command
        program = required("RabbitMQ").path.with_name("rabbitmqctl")
        # its node's environment, but for what makes the start script become the node
        env = {
            name: value
            for name, value in command.env.items()
            if name not in ("detached", "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS")
        }
        done = subprocess.run(
            [program, "-q", "-n", command.env["RABBITMQ_NODENAME"], *words],
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", **env},
            check=False,
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, _kept: list[Workspace]) -> Iterator[Node]:
    """One for the module: booting takes seconds."""
    folder = tmp_path_factory.mktemp("node")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    port = free_port()
    files = {name: folder / f"{name}.pem" for name in ("ca", "certificate", "key")}
    with Workspace() as workspace:
        _kept.append(workspace)
        broker = rabbitmq.start(workspace, folder, extra_config=TLS.format(port=port, **files))
        eventually(lambda: accepts(port), "the node listens for TLS")
        yield Node(broker, port, folder / "ca.pem")
        _kept.remove(workspace)


@pytest.fixture
def system(system: QueueSystem, node: Node) -> QueueSystem:
    """On that node."""
    return replace(system, broker_url=node.broker.url)


@pytest.fixture
def stopping(system: QueueSystem) -> Iterator[None]:
    """End what the test started before its node is used by the next."""
    yield
    system.stop()


def settings(system: QueueSystem) -> Settings:
    return Settings(system.broker_url, "redis://nowhere:1", "sleep", queue=system.queue)


@pytest.fixture
def publish(system: QueueSystem) -> Iterator[Publisher]:
    """A publisher that records nothing."""

    def create(submissions: object) -> list[Admission]:
        assert isinstance(submissions, list)
        return [Admission(True, new.job.id, False, False, None, 0) for new in submissions]

    publisher = Publisher(settings(system), create)
    publisher.start()
    eventually(lambda: publisher.connected, "the publisher is connected")
    yield publisher
    publisher.stop()
    system.stop()


def new_job(system: QueueSystem) -> Job:
    return Job(new_id(), "sleep", 0.001, time.time(), queue=system.work_queue)


def outcome(publisher: Publisher, system: QueueSystem) -> str:
    """What becomes of a submission, in words."""
    try:
        publisher.submit(NewJob(new_job(system))).wait(5)
    except NotConfirmed as error:
        return str(error)
    return "confirmed"


def test_an_alarm_refuses_at_once_and_passes(system: QueueSystem, node: Node, publish: Publisher) -> None:
    """Short of disk, the broker takes nothing: submitters hear why at once; when it is over, all goes on."""
    assert outcome(publish, system) == "confirmed"
    node.control("set_disk_free_limit", "900000GB")
    try:
        eventually(lambda: "short of memory or disk" in outcome(publish, system), "submissions are refused")
        began = time.monotonic()
        for _ in range(20):
            assert "short of memory or disk" in outcome(publish, system)
        assert time.monotonic() - began < 5  # twenty would have waited for 100 s
        assert publish.blocked is not None
        assert publish.publish_again([new_job(system)], timeout=5) == []
    finally:
        node.control("set_disk_free_limit", "50MB")
    eventually(lambda: outcome(publish, system) == "confirmed", "submissions are taken again")
    assert publish.blocked is None


def test_a_full_queue_refuses(system: QueueSystem, node: Node, publish: Publisher) -> None:
    """An operator's limit on the length: the newest is refused and told, and nothing accepted goes."""
    node.control("set_policy", "short", f"^{system.work_queue}$", '{"max-length":3}', "--apply-to", "queues")
    try:
        eventually(lambda: "its queue is full" in outcome(publish, system), "submissions are refused")
        waiting = system.messages()
        assert waiting >= 3
        assert "its queue is full" in outcome(publish, system)
        assert system.messages() == waiting
        with pika.BlockingConnection(pika.URLParameters(system.broker_url)) as connection:
            connection.channel().queue_purge(system.work_queue)
    finally:
        node.control("clear_policy", "short")
    eventually(lambda: outcome(publish, system) == "confirmed", "submissions are taken again")


def test_jobs_are_published_again_and_counted(system: QueueSystem, publish: Publisher) -> None:
    """The keeper hears what was confirmed, and how many wait; a queue that is not there is an error."""
    jobs = [new_job(system) for _ in range(3)]
    assert publish.publish_again(jobs, timeout=5) == jobs
    assert publish.depth(system.work_queue) == (3, 0)
    with pytest.raises(BrokerError, match="no-such-queue"):
        publish.depth("no-such-queue")
    assert publish.depth(system.work_queue) == (3, 0)
    assert outcome(publish, system) == "confirmed"


@pytest.mark.usefixtures("stopping")
def test_a_queue_of_another_kind_is_told_in_one_line(system: QueueSystem) -> None:
    """Somebody's queue of that name, declared otherwise: the log says which and what to do, and no secret."""
    with pika.BlockingConnection(pika.URLParameters(system.broker_url)) as connection:
        connection.channel().queue_declare(system.work_queue, durable=True)
    worker = system.start("worker")
    eventually(lambda: "exists already" in worker.said, "it is said", lambda: worker.said)
    (line,) = [line for line in worker.said.splitlines() if "exists already" in line][:1]
    assert system.work_queue in line
    assert "QUEUED_QUEUE" in line
    assert "Traceback" not in worker.said
    assert pika.URLParameters(system.broker_url).credentials.password not in worker.said
    rabbitmq.delete_queues(system.broker_url, [system.work_queue])
    eventually(lambda: "is connected" in worker.said, "it is connected", lambda: worker.said)


@pytest.mark.usefixtures("stopping")
def test_tls_with_an_authority_of_ones_own(system: QueueSystem, node: Node) -> None:
    """amqps works with the authority's file, and is refused without: nobody is trusted by default."""
    system.broker_url = node.tls_url
    secure = {"QUEUED_CA_FILE": str(node.ca)}
    system.web(**secure)
    system.worker(**secure)
    system.wait_for(system.submit(0.001))
    stranger = system.start("worker")
    eventually(lambda: "certificate verify failed" in stranger.said, "it is refused", lambda: stranger.said)
    assert "is connected" not in stranger.said
    system.broker_url = node.broker.url  # to delete its queues
