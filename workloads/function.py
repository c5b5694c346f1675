"""`package.module:function`: the user's own function as a task, called with the input and nothing else."""

import importlib
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workloads.inputs import shown
from workloads.task import Task, UnknownTask, no_nominal, reason

NAME = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<function>[^\W\d]\w*(?:\.[^\W\d]\w*)*)")


def task(name: str) -> Task:
    """Import the function that `name` names and make it a task. Raises UnknownTask with what failed.

    The function takes any JSON input, and may raise `workloads.InvalidInput` to refuse one. Whether it holds
    the GIL, and how long it takes, is for calibration to find out; every output that JSON can carry is right.
    """
    match = NAME.fullmatch(name)
    if match is None:
        raise UnknownTask(f"{shown(name)} does not name a function: write it as package.module:function")
    return Task(
        name=name,
        run=_callable(name, _import(name, match["module"]), match["function"]),
        check=lambda value: value,
        verify=lambda _input, _output: None,
        example=None,
        probe=None,
        holds_gil=None,
        nominal=no_nominal,
    )


def _import(name: str, module: str) -> Any:
    # `python -m` looks into the current directory by itself; installed commands don't.
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever it does
        raise UnknownTask(f"task {name}: importing {module} failed: {reason(error)}") from error


def _callable(name: str, module: Any, path: str) -> Callable[[Any], Any]:
    found = module
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise UnknownTask(f"task {name}: {module.__name__} has no {path}") from None
    if not callable(found):
        raise UnknownTask(f"task {name}: {path} is no function but {type(found).__name__}")
    if inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found):
        raise UnknownTask(f"task {name}: {path} is async; give a plain function that returns its result")
    try:
        inspect.signature(found).bind(None)
    except TypeError as error:
        raise UnknownTask(f"task {name}: {path} must take one argument, the input: {reason(error)}") from None
    except ValueError:
        pass  # built in C and without a signature: calling it will tell
    function: Callable[[Any], Any] = found
    return function
