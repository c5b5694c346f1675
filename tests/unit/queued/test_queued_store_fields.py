"""How jobs look in Redis, and what its errors become; nothing is started."""

import dataclasses

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from queued.job import Job, new_id
from queued.settings import Settings
from queued.store import Store, StoreError, StoreFull, fields, scripts
from queued.store.errors import told

WORDS = st.none() | st.text(min_size=1)


@given(st.integers() | st.text(), WORDS, st.none() | st.floats(0, 4e9), WORDS, WORDS)
def test_a_job_survives_the_record(
    value: object, request_id: str | None, deadline: float | None, callback: str | None, owner: str | None
) -> None:
    """What is published again is what was submitted, whatever the input."""
    job = Job(new_id(), "task", value, 1.25, request_id, "jobs.task", deadline, callback, owner)
    flat = fields.of_job(job)
    assert tuple(flat[::2]) == fields.JOB
    stored = [str(part).encode() or None for part in (job.id, *flat[1::2])]
    assert fields.to_job(stored) == job


def test_idempotency_keys_of_two_owners_never_meet() -> None:
    """Nobody can find out, or get, what another has submitted."""
    names = {fields.hashed(owner, key) for owner in (None, "a", "b") for key in ("k", "b\0k", "")}
    assert len(names) == 9


def test_scripts_are_told_apart_by_what_they_may_do() -> None:
    """A full Redis must refuse new jobs and long results, and take all that empties it."""
    loaded = scripts.load()
    firsts = {name: script.text.splitlines()[0] for name, script in loaded.items()}
    assert firsts["create"] == firsts["finish"] == "#!lua"
    assert firsts["read"] == firsts["load"] == "#!lua flags=no-writes"
    for name in ("begin", "cancel", "delete", "fetched", "finish_small", "give_back", "renew", "requeued"):
        assert firsts[name] == "#!lua flags=allow-oom"
    assert len({script.sha for script in loaded.values()}) == len(loaded)


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (redis.TimeoutError("x"), StoreError, "the store did not answer within 2 s"),
        (redis.BusyLoadingError("x"), StoreError, "still loading"),
        (redis.AuthenticationError("x"), StoreError, "refuses the password"),
        (redis.ConnectionError("connecting to 10.0.0.5:6379"), StoreError, "^the store can't be reached$"),
        (redis.exceptions.OutOfMemoryError("x"), StoreFull, "the store is full"),
        (
            redis.ResponseError("OOM command not allowed when used memory > 'maxmemory'."),
            StoreFull,
            "the store is full",
        ),
        (redis.ResponseError("Error compiling script: '#'"), StoreError, "takes 7.0 or later"),
        (redis.ResponseError("MISCONF"), StoreError, "the store refuses: MISCONF"),
    ],
)
def test_what_redis_says_is_told_in_our_words(error: Exception, kind: type, says: str) -> None:
    """One line, without an address; being full is told apart."""
    with pytest.raises(kind, match=says) as caught, told(2.0):
        raise error
    assert type(caught.value) is kind


def test_an_address_that_makes_no_sense_is_told_without_it() -> None:
    """It may hold a password."""
    settings = Settings("amqp://x", "redis://:hunter2@host:6379", "t")
    for option in ("socket_timeout=soon", "timeout=5", "max_connections=1", "socket_timeuot=1"):
        wrong = dataclasses.replace(settings, store_url=f"{settings.store_url}?{option}")
        with pytest.raises(StoreError, match="an option that is not known") as caught:
            Store(wrong)
        assert "hunter2" not in repr(caught.value.__cause__)
    Store(dataclasses.replace(settings, store_url=f"{settings.store_url}?socket_timeout=1.5")).close()
    Store(dataclasses.replace(settings, store_url="rediss://:hunter2@host:6379/1")).close()
