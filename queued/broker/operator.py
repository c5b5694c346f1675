"""What a person at a command line asks of the broker: how deep the queues are, what the dead letters hold."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import pika
from pika.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelClosedByBroker,
    ConnectionBlockedTimeout,
    NackError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    UnroutableError,
)

from queued.broker.address import parameters
from queued.broker.errors import BrokerError, NotConfirmed
from queued.job import Job
from queued.settings import Settings

PATIENCE = 10.0
"""Seconds to wait for a connection or an answer; a person sits there."""
NOT_FOUND = 404
"""How AMQP says that there is no such queue."""


@dataclass(frozen=True)
class Letter:
    """One message that stands in a queue of dead letters."""

    body: bytes
    tag: int
    message_id: str | None
    died: float | None
    """Unix time in seconds; None: it was not the broker that put it there."""
    reason: str | None
    """The broker's word: `rejected`, `delivery_limit`, …"""
    source: str | None
    """The queue that it was in before."""


class Operator:
    """A connection for one command. A context manager; what was looked at and not dropped stays there."""

    def __init__(self, settings: Settings) -> None:
        """Connect. Raises BrokerError."""
        # pika logs tracebacks where one line says it all.
        logging.getLogger("pika").setLevel(logging.CRITICAL)
        made = parameters(settings, "operator")
        made.connection_attempts = 1
        for name in ("socket_timeout", "stack_timeout", "blocked_connection_timeout"):
            setattr(made, name, PATIENCE)
        with _told():
            self._connection = pika.BlockingConnection(made)
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection.is_open:
            with _told():
                self._connection.close()

    def depth(self, queue: str) -> tuple[int, int] | None:
        """Return how many messages wait in a queue and how many consumers it has; None: no such queue.

        Raises BrokerError.
        """
        with _told():
            channel = self._connection.channel()  # of its own: asking for what is not there closes it
            try:
                told = channel.queue_declare(queue, passive=True).method
            except ChannelClosedByBroker as error:
                if error.reply_code != NOT_FOUND:
                    raise
                return None
            channel.close()
            return told.message_count, told.consumer_count

    def letters(self, queue: str) -> Iterator[Letter]:
        """Give what stands in a queue now, one message after another. Raises BrokerError.

        None of them is acknowledged: the broker takes back what was not dropped when this connection ends, as
        it does when this process dies.
        """
        depth = self.depth(queue)
        # No more than that: what is retried may die again and come back while this goes on.
        for _ in range(depth[0] if depth else 0):
            with _told():
                method, properties, body = self._channel.basic_get(queue)
            if method is None:
                return
            yield _letter(method, properties, body)

    def drop(self, letter: Letter) -> None:
        """Remove a letter for good. Raises BrokerError."""
        with _told():
            self._channel.basic_ack(letter.tag)

    def publish(self, job: Job) -> None:
        """Put a job into its work queue; returns once that is confirmed. Raises BrokerError."""
        properties = pika.BasicProperties(
            content_type="application/json",
            delivery_mode=pika.DeliveryMode.Persistent.value,
            message_id=job.id,
            correlation_id=job.request_id,
        )
        with _told():
            self._channel.basic_publish("", job.queue, job.encode(), properties, mandatory=True)


def _letter(method: Any, properties: Any, body: bytes) -> Letter:
    deaths = (properties.headers or {}).get("x-death") or [{}]
    last = deaths[0] if isinstance(deaths, list) and isinstance(deaths[0], dict) else {}
    when = last.get("time")
    return Letter(
        body=body,
        tag=method.delivery_tag,
        message_id=properties.message_id,
        died=when.replace(tzinfo=UTC).timestamp() if isinstance(when, datetime) else None,
        reason=_text(last.get("reason")),
        source=_text(last.get("queue")),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


@contextmanager
def _told() -> Iterator[None]:
    """Turn pika's errors into ours; their texts can hold addresses."""
    try:
        yield
    except UnroutableError as error:
        raise NotConfirmed("the broker has no such work queue: no worker has declared it yet") from error
    except NackError as error:
        raise NotConfirmed("the broker refused it: its queue is full") from error
    except ConnectionBlockedTimeout as error:
        raise BrokerError("the broker takes no messages now: it is short of memory or disk") from error
    except ChannelClosedByBroker as error:
        raise BrokerError(f"the broker refuses: {error.reply_text}") from error
    except (AuthenticationError, ProbableAuthenticationError, ProbableAccessDeniedError) as error:
        raise BrokerError("the broker refuses the name, the password or the virtual host") from error
    except (AMQPError, OSError) as error:
        cause = next((arg for arg in error.args if isinstance(arg, OSError)), error)
        why = f": {cause.strerror}" if isinstance(cause, OSError) and cause.strerror else ""
        raise BrokerError(f"the broker can't be reached{why}") from error
