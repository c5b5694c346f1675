"""What a person may choose, from the environment; wrong values are all reported in one line.

The fields of `Settings` are the one table: what is read, how it is checked and what the help says of it.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from queued import parse
from queued.errors import QueuedError
from queued.job import Priority
from queued.parse import LogFormat, Rate, ResultPath

Part = Literal["web", "worker", "operator"]
"""What a process is: it decides which settings it can't do without."""

NEEDS: Mapping[Part, frozenset[str]] = {
    "web": frozenset({"broker_url", "store_url", "task"}),
    "worker": frozenset({"broker_url", "store_url", "task"}),
    "operator": frozenset({"broker_url", "store_url", "task"}),
}
NEEDS_BY_API = frozenset({"broker_url", "api_url", "token", "task"})
"""What a worker needs that tells the web, and not the store."""

JOURNAL_HELP = "file to which every execution appends a line at its start and end"


class SettingsError(QueuedError):
    """Settings are missing or wrong; the message is one line that names each of them, never a secret."""


def _about(read: Callable[[str], Any], text: str) -> dict[str, Any]:
    return {"read": read, "help": text}


@dataclass(frozen=True)
class Settings:
    """The settings of one process of the service, as QUEUED_<NAME>. Durations in seconds, sizes in bytes.

    What may hold a secret is left out of the `repr`.
    """

    broker_url: str = field(
        repr=False, metadata=_about(parse.url("amqp", "amqps"), "RabbitMQ: amqp://… or amqps://…")
    )
    store_url: str = field(
        repr=False, metadata=_about(parse.url("redis", "rediss"), "Redis: redis://… or rediss://…")
    )
    task: str = field(
        metadata=_about(
            parse.names,
            "factorial, spin, sleep, memory, caption, or package.module:function; the web: a comma list",
        )
    )
    token: str | None = field(
        default=None,
        repr=False,
        metadata=_about(
            parse.tokens,
            "lets workers deliver through the web; a comma list: each is valid, the first is shown;"
            " without it these routes are closed",
        ),
    )
    result_path: ResultPath = field(
        default="store",
        metadata=_about(
            parse.one_of("api", "store"), "how workers tell: store, straight into Redis; api, through the web"
        ),
    )
    api_url: str | None = field(
        default=None, metadata=_about(parse.url("http", "https"), "the web's address, for api")
    )
    result_ttl: float = field(
        default=86_400.0,
        metadata=_about(parse.seconds(0.001, 10 * 365 * 86_400), "seconds an ended job can be asked for"),
    )
    heartbeat: int = field(
        default=60,
        # rounded up, because AMQP knows whole seconds only
        metadata=_about(parse.whole_seconds(1, 65_535), "AMQP heartbeat in seconds"),
    )
    queue: str = field(
        default="jobs", metadata=_about(parse.queue, "what the names of the queues begin with")
    )
    retry_after: float = field(
        default=1.0,
        metadata=_about(parse.seconds(0, 86_400), "least seconds after which clients are told to ask again"),
    )
    retry_after_most: float = field(
        default=30.0,
        # estimates err: a client that was told to come in an hour may find its job long done
        metadata=_about(parse.seconds(0, 86_400), "most seconds, however long the expected wait"),
    )
    confirm_timeout: float = field(
        default=5.0,
        metadata=_about(parse.seconds(0.01, 3_600), "seconds a submission may wait for the broker's confirm"),
    )
    max_body: int = field(
        default=1 << 20, metadata=_about(parse.size(1 << 10, 256 << 20), "longest submission")
    )
    max_output: int = field(
        default=64 << 20, metadata=_about(parse.size(1, 256 << 20), "longest output, as JSON")
    )
    max_queued: int = field(
        default=100_000,
        metadata=_about(parse.count(1, 100_000_000), "most jobs that wait in one queue; more are refused"),
    )
    max_wait: float | None = field(
        default=None,
        metadata=_about(
            parse.seconds(0.001, 10 * 365 * 86_400),
            "longest expected wait in seconds; what would wait longer is refused",
        ),
    )
    lease: float = field(
        default=15.0,
        metadata=_about(
            parse.seconds(0.1, 86_400), "seconds after which a worker that is not heard of counts as lost"
        ),
    )
    max_attempts: int = field(
        default=3, metadata=_about(parse.count(1, 1_000), "how often a job may fail before it is given up")
    )
    max_losses: int = field(
        default=20,
        metadata=_about(parse.count(1, 100_000), "how many workers a job may lose before it is given up"),
    )
    retry_first: float = field(
        default=1.0,
        metadata=_about(parse.seconds(0, 86_400), "seconds before the second attempt; doubles each time"),
    )
    retry_most: float = field(
        default=60.0, metadata=_about(parse.seconds(0, 86_400), "most seconds between two attempts")
    )
    time_limit: float | None = field(
        default=None,
        metadata=_about(parse.seconds(0.001, 10 * 365 * 86_400), "seconds after which an attempt is killed"),
    )
    concurrency: int = field(
        default=1, metadata=_about(parse.count(1, 1_024), "jobs that one worker does at the same time")
    )
    short: bool = field(
        default=False,
        metadata=_about(parse.switch, "1: this task is quick, so a worker may hold many messages"),
    )
    prefetch_short: int = field(default=64, metadata=_about(parse.count(1, 10_000), "how many it holds then"))
    priorities: bool = field(
        default=False, metadata=_about(parse.switch, "1: queues for high and low priority beside the normal")
    )
    api_keys: tuple[tuple[str, str], ...] = field(
        default=(),
        repr=False,
        metadata=_about(
            parse.api_keys, "name:key,name:key: who may submit; a name may have two keys; unset: everybody"
        ),
    )
    rate_limit: Rate | None = field(
        default=None, metadata=_about(parse.rate, "submissions of one client, such as 10/s or 600/min")
    )
    webhook_hosts: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            parse.hosts, "host,*.host,host:8443,http://host: where webhooks may go; unset: nowhere"
        ),
    )
    webhook_secret: str | None = field(
        default=None,
        repr=False,
        metadata=_about(parse.secret, "signs webhooks; whsec_ and base64, or text; a comma list: each signs"),
    )
    fetched_ttl: float | None = field(
        default=None,
        metadata=_about(
            parse.seconds(0.001, 10 * 365 * 86_400),
            "seconds a result is kept once it was fetched; unset: as others",
        ),
    )
    max_waiters: int = field(
        default=1_000, metadata=_about(parse.count(1, 1_000_000), "most clients that wait by push")
    )
    gateway_timeout: float = field(
        default=60.0,
        metadata=_about(parse.seconds(0.1, 86_400), "seconds after which the gateway gives up"),
    )
    trusted_proxies: int = field(
        default=0,
        metadata=_about(
            parse.count(0, 10),
            "how many gateways before the web add to X-Forwarded-For",
        ),
    )
    ca_file: str | None = field(
        default=None,
        metadata=_about(parse.file, "PEM file of the authority behind amqps, rediss and https"),
    )
    grace: float = field(
        default=30.0,
        metadata=_about(parse.seconds(0, 86_400), "seconds a process has to end after SIGTERM"),
    )
    metrics_port: int | None = field(
        default=None,
        metadata=_about(parse.count(1, 65_535), "port of a worker's /metrics; unset: none"),
    )
    log_format: LogFormat = field(
        default="text", metadata=_about(parse.one_of("text", "json"), "text or json")
    )

    @property
    def tasks(self) -> tuple[str, ...]:
        """Every task, in order."""
        return parse.words(self.task)

    @property
    def tokens(self) -> tuple[str, ...]:
        """Every token that is valid; a worker shows the first."""
        return parse.words(self.token or "")

    def queue_of(self, task: str, priority: Priority = Priority.NORMAL) -> str:
        """Full name of the work queue; without priorities there is but one for each task."""
        level = "" if priority is Priority.NORMAL or not self.priorities else f".{priority}"
        return f"{self.queue}.{task}{level}"

    def queues(self, task: str) -> tuple[str, ...]:
        """Full names of the task's work queues, the most urgent first."""
        return tuple(dict.fromkeys(self.queue_of(task, priority) for priority in Priority))

    def dead_queue(self, task: str) -> str:
        """Full name of the queue of the task's dead letters."""
        return f"{self.queue}.{task}.dead"


