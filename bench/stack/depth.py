"""How many jobs wait in a queue and how many consumers it has, asked over a connection that is kept."""

import contextlib
import threading
from typing import Any

import pika

from bench.stack import rabbitmq


class QueueDepth:
    """Cheap enough to be asked several times a second; safe to use from several threads."""

    def __init__(self, url: str, queue: str) -> None:
        self._url = url
        self._queue = queue
        self._lock = threading.Lock()
        self._connection: Any = None
        self._channel: Any = None
        self._closed = False

    def __call__(self) -> dict[str, int] | None:
        """Return `ready` and `consumers`; None when the queue or its broker is not there just now."""
        with self._lock:
            if self._closed:  # a sampler may ask once more while the system goes down
                return None
            try:
                if self._channel is None:
                    self._connection = rabbitmq.connect(self._url)
                    self._channel = self._connection.channel()
                told = self._channel.queue_declare(self._queue, passive=True).method
            except (pika.exceptions.AMQPError, OSError):
                self._drop()
                return None
            return {"ready": told.message_count, "consumers": told.consumer_count}

    def close(self) -> None:
        """Close the connection for good."""
        with self._lock:
            self._closed = True
            self._drop()

    def _drop(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(pika.exceptions.AMQPError, OSError):
                connection.close()
