"""Our messages between Locust's master and its workers: they travel as one type of Locust's own."""

from collections.abc import Callable
from typing import Any

PROTOCOL = 1
"""Of the messages and what they mean; master and workers must have the same."""
TYPE = "queuebench"
SILENCE = 6.0
"""Seconds without a word after which the other side counts as gone. Each speaks four times a second."""

Hear = Callable[[str, str, dict[str, Any]], None]
"""(worker's id, what, content)"""


class Wire:
    """One end. What is heard is handled at once and in order, so that instants can be taken there."""

    def __init__(self, runner: Any) -> None:
        """Take Locust's runner, which leaves its functions untyped."""
        self._runner = runner
        self._hear: Hear = lambda *_: None
        runner.register_message(TYPE, self._arrived)

    def listen(self, hear: Hear) -> None:
        """Hand everything that comes from now on to this function; it must not wait for another message."""
        self._hear = hear

    def say(self, what: str, to: str = "", **content: Any) -> None:
        """Send: from a worker to the master, from the master to the worker `to`."""
        self._runner.send_message(TYPE, {"what": what, **content}, to or None)

    def workers(self) -> list[str]:
        """Master: the workers that a test would have now, in the order in which they came."""
        clients, index = self._runner.clients, self._runner.get_worker_index
        return sorted((c.id for c in clients.ready + clients.spawning + clients.running), key=index)

    def _arrived(self, msg: Any, **_: Any) -> None:
        self._hear(msg.node_id, msg.data.pop("what"), msg.data)
