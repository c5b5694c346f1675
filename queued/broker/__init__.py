"""RabbitMQ: a publisher that waits for confirms and a consumer that acks by hand, each on a kept connection.

The only importer of pika here. Both live on an I/O thread of their own (`Link`), so that heartbeats are
answered whatever the rest of the process does, and both come back by themselves when the broker does.
"""

from queued.broker.consumer import Consumer, Delivery
from queued.broker.errors import BrokerError, NotConfirmed
from queued.broker.publisher import Publisher, Submission
from queued.broker.queues import DURABLE, declarations, work_queues

__all__ = [
    "DURABLE",
    "BrokerError",
    "Consumer",
    "Delivery",
    "NotConfirmed",
    "Publisher",
    "Submission",
    "declarations",
    "work_queues",
]
