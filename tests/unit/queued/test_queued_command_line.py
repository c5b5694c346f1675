"""The command line: what it takes and what it says of bad usage."""

import pytest

from queued import __main__ as command
from queued.operate.status import QueueStatus, Status, as_json, as_text
from queued.settings import SettingsError

LEAST = {
    "QUEUED_BROKER_URL": "amqp://me:hunter2@nowhere:1",
    "QUEUED_STORE_URL": "redis://:pass%40word@nowhere:1",
    "QUEUED_TASK": "sleep",
}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "PART"),
        ("wbe", "invalid choice: 'wbe'"),
        ("web --port none", "--port: must be a whole number"),
        ("web --port 99999", "--port: must be from 1 to 65,535"),
        ("status --interval 0", "--interval: must be from 0.1"),
        ("dead", "VERB"),
        ("dead show", "ID"),
        ("dead retry", "name what to retry, or --all"),
        ("dead purge --all abc", "name what to purge, or --all"),
        ("submit", "--batch"),
        ("submit --batch x --url http://me:hunter2@web", "--url: must hold no password"),
        ("submit --batch x --url web:80", "--url: must look like http://host:port"),
        ("submit --batch /no/such/file", "/no/such/file can't be read"),
        ("submit --batch x --priority urgent", "--priority"),
        ("worker --speed 5", "unrecognized arguments: --speed 5"),
    ],
)
def test_bad_usage_is_one_line_and_code_2(words: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It names what is wrong, and never a password."""
    try:
        code = command.main(words.split())
    except SystemExit as end:
        code = int(str(end.code))
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert len(said.err.splitlines()) == 1
    assert says in said.err
    assert "hunter2" not in said.err


def test_flags_of_a_worker_come_before_the_environment() -> None:
    """And a wrong one is called as it was written."""
    parse = command._parser().parse_args
    words = "--concurrency 3 --task spin --queue mine --short --time-limit 2.5 --metrics-port 9100"
    settings = command.with_flags({**LEAST, "QUEUED_CONCURRENCY": "7"}, parse(["worker", *words.split()]))
    assert (settings.concurrency, settings.task, settings.queue) == (3, "spin", "mine")
    assert (settings.short, settings.time_limit, settings.metrics_port) == (True, 2.5, 9100)
    assert command.with_flags({**LEAST, "QUEUED_SHORT": "1"}, parse(["worker"])).short
    with pytest.raises(SettingsError, match=r"^--time-limit must be a number of seconds, not 'soon'$"):
        command.with_flags(LEAST, parse(["worker", "--time-limit", "soon"]))


def test_every_setting_stands_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """The help is made of the settings' own table."""
    with pytest.raises(SystemExit):
        command.main(["--help"])
    said = capsys.readouterr().out
    for name in ("QUEUED_MAX_WAIT", "QUEUED_LEASE", "QUEUED_WEBHOOK_HOSTS", "QUEUEBENCH_JOURNAL"):
        assert name in said


def test_the_secrets_of_the_settings_are_known() -> None:
    """As they stand in an address and as they are meant."""
    more = {
        "QUEUED_TOKEN": "one-token,two-token",
        "QUEUED_API_KEYS": "me:my-key",
        "QUEUED_WEBHOOK_SECRET": "old-secret,new-secret",
    }
    settings = command.worker_settings({**LEAST, **more})
    found = set(command.secrets(settings))
    assert found == {
        "one-token",
        "two-token",
        "my-key",
        "old-secret",
        "new-secret",
        "hunter2",
        "pass%40word",
        "pass@word",
    }


def test_the_status_can_be_read_where_much_is_unknown() -> None:
    """A dash for what nobody knows."""
    queue = QueueStatus("jobs.sleep", 2, 1, None, None, None, None, None, None, None, None, {})
    status = Status(0.0, "ok", "the store can't be reached", [queue], {"sleep": 3})
    first, heading, row, last = as_text(status).splitlines()
    assert first == "broker ok, store the store can't be reached"
    assert len(row) == len(heading)
    assert row.split()[:4] == ["jobs.sleep", "2", "-", "-"]
    assert last == "dead letters: 3 of sleep"
    assert '"ready": 2' in as_json(status)
