"""The queues of a task, and what each is declared with."""

from collections.abc import Iterable, Mapping
from typing import Any

from queued.settings import Settings

# Quorum queues, on RabbitMQ 3.10 as on 4.x: a confirm means fsynced, while a classic queue's no longer does
# from 4.0 on; and they need no other declaration the day that there are three nodes. They cost the broker
# 0.4 ms of CPU a job more than classic ones, and a fsync before the next delivery. Beware of two things.
# From 4.0 on they drop a message after 20 deliveries unless told otherwise, 3.10 refuses to be told "never",
# and no accepted job may vanish: hence a limit that is never met. And RabbitMQ 3.10 can't read a quorum queue
# again that was declared less than about a second before it was killed; an older one it keeps, with all that
# it confirmed.
DURABLE: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}


def work_queues(settings: Settings, tasks: Iterable[str]) -> dict[str, str]:
    """Return the work queues of these tasks, the most urgent first, each with its dead letters' queue."""
    return {queue: settings.dead_queue(task) for task in tasks for queue in settings.queues(task)}


def declarations(queues: Mapping[str, str]) -> list[tuple[str, dict[str, Any]]]:
    """Return name and arguments of what `work_queues` gave, in the order to declare.

    At-least-once: the broker keeps a rejected message in its work queue until the dead-letter queue has
    confirmed it. That needs reject-publish, which without a maximum length never rejects; an operator who
    sets a maximum by policy makes the publisher hear "full" instead of losing the oldest job.
    """
    return [(dead, DURABLE) for dead in dict.fromkeys(queues.values())] + [
        (
            queue,
            {
                **DURABLE,
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": dead,
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            },
        )
        for queue, dead in queues.items()
    ]
