"""Log lines: one a record, with the job and without secrets."""

import json
import logging
import sys

import pytest

from queued import logs


def record(message: str, *values: object, job: str | None = None, error: bool = False) -> logging.LogRecord:
    trace = None
    if error:
        try:
            raise ValueError("cannot connect to amqp://me:hunter2secret@host:5672/")
        except ValueError:
            trace = sys.exc_info()
    made = logging.LogRecord("queued.keeper", logging.WARNING, "file", 1, message, values, trace)
    if job is not None:
        made.job = job
    return made


def test_a_json_line_has_time_level_message_and_job() -> None:
    """A machine finds every line of one job by its id, and a traceback does not break the line."""
    line = logs.JsonFormatter().format(record("it took %d s", 5, job="abc", error=True))
    assert "\n" not in line
    said = json.loads(line)
    assert said["message"] == "it took 5 s"
    assert (said["level"], said["logger"], said["job"]) == ("warning", "queued.keeper", "abc")
    assert "ValueError" in said["error"]
    assert said["time"].endswith("+00:00")
    assert "job" not in json.loads(logs.JsonFormatter().format(record("nothing of a job")))
    named = json.loads(logs.JsonFormatter().format(record("job %s: attempt 1 failed", "0f" * 16)))
    assert named["job"] == "0f" * 16


def test_a_text_line_names_the_job_once() -> None:
    """The id stands in the line, whether the message has it or not, and not twice."""
    formatter = logs.TextFormatter()
    assert formatter.format(record("retried", job="abc")).endswith("WARNING retried job=abc")
    assert formatter.format(record("job abc retried", job="abc")).endswith("WARNING job abc retried")


def test_a_message_stays_in_its_line() -> None:
    """What came from outside can't forge a second line."""
    assert len(logs.TextFormatter().format(record("input %s", "a\n2026 INFO all is well")).splitlines()) == 1


@pytest.mark.parametrize("formatter", [logs.TextFormatter, logs.JsonFormatter])
@pytest.mark.parametrize(
    "text",
    [
        "no way to amqps://user:hunter2secret@host:5671/%2F",
        "no way to redis://:hunter2secret@host",
        "it sent Authorization: Bearer hunter2secret",
        "the token hunter2secret is wrong",
    ],
)
def test_no_secret_in_a_line(formatter: type[logs.TextFormatter | logs.JsonFormatter], text: str) -> None:
    """Passwords in addresses and bearer tokens go by their form, other secrets by their value."""
    line = formatter(frozenset({"hunter2secret"})).format(record("%s", text, error=True))
    assert "hunter2secret" not in line
    if "token" not in text:  # known by its form alone
        assert "hunter2secret" not in formatter().format(record("%s", text, error=True))
    assert "host" in line


def test_what_is_no_secret_is_left_alone() -> None:
    """Addresses without a password, and short values, stay readable."""
    text = "http://127.0.0.1:8000/jobs and user@host took 5 s"
    assert logs.without_secrets(text) == text
