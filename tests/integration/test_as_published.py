"""The queue as the post published it: that it works, and how it fails."""

import json
import signal

import pika
import pytest
from queued_system import QueueSystem, eventually

pytestmark = pytest.mark.integration


@pytest.fixture
def system(system: QueueSystem) -> QueueSystem:
    """The published variant instead of ours."""
    system.package = "queued.as_published"
    return system


def submit(system: QueueSystem, value: object, **headers: str) -> str:
    """Submit as the post does; the id."""
    reply = system.ask("GET", f"/factorial?no={json.dumps(value)}".replace('"', "%22"), **headers)
    assert reply.status == 200, reply.body
    assert reply.json["status"] == "processing"
    request_id: str = reply.json["id"]
    return request_id


def status(system: QueueSystem, request_id: str) -> str:
    told: str = system.get(f"/factorial/result?id={request_id}").json["status"]
    return told


def wait_for(system: QueueSystem, request_id: str) -> None:
    eventually(lambda: status(system, request_id) == "done", "the result is there", system.logs)


def test_a_factorial_comes_back_as_a_json_number(system: QueueSystem) -> None:
    """Accepted with a random id, polled, and the output is a number of as many digits as it has."""
    system.task = "factorial"
    system.web()
    request_id = submit(system, 2000, X_Request_ID="one")
    assert system.get(f"/factorial/result?id={request_id}").json == {
        "input": 2000,
        "status": "processing",
        "output": None,
    }
    system.consumer()
    wait_for(system, request_id)
    told = system.get(f"/factorial/result?id={request_id}")
    assert len(told.json["output"]) == 5736
    assert f'"output":{told.json["output"]}' in told.body.decode()  # without quotes: a number
    assert system.journal("start") == system.journal("end") == ["one"]
    assert system.store().ttl(request_id) == -1  # for ever


def test_any_task_goes_through_the_same_route(system: QueueSystem) -> None:
    """The input of any task goes as `no`, its output comes as JSON; the journal has its id."""
    system.task = "work:wait_for"
    system.web()
    system.consumer()
    (system.folder / "now").touch()
    request_id = submit(system, str(system.folder / "now"))
    wait_for(system, request_id)
    assert system.get(f"/factorial/result?id={request_id}").json["output"] == "seen"
    assert system.journal("end") == [request_id]


def test_bad_input_is_refused(system: QueueSystem) -> None:
    """The input is checked before it is queued, and an unknown id is not found."""
    system.web()
    assert system.get("/factorial?no=-1").status == 400
    assert system.get("/factorial").status == 400
    assert system.get("/factorial/result?id=nobody").status == 404


def test_anybody_may_deliver_a_result(system: QueueSystem) -> None:
    """As published, the update route asks for no token: whoever knows the id writes the result."""
    system.web()
    request_id = submit(system, 0.01)
    forged = {"id": request_id, "status": "done", "output": 5}
    reply = system.ask("POST", "/factorial/update", forged, Content_Type="application/json")
    assert reply.status == 200
    assert system.get(f"/factorial/result?id={request_id}").json["output"] == 5


def test_without_a_prefetch_limit_one_consumer_takes_the_backlog(system: QueueSystem) -> None:
    """Backlog first, consumers after: the first one has it all, acknowledged, and the second has nothing."""
    system.task = "work:wait_for"
    system.web()
    requests = [submit(system, str(system.folder / "now")) for _ in range(4)]
    first = system.consumer()
    eventually(lambda: system.messages() == 0, "all messages are out", system.logs)
    system.consumer()
    eventually(lambda: len(system.journal("start")) == 1, "one job runs", system.logs)
    (system.folder / "now").touch()
    for request_id in requests:
        wait_for(system, request_id)
    lines = [json.loads(line) for line in system.journal_file.read_text().splitlines()]
    assert {line["pid"] for line in lines} == {first.process.pid}


def test_the_finding_a_backlog_longer_than_the_heartbeat_kills_the_consumer(system: QueueSystem) -> None:
    """It works its backlog off without touching the socket: the broker hangs up, what it was sent is lost.

    Accepted, and acknowledged on delivery: nobody runs these jobs, their status stays `processing` for ever.
    """
    system.more["QUEUED_HEARTBEAT"] = "1"
    system.web()
    consumer = system.consumer()
    backlog = [submit(system, 1.5) for _ in range(4)]
    eventually(lambda: len(system.journal("start")) == 2, "the backlog is in the consumer", system.logs)
    late = [submit(system, 0.001) for _ in range(2)]
    assert consumer.ended() == 1
    last = consumer.said.splitlines()[-1]
    assert "the consumer dies: StreamLostError" in last
    assert "Traceback" not in consumer.said
    assert [status(system, request_id) for request_id in backlog] == ["done"] * 4
    assert system.messages() == 0
    again = system.consumer()
    wait_for(system, submit(system, 0.001))
    assert [status(system, request_id) for request_id in late] == ["processing"] * 2
    assert again.process.poll() is None


def test_a_job_that_fails_kills_the_consumer(system: QueueSystem) -> None:
    """As published, an exception in the callback ends the consumer, and its job is lost."""
    system.task = "work:end"
    system.web()
    consumer = system.consumer()
    request_id = submit(system, "raise")
    assert consumer.ended() == 1
    assert "the consumer dies: ValueError: no such class" in consumer.said.splitlines()[-1]
    assert status(system, request_id) == "processing"
    assert system.messages() == 0


@pytest.mark.parametrize("part", ["web", "consumer"])
def test_both_end_cleanly(system: QueueSystem, part: str) -> None:
    """SIGTERM ends web and consumer with exit code 0."""
    running = {"web": system.web, "consumer": system.consumer}[part]()
    running.signal(signal.SIGTERM)
    assert running.ended() == 0
    assert "Traceback" not in running.said


@pytest.mark.parametrize(
    ("words", "settings", "says"),
    [
        (["consumer"], {"QUEUED_API_URL": ""}, "QUEUED_API_URL is not set"),
        (["consumer"], {"QUEUED_TASK": "fatcorial"}, "fatcorial"),
        (["web"], {"QUEUED_STORE_URL": ""}, "QUEUED_STORE_URL is not set"),
        (["web"], {"QUEUED_TASK": "fatcorial"}, "fatcorial"),
    ],
)
def test_what_cannot_run_says_so_in_one_line(
    system: QueueSystem, words: list[str], settings: dict[str, str], says: str
) -> None:
    """Wrong settings: exit code 2, one line that names what is wrong, no traceback."""
    running = system.start(*words, **settings)
    assert running.ended() == 2
    assert says in running.said
    assert len(running.said.splitlines()) == 1


def test_messages_are_not_persistent(system: QueueSystem) -> None:
    """The queue is durable but what is in it is not, as published."""
    system.web()
    submit(system, 0.01)
    with pika.BlockingConnection(pika.URLParameters(system.broker_url)) as connection:
        _, properties, body = connection.channel().basic_get(system.queue, auto_ack=True)
    assert json.loads(body)["no"] == {"seconds": 0.01}
    assert properties.delivery_mode is None
