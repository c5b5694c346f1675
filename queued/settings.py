"""What a person may choose, from the environment; wrong values are all reported in one line."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from queued.errors import QueuedError

T = TypeVar("T")
ResultPath = Literal["api", "store"]


class SettingsError(QueuedError):
    """Settings are missing or wrong; the message is one line that names each of them, never a secret."""


@dataclass(frozen=True)
class Settings:
    """The settings of one process of the service. Durations in seconds."""

    broker_url: str
    """QUEUED_BROKER_URL, `amqp://…` or `amqps://…`."""
    store_url: str
    """QUEUED_STORE_URL, `redis://…` or `rediss://…`."""
    task: str
    """QUEUED_TASK: a built-in task or `package.module:function`."""
    token: str | None = None
    """QUEUED_TOKEN: what a worker must show to the web's worker routes. None: these routes are closed."""
    result_path: ResultPath = "store"
    """QUEUED_RESULT_PATH: how a worker tells of its jobs, through the web or straight into the store."""
    api_url: str | None = None
    """QUEUED_API_URL: where a worker finds the web, for the result path `api`."""
    result_ttl: float = 86_400.0
    """QUEUED_RESULT_TTL: how long an ended job can be asked for."""
    heartbeat: int = 60
    """QUEUED_HEARTBEAT: AMQP heartbeat; rounded up, because AMQP knows whole seconds only."""
    queue: str = "jobs"
    """QUEUED_QUEUE."""
    retry_after: float = 1.0
    """QUEUED_RETRY_AFTER: when to ask again, as clients are told (in whole seconds, rounded down)."""
    confirm_timeout: float = 5.0
    """QUEUED_CONFIRM_TIMEOUT: how long a submission may wait for the broker's confirm."""


def from_environment(
    environment: Mapping[str, str],
    *,
    needs: frozenset[str] = frozenset({"broker_url", "store_url"}),
    queue: str = "jobs",
) -> Settings:
    """Read the QUEUED_… variables; an empty one counts as not set.

    `needs` are the addresses this process can't do without; `queue` is the default name of the queue. Raises
    SettingsError.
    """
    wrong: list[str] = []

    def read(field: str, parse: Callable[[str], T], default: T) -> T:
        name = f"QUEUED_{field.upper()}"
        text = environment.get(name, "")
        if not text:
            if field in needs or field == "task":
                wrong.append(f"{name} is not set")
            return default
        try:
            return parse(text)
        except ValueError as error:
            wrong.append(f"{name} {error}")
            return default

    settings = Settings(
        broker_url=read("broker_url", _url("amqp", "amqps"), ""),
        store_url=read("store_url", _url("redis", "rediss"), ""),
        task=read("task", str, ""),
        token=read("token", _token, None),
        result_path=read("result_path", _result_path, "store"),
        api_url=read("api_url", _url("http", "https"), None),
        result_ttl=read("result_ttl", _seconds(0.001, 10 * 365 * 86_400), 86_400.0),
        heartbeat=math.ceil(read("heartbeat", _seconds(1, 65_535), 60.0)),
        queue=read("queue", _queue, queue),
        retry_after=read("retry_after", _seconds(0, 86_400), 1.0),
        confirm_timeout=read("confirm_timeout", _seconds(0.01, 3_600), 5.0),
    )
    if wrong:
        raise SettingsError("; ".join(wrong))
    return settings


def worker_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings of a worker: what it needs depends on its result path. Raises SettingsError."""
    by_api = environment.get("QUEUED_RESULT_PATH", "") == "api"
    addresses = {"broker_url", "api_url", "token"} if by_api else {"broker_url", "store_url"}
    return from_environment(environment, needs=frozenset(addresses))


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        # The value is never shown: an address may hold a password.
        try:
            parts = urlsplit(text)
            usable = bool(parts.hostname) and parts.port != 0
        except ValueError:
            raise ValueError("is not a usable address") from None
        if parts.scheme not in schemes or not usable:
            raise ValueError(f"must look like {' or '.join(f'{scheme}://host:port' for scheme in schemes)}")
        return text

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"must be a number of seconds, not {text[:40]!r}") from None
        if not low <= value <= high:  # false for nan too
            raise ValueError(f"must be from {low:,g} to {high:,g} seconds, not {text[:40]}")
        return value

    return parse


def _result_path(text: str) -> ResultPath:
    match text:
        case "api" | "store":
            return text
    raise ValueError(f"must be api or store, not {text[:40]!r}")


def _queue(text: str) -> str:
    if len(text.encode()) > 255 or text.startswith("amq."):
        raise ValueError("must be a queue's name: at most 255 bytes, and not begin with amq.")
    return text


def _token(text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be printable ASCII without blanks, because it travels in a header")
    return text