def from_environment(
    environment: Mapping[str, str],
    part: Part = "web",
    *,
    needs: frozenset[str] | None = None,
    queue: str = "jobs",
) -> Settings:
    """Read the QUEUED_… variables; an empty one counts as not set.

    `needs` are the settings this process can't do without, where they are not its part's; `queue` is the
    default name of the queue. Raises SettingsError.
    """
    if needs is None:
        by_api = part == "worker" and environment.get("QUEUED_RESULT_PATH", "") == "api"
        needs = NEEDS_BY_API if by_api else NEEDS[part]
    values: dict[str, Any] = {"queue": queue}
    wrong: list[str] = []
    for setting in dataclasses.fields(Settings):
        name = f"QUEUED_{setting.name.upper()}"
        text = environment.get(name, "")
        if text:
            try:
                values[setting.name] = setting.metadata["read"](text)
            except ValueError as error:
                wrong.append(f"{name} {error}")
        elif setting.name in needs:
            wrong.append(f"{name} is not set")
        if setting.default is dataclasses.MISSING:
            values.setdefault(setting.name, "")
    settings = Settings(**values)
    if not wrong:
        wrong = [*_disagreements(settings)]
    if wrong:
        raise SettingsError("; ".join(wrong))
    return settings


def worker_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings of a worker: what it needs depends on its result path. Raises SettingsError."""
    return from_environment(environment, "worker")


def settings_help() -> list[str]:
    """Lines for `--help`: each variable, what it is, and its default."""
    about = [
        (f"QUEUED_{setting.name.upper()}", setting.metadata["help"] + _default(setting.default))
        for setting in dataclasses.fields(Settings)
    ]
    about.append(("QUEUEBENCH_JOURNAL", JOURNAL_HELP))
    width = max(len(name) for name, _ in about)
    return [f"  {name:{width}}  {text}" for name, text in about]


def _default(value: Any) -> str:
    match value:
        case None | () | dataclasses.MISSING | False:
            return ""
        case int() if value >= 1 << 20 and value % (1 << 20) == 0:
            return f" ({value >> 20}MiB)"
        case float():
            return f" ({value:g})" if value < 1e6 else f" ({value:.0f})"
    return f" ({value})"


def _disagreements(settings: Settings) -> list[str]:
    """What each setting allows for itself, but not together."""
    wrong = []
    names = [name for task in settings.tasks for name in (*settings.queues(task), settings.dead_queue(task))]
    if any(len(name.encode()) > parse.QUEUE_NAME for name in names):
        wrong.append(f"QUEUED_QUEUE and QUEUED_TASK together must have less than {parse.QUEUE_NAME} bytes")
    if settings.retry_most < settings.retry_first:
        wrong.append("QUEUED_RETRY_MOST must not be below QUEUED_RETRY_FIRST")
    if settings.webhook_hosts and settings.webhook_secret is None:
        wrong.append("QUEUED_WEBHOOK_SECRET is not set, and no webhook goes unsigned")
    return wrong
