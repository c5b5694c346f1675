"""What one job does: pure functions of a JSON input, with no web and no queue in them.

`load_task("factorial")`, or `load_task("package.module:function")` for a function of your own, gives a
`Task`.
Imports nothing of ours, so that every system under test can run the same work.
"""

from workloads.inputs import from_text, parse_json
from workloads.registry import BUILT_IN, load_task
from workloads.task import InvalidInput, Task, UnknownTask, VerificationError, WorkloadError, reason

__all__ = [
    "BUILT_IN",
    "InvalidInput",
    "Task",
    "UnknownTask",
    "VerificationError",
    "WorkloadError",
    "from_text",
    "load_task",
    "parse_json",
    "reason",
]
