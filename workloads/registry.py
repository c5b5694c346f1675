"""From a task's name to the task."""

from collections.abc import Callable
from importlib import import_module

from workloads.inputs import shown
from workloads.task import Task, UnknownTask

BUILT_IN = ("factorial", "spin", "sleep", "memory", "caption")
"""Names of the tasks that come with the package; each lives in the module of that name."""


def load_task(name: str) -> Task:
    """Load a built-in task, or the user's own function given as `package.module:function`.

    Functions are looked for in the current directory too. Raises UnknownTask with one line that names what
    failed.
    """
    if name in BUILT_IN:
        # Only the module asked for is imported: a worker that spins should not load Pillow for caption.
        build: Callable[[], Task] = import_module(f"workloads.{name}").task
        return build()
    if ":" in name:
        from workloads.function import task as function_task

        return function_task(name)
    raise UnknownTask(
        f"there is no task {shown(name)}: choose one of {', '.join(BUILT_IN)}, "
        "or name your own function as package.module:function"
    )
