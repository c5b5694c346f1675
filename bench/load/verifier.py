"""Checks results in the generator, without getting in the generator's way."""

import hashlib
from typing import Any

from bench.load import answers
from workloads import VerificationError, load_task

REMEMBERED = 4096
"""Bytes from which on an answer found right is recognised by its digest the next time: smaller ones are
checked faster than they are looked up, and vary more."""
MANY = 64
"""Digests remembered at most."""


class Verifier:
    """Says whether an answer carries the right result for one task and input.

    Everything runs in the greenlet of the job it belongs to and holds the others up meanwhile, so it is kept
    cheap: the first large answer is checked by the task, the same bytes again by their digest (for the post's
    711,273 digits 1 ms instead of 20 to 40).
    """

    def __init__(self, task: str, value: Any) -> None:
        """Raises UnknownTask, with one line for a person.

        A user's own function is not imported here: any JSON value is a right result of it, and its module may
        be heavy, or not stand gevent.
        """
        self._verify = None if ":" in task else load_task(task).verify
        self._input = value
        self._right: set[bytes] = set()

    def knows(self, body: bytes) -> bool:
        """Whether this very answer was found right before."""
        return len(body) >= REMEMBERED and hashlib.sha256(body).digest() in self._right

    def objection(self, body: bytes) -> str:
        """What is wrong with the result in `body`, a JSON object with an `output`; empty when nothing is."""
        if self.knows(body):
            return ""
        document = answers.parse(body)
        if not isinstance(document, dict) or "output" not in document:
            return "the answer is not a JSON object with an output"
        return self.objection_to(document["output"], body)

    def objection_to(self, output: Any, body: bytes) -> str:
        """Do the same for an answer that is parsed already."""
        if self._verify is not None:
            try:
                self._verify(self._input, output)
            except VerificationError as error:
                return str(error)
            except Exception as error:  # noqa: BLE001 - whatever a strange output does to a check, it is wrong
                return f"the result can't be checked: {type(error).__name__}: {error}"
        if len(body) >= REMEMBERED and len(self._right) < MANY:
            self._right.add(hashlib.sha256(body).digest())
        return ""
