"""What a person may set, and what is said of wrong values."""

import pytest

from queued.settings import Settings, SettingsError, from_environment, worker_settings

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
            "QUEUED_CONFIRM_TIMEOUT": "2",
        }
    )
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
        confirm_timeout=2,
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
        ("TOKEN", "two words", "must be printable ASCII"),
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
    worker_settings({**by_api, "QUEUED_TOKEN": "secret", "QUEUED_API_URL": "http://web:8000"})
    with pytest.raises(SettingsError, match="QUEUED_STORE_URL is not set"):
        worker_settings({**LEAST, "QUEUED_STORE_URL": ""})
