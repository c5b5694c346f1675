"""What a person may set, and what is said of wrong values."""

import dataclasses

import pytest

from queued.job import Priority
from queued.parse import Rate
from queued.settings import Settings, SettingsError, from_environment, settings_help, worker_settings

LEAST = {
    "QUEUED_BROKER_URL": "amqp://guest:guest@127.0.0.1:5672/%2F",
    "QUEUED_STORE_URL": "redis://127.0.0.1:6379/0",
    "QUEUED_TASK": "spin",
}


def test_the_least_that_is_needed_has_sensible_defaults() -> None:
    """Two addresses and a task are enough."""
    settings = from_environment(LEAST)
    assert settings == Settings(LEAST["QUEUED_BROKER_URL"], LEAST["QUEUED_STORE_URL"], "spin")
    assert (settings.result_ttl, settings.heartbeat, settings.queue) == (86_400, 60, "jobs")
    assert (settings.result_path, settings.token, settings.retry_after) == ("store", None, 1)


def test_every_setting_can_be_given() -> None:
    """What is in the environment is what is used; a heartbeat is rounded up to whole seconds."""
    settings = from_environment(
        {
            **LEAST,
            "QUEUED_TOKEN": "secret",
            "QUEUED_RESULT_PATH": "api",
            "QUEUED_API_URL": "https://web.example/base",
            "QUEUED_RESULT_TTL": "60",
            "QUEUED_HEARTBEAT": "4.5",
            "QUEUED_QUEUE": "slow jobs",
            "QUEUED_RETRY_AFTER": "0.125",
            "QUEUED_RETRY_AFTER_MOST": "9",
            "QUEUED_CONFIRM_TIMEOUT": "2",
            "QUEUED_MAX_BODY": "4096",
            "QUEUED_MAX_OUTPUT": "2MiB",
            "QUEUED_MAX_QUEUED": "50",
            "QUEUED_MAX_WAIT": "30",
            "QUEUED_LEASE": "3.5",
            "QUEUED_MAX_ATTEMPTS": "5",
            "QUEUED_MAX_LOSSES": "6",
            "QUEUED_RETRY_FIRST": "0.5",
            "QUEUED_RETRY_MOST": "8",
            "QUEUED_TIME_LIMIT": "600",
            "QUEUED_CONCURRENCY": "4",
            "QUEUED_SHORT": "1",
            "QUEUED_PREFETCH_SHORT": "16",
            "QUEUED_PRIORITIES": "yes",
            "QUEUED_API_KEYS": "ann:key-1, ann:key-2,bob:key-3",
            "QUEUED_RATE_LIMIT": "600/min",
            "QUEUED_WEBHOOK_HOSTS": "Hooks.example, 10.0.0.1:8080",
            "QUEUED_WEBHOOK_SECRET": "sign",
            "QUEUED_FETCHED_TTL": "10",
            "QUEUED_MAX_WAITERS": "20",
            "QUEUED_GATEWAY_TIMEOUT": "15",
            "QUEUED_CA_FILE": __file__,
            "QUEUED_GRACE": "12",
            "QUEUED_TRUSTED_PROXIES": "2",
            "QUEUED_METRICS_PORT": "9100",
            "QUEUED_LOG_FORMAT": "json",
        }
    )
    for field in dataclasses.fields(Settings):
        assert getattr(settings, field.name) != field.default, field.name
    assert settings == Settings(
        LEAST["QUEUED_BROKER_URL"],
        LEAST["QUEUED_STORE_URL"],
        "spin",
        token="secret",
        result_path="api",
        api_url="https://web.example/base",
        result_ttl=60,
        heartbeat=5,
        queue="slow jobs",
        retry_after=0.125,
        retry_after_most=9,
        confirm_timeout=2,
        max_body=4096,
        max_output=2 << 20,
        max_queued=50,
        max_wait=30,
        lease=3.5,
        max_attempts=5,
        max_losses=6,
        retry_first=0.5,
        retry_most=8,
        time_limit=600,
        concurrency=4,
        short=True,
        prefetch_short=16,
        priorities=True,
        api_keys=(("ann", "key-1"), ("ann", "key-2"), ("bob", "key-3")),
        rate_limit=Rate(600, 60.0),
        webhook_hosts=("hooks.example", "10.0.0.1:8080"),
        webhook_secret="sign",
        fetched_ttl=10,
        max_waiters=20,
        gateway_timeout=15,
        ca_file=__file__,
        grace=12,
        trusted_proxies=2,
        metrics_port=9100,
        log_format="json",
    )


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("BROKER_URL", "http://somewhere", "must look like amqp://host:port or amqps://host:port"),
        ("BROKER_URL", "amqp://", "must look like"),
        ("BROKER_URL", "amqp://host:99999", "is not a usable address"),
        ("STORE_URL", "localhost:6379", "must look like redis://host:port or rediss://host:port"),
        ("API_URL", "web:8000", "must look like http://host:port"),
        ("RESULT_PATH", "post", "must be api or store, not 'post'"),
        ("RESULT_TTL", "a day", "must be a number of seconds, not 'a day'"),
        ("RESULT_TTL", "0", "must be from 0.001 to"),
        ("RESULT_TTL", "nan", "must be from"),
        ("RESULT_TTL", "inf", "must be from"),
        ("HEARTBEAT", "0", "must be from 1 to 65,535 seconds, not 0"),
        ("HEARTBEAT", "1e9", "must be from 1 to"),
        ("RETRY_AFTER", "-1", "must be from 0 to"),
        ("CONFIRM_TIMEOUT", "0", "must be from 0.01 to"),
        ("QUEUE", "amq.mine", "must be a queue's name"),
        ("QUEUE", "q" * 256, "must be a queue's name"),
        ("TOKEN", ",", "names no token"),
        ("TOKEN", "one,two words", "must be printable ASCII"),
        ("TASK", ",", "names no task"),
        ("TASK", "spin, spin", "names a task twice"),
        ("MAX_BODY", "1 MB", "must be a size such as 4096, 512KiB or 64MiB, not '1 MB'"),
        ("MAX_OUTPUT", "1GiB", "must be from 1 to 268,435,456 bytes, not 1GiB"),
        ("MAX_QUEUED", "0", "must be from 1 to 100,000,000, not 0"),
        ("MAX_ATTEMPTS", "2.5", "must be a whole number, not '2.5'"),
        ("SHORT", "maybe", "must be 1 or 0, not 'maybe'"),
        ("API_KEYS", "ann", "must look like name:key,name:key"),
        ("API_KEYS", "ann:1,bob:1", "gives two names the same key"),
        ("RATE_LIMIT", "10 a second", "must look like 10/s"),
        ("RATE_LIMIT", "0/s", "must look like 10/s"),
        ("WEBHOOK_HOSTS", "hooks.example/path", "must be names of hosts"),
        ("CA_FILE", "/no/such/file.pem", "can't be read: No such file or directory"),
        ("LOG_FORMAT", "xml", "must be text or json, not 'xml'"),
        ("METRICS_PORT", "70000", "must be from 1 to 65,535, not 70000"),
        ("RETRY_MOST", "0.5", "must not be below QUEUED_RETRY_FIRST"),
        ("TOKEN", "schlüssel", "must be printable ASCII"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(name: str, value: str, says: str) -> None:
    """The message begins with the variable and says what it takes."""
    with pytest.raises(SettingsError) as caught:
        from_environment({**LEAST, f"QUEUED_{name}": value})
    assert str(caught.value).startswith(f"QUEUED_{name} ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_that_is_wrong_is_told_at_once() -> None:
    """Nobody has to run it three times to find three faults."""
    with pytest.raises(SettingsError) as caught:
        from_environment({"QUEUED_HEARTBEAT": "soon"})
    for name in ("BROKER_URL is not set", "STORE_URL is not set", "TASK is not set", "HEARTBEAT must"):
        assert f"QUEUED_{name}" in str(caught.value)


def test_what_does_not_go_together_is_told() -> None:
    """Each is right by itself."""
    with pytest.raises(SettingsError, match="QUEUED_WEBHOOK_SECRET is not set"):
        from_environment({**LEAST, "QUEUED_WEBHOOK_HOSTS": "hooks.example"})
    with pytest.raises(SettingsError, match="QUEUED_QUEUE and QUEUED_TASK together"):
        from_environment({**LEAST, "QUEUED_QUEUE": "q" * 251})


def test_queues_are_named_after_their_task() -> None:
    """One each; three with priorities, the most urgent first; and one for dead letters."""
    plain = Settings("amqp://x", "redis://x", "spin, work:function", queue="jobs")
    assert plain.tasks == ("spin", "work:function")
    assert plain.queues("work:function") == ("jobs.work:function",)
    assert plain.queue_of("spin", Priority.HIGH) == plain.queue_of("spin") == "jobs.spin"
    assert plain.dead_queue("spin") == "jobs.spin.dead"
    levels = dataclasses.replace(plain, priorities=True)
    assert levels.queues("spin") == ("jobs.spin.high", "jobs.spin", "jobs.spin.low")
    assert [levels.queue_of("spin", priority) for priority in Priority] == list(levels.queues("spin"))


def test_tokens_can_be_changed_without_a_pause() -> None:
    """Both are valid; a worker shows the first."""
    assert from_environment({**LEAST, "QUEUED_TOKEN": "new, old"}).tokens == ("new", "old")
    assert from_environment(LEAST).tokens == ()


def test_the_help_names_every_setting_with_its_default() -> None:
    """One line each, from the same table that is read."""
    lines = settings_help()
    for field in dataclasses.fields(Settings):
        assert sum(f"QUEUED_{field.name.upper()} " in line for line in lines) == 1
    assert any("QUEUED_MAX_OUTPUT" in line and line.endswith("(64MiB)") for line in lines)
    assert any("QUEUED_LEASE" in line and line.endswith("(15)") for line in lines)
    assert not any("MISSING" in line or "None" in line for line in lines)


def test_settings_that_are_printed_hold_no_secret() -> None:
    """A stray log line or traceback gives nothing away."""
    secrets = {
        "QUEUED_BROKER_URL": "amqp://me:hunter1@host:5672",
        "QUEUED_STORE_URL": "redis://:hunter2@host:6379",
        "QUEUED_TOKEN": "hunter3",
        "QUEUED_API_KEYS": "ann:hunter4",
        "QUEUED_WEBHOOK_SECRET": "hunter5",
    }
    assert "hunter" not in repr(from_environment({**LEAST, **secrets}))


def test_no_password_in_a_message() -> None:
    """An address that is wrong is not shown, because it may hold a password."""
    with pytest.raises(SettingsError) as caught:
        from_environment({**LEAST, "QUEUED_BROKER_URL": "ampq://me:hunter2@host:5672"})
    assert "hunter2" not in str(caught.value)


def test_a_worker_needs_what_its_result_path_needs() -> None:
    """By the API: the web's address and a token, and no store; else the store."""
    by_api = {
        "QUEUED_BROKER_URL": LEAST["QUEUED_BROKER_URL"],
        "QUEUED_TASK": "spin",
        "QUEUED_RESULT_PATH": "api",
    }
    with pytest.raises(SettingsError, match="QUEUED_TOKEN is not set; QUEUED_API_URL is not set"):
        worker_settings(by_api)
    from_environment({**by_api, "QUEUED_STORE_URL": LEAST["QUEUED_STORE_URL"]}, "web")
    worker_settings({**by_api, "QUEUED_TOKEN": "secret", "QUEUED_API_URL": "http://web:8000"})
    with pytest.raises(SettingsError, match="QUEUED_STORE_URL is not set"):
        worker_settings({**LEAST, "QUEUED_STORE_URL": ""})
