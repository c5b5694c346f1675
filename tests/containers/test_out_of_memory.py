"""A system that takes more memory than its box has: what the published post's users met."""

from collections.abc import Callable

import pytest
from compose_project import Project, ask, awaited

pytestmark = pytest.mark.docker


def test_a_system_that_was_killed_for_want_of_memory_comes_back(project: Callable[..., Project]) -> None:
    """The job in hand is lost, and its user told so by a 502; the next is done, without anybody's help."""
    blocking = project("blocking", TASK="memory", BLOCKING_MEMORY="160m")
    url = f"{blocking.address('blocking-gateway')}/run"
    (server,) = blocking.containers("blocking")
    assert ask(url, {"input": {"mb": 400, "seconds": 0.1}})[0] == 502
    awaited(lambda: server.inspect()["RestartCount"] or None, "restart")
    awaited(lambda: True if ask(url, {"input": {"mb": 8, "seconds": 0.1}})[0] == 200 else None, "next job")
