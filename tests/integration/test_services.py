"""Private RabbitMQ and Redis."""

import pika
import pytest
import redis

from bench.stack.services import Services

pytestmark = pytest.mark.integration


def test_services_answer_and_are_cleared(
    services: Services, broker_url: str, store_url: str, queue: str
) -> None:
    """A builder gets a broker and a store that are empty again for whoever comes next."""
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True)
        channel.basic_publish("", queue, b"1")
    redis.Redis.from_url(store_url).set("key", "value")
    services.clear()
    assert redis.Redis.from_url(store_url).dbsize() == 0
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        channel = connection.channel()
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="no queue"):
            channel.queue_declare(queue, passive=True)
