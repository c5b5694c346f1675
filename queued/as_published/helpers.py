"""The post's helpers: Redis for what is known of a request, RabbitMQ for what is to be done."""

import json
import uuid
from typing import Any

import pika
import redis

from queued.settings import Settings

REQUEST_ID = "X-Request-ID"


def new_request(store: redis.Redis, value: Any) -> str:
    """Note a new request as being processed; gives its random id."""
    request_id = uuid.uuid4().hex
    save(store, request_id, {"input": value, "status": "processing", "output": None})
    return request_id


def save(store: redis.Redis, request_id: str, record: dict[str, Any]) -> None:
    """Write what is known of a request, for ever."""
    store.set(request_id, json.dumps(record))


def load(store: redis.Redis, request_id: str) -> dict[str, Any] | None:
    """Read what is known of a request; None: nothing is."""
    text: Any = store.get(request_id)
    record: dict[str, Any] | None = None if text is None else json.loads(text)
    return record


def connect(settings: Settings) -> Any:
    """Open a connection to RabbitMQ."""
    parameters = pika.URLParameters(settings.broker_url)
    parameters.heartbeat = settings.heartbeat
    return pika.BlockingConnection(parameters)


def publish(settings: Settings, message: dict[str, Any], client_id: str | None) -> None:
    """Send one message, over a connection of its own."""
    connection = connect(settings)
    channel = connection.channel()
    channel.queue_declare(queue=settings.queue, durable=True)
    headers = {} if client_id is None else {REQUEST_ID: client_id}
    channel.basic_publish(
        exchange="",
        routing_key=settings.queue,
        body=json.dumps(message),
        properties=pika.BasicProperties(headers=headers),
    )
    connection.close()
