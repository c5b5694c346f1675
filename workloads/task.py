"""What a task is, and the three ways in which one can be wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class WorkloadError(Exception):
    """Root of this package's errors; the message is always one clear line for a person."""


class UnknownTask(WorkloadError):
    """No such task: the name is not known, or the function it names can't be imported."""


class InvalidInput(WorkloadError):
    """The input is not one this task takes. Servers answer it with a 4xx and this message."""


class VerificationError(WorkloadError):
    """The output is not the right one for the input."""


@dataclass(frozen=True)
class Task:
    """One kind of job.

    The input that `check` returns is plain JSON again and `check` leaves it as it is, so it can be sent
    through a queue and checked once more on the other side. `run` and `verify` take an input before or
    after `check`.
    """

    name: str
    """As `load_task` was given it."""
    run: Callable[[Any], Any]
    """Does the job: input → output that JSON can carry. Raises InvalidInput, or whatever the work raises."""
    check: Callable[[Any], Any]
    """Input as it came → normalised input. Cheap. Raises InvalidInput."""
    verify: Callable[[Any, Any], None]
    """(input, output) → None. Never does the job again. Raises VerificationError."""
    example: Any
    """An input that works as it stands; None where only the user knows one."""
    probe: Any
    """The cheapest valid input, to prove that a system is ready; None: use the real input."""
    holds_gil: Callable[[Any], bool] | None
    """Whether threads of one process exclude one another on this input; None: unknown, to be measured."""
    nominal: Callable[[Any], float | None]
    """Service time in seconds where it is set by construction, else None."""


def reason(error: BaseException) -> str:
    """Say an exception in one line, `ValueError: the message`, at most 500 characters of message."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}".removesuffix(": ")


def no_nominal(value: Any) -> None:  # noqa: ARG001 - the signature of Task.nominal
    """Service time of a task where only measuring tells: None."""
    return
