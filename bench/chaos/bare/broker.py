"""How web and worker reach RabbitMQ, and what is known of a job in Redis."""

import contextlib
import json
import os
import threading
from dataclasses import dataclass
from typing import Any

import pika
import pika.exceptions
import redis

from bench.chaos.bare.measures import Measures

TIMEOUT = 2.0
"""Seconds for any answer of Redis, and for RabbitMQ's socket."""
BROKER_ERRORS = (pika.exceptions.AMQPError, OSError)
STORE_ERRORS = (redis.RedisError,)


@dataclass(frozen=True)
class Place:
    """Where the services are, by the environment that a deployment sets."""

    broker_url: str
    store_url: str
    queue: str
    heartbeat: int

    @staticmethod
    def from_environment() -> "Place":
        """Raises KeyError with the variable's name."""
        return Place(
            os.environ["QUEUED_BROKER_URL"],
            os.environ["QUEUED_STORE_URL"],
            os.environ["QUEUED_QUEUE"],
            int(float(os.environ.get("QUEUED_HEARTBEAT", "60"))),
        )


def connect(place: Place, *, heartbeat: int) -> Any:
    """Open a connection to RabbitMQ. Raises one of BROKER_ERRORS."""
    parameters = pika.URLParameters(place.broker_url)
    parameters.heartbeat = heartbeat
    parameters.socket_timeout = parameters.stack_timeout = TIMEOUT
    parameters.blocked_connection_timeout = TIMEOUT
    return pika.BlockingConnection(parameters)


def declare(channel: Any, place: Place, measures: Measures) -> None:
    """Make the queue as the measures want it."""
    channel.queue_declare(place.queue, durable=measures.persistent)


class Publisher:
    """One kept connection, made anew when it is lost. Safe to share between threads."""

    def __init__(self, place: Place, measures: Measures) -> None:
        self._place = place
        self._measures = measures
        self._lock = threading.Lock()
        self._connection: Any = None
        self._channel: Any = None

    def publish(self, body: bytes) -> None:
        """Send one message; with confirms, wait for the broker's word. Raises one of BROKER_ERRORS."""
        with self._lock:
            try:
                if self._channel is None:
                    # No heartbeat: between two requests nobody would serve it.
                    self._connection = connect(self._place, heartbeat=0)
                    self._channel = self._connection.channel()
                    declare(self._channel, self._place, self._measures)
                    if self._measures.confirms:
                        self._channel.confirm_delivery()
                mode = 2 if self._measures.persistent else 1
                self._channel.basic_publish(
                    "", self._place.queue, body, pika.BasicProperties(delivery_mode=mode)
                )
            except BROKER_ERRORS:
                connection, self._connection, self._channel = self._connection, None, None
                if connection is not None:
                    with contextlib.suppress(*BROKER_ERRORS):
                        connection.close()
                raise


class Records:
    """What is known of each job: one key each, for ever."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)

    def write(self, job: str, state: str, output: Any = None) -> None:
        """Raises one of STORE_ERRORS."""
        self._redis.set(f"bare:{job}", json.dumps({"id": job, "state": state, "output": output}))

    def read(self, job: str) -> dict[str, Any] | None:
        """None: there is no such job. Raises one of STORE_ERRORS."""
        text: Any = self._redis.get(f"bare:{job}")
        record: dict[str, Any] | None = None if text is None else json.loads(text)
        return record
