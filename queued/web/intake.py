"""The task as far as the web needs it: to check inputs."""

from collections.abc import Sequence
from typing import Any

from workloads import Task, load_task
from workloads.task import no_nominal


def load_for_web(name: str) -> Task:
    """Load the task's check. Raises UnknownTask.

    The user's own function takes any JSON, so it is not imported here: the web needs no copy of a model. That
    it can't be imported is for the worker to say, which does not start then.
    """
    if ":" not in name:
        return load_task(name)
    return Task(name, _run, _check, _verify, example=None, probe=None, holds_gil=None, nominal=no_nominal)


def load_all_for_web(names: Sequence[str]) -> dict[str, Task]:
    """Load the checks of several tasks, by their names and in order. Raises UnknownTask."""
    return {name: load_for_web(name) for name in names}


def _run(_input: Any) -> Any:
    raise AssertionError("the web runs no jobs")


def _check(value: Any) -> Any:
    return value


def _verify(_input: Any, _output: Any) -> None:
    raise AssertionError("the web verifies nothing")
