"""Which commands make up a system."""

from pathlib import Path

import pytest
from small_trial import small_trial

from bench.plan import System
from bench.stack.systems import (
    SYSTEMS,
    Settings,
    commands,
    consumers,
    executors,
    is_restarted,
    queue_name,
    uses_queue,
)


class NoBox:
    """Nothing to enter."""

    def enter_prefix(self) -> list[str]:
        return []


SETTINGS = Settings(
    web_port=1234,
    logs=Path("/run/logs"),
    journal=Path("/run/journal.jsonl"),
    cwd=Path("/home/me"),
    box=NoBox(),
    broker_url="amqp://u:p@h:1/",
    store_url="redis://h:2/0",
    queue="jobs-x",
    token="secret",
)


def test_the_built_in_systems() -> None:
    """These names stand in experiments and on the command line."""
    assert set(SYSTEMS) == {
        "blocking",
        "gunicorn",
        "bounded",
        "as-published",
        "as-published-restarted",
        "queued",
        "queued-api",
    }
    assert all(name == system.name for name, system in SYSTEMS.items())


@pytest.mark.parametrize(
    ("name", "workers", "roles", "runners", "at_queue"),
    [
        ("blocking", 4, ["web"], 1, 0),
        ("gunicorn", 4, ["web"], 4, 0),
        ("bounded", 4, ["web"], 4, 0),
        ("queued", 3, ["web", "worker", "worker", "worker"], 3, 3),
        ("as-published", 2, ["web", "worker", "worker"], 2, 2),
    ],
)
def test_processes_of_a_system(
    name: str, workers: int, roles: list[str], runners: int, at_queue: int
) -> None:
    """A queue's worker is a process of its own; gunicorn makes its processes itself."""
    trial = small_trial(name, workers=workers)
    made = commands(trial, SETTINGS)
    assert [command.role for command in made] == roles
    assert len({command.log for command in made}) == len(made)
    assert executors(trial.system) == runners
    assert consumers(trial.system) == at_queue
    assert uses_queue(trial) == (at_queue > 0)


def test_secrets_are_not_in_arguments() -> None:
    """Everybody on the machine can read another's arguments."""
    for command in commands(small_trial("queued-api"), SETTINGS):
        assert not any("secret" in word or "u:p@" in word for word in command.argv)
        assert command.env["QUEUED_TOKEN"] == "secret"
        assert command.env["QUEUED_RESULT_PATH"] == "api"


def test_only_workers_give_way() -> None:
    """Web, broker and store go first where a variant says so."""
    made = commands(small_trial("queued", worker_nice=10), SETTINGS)
    assert [(command.role, command.nice) for command in made] == [("web", 0), ("worker", 10), ("worker", 10)]


def test_who_is_brought_back() -> None:
    """Dead for good is a variant of the published queue only."""
    assert not is_restarted(SYSTEMS["as-published"])
    assert is_restarted(SYSTEMS["as-published-restarted"])
    assert is_restarted(SYSTEMS["queued"])
    assert is_restarted(System("b", "blocking", restart=False))


def test_each_deployment_has_a_queue_of_its_own() -> None:
    """What an earlier trial left can't reach this one."""
    assert queue_name(SYSTEMS["queued"], "a1") != queue_name(SYSTEMS["queued"], "a2")
    assert queue_name(SYSTEMS["as-published"], "a1").startswith("factorial")


def test_a_url_is_not_started_here() -> None:
    """Somebody else runs it."""
    with pytest.raises(ValueError, match="external"):
        commands(small_trial(System("url", "external", url="http://x")), SETTINGS)
