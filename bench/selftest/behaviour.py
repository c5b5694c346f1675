"""What a server of known behaviour does with its jobs. A leaf, shared with its process."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

Deed = Literal["serve", "slow", "wrong", "close", "503", "504", "lose", "twice"]
"""What becomes of one job: served; served after `slow` seconds; a wrong result; the connection closed without
an answer; 503 at once; 504 after the delay; 202 and never finished; executed a second time."""


@dataclass(frozen=True)
class Behaviour:
    """A server under test, known in advance. Durations in seconds."""

    face: Literal["run", "jobs"] = "run"
    """`POST /run`, or `POST /jobs` and polls (design, section 4)."""
    delay: float = 0.3
    """What a job takes, at least."""
    mean_extra: float = 0.0
    """Mean of an exponential time on top of it, drawn with `seed`; 0: every job takes the same."""
    seed: int = 1
    workers: int = 0
    """Jobs served at a time, first come first served; 0: all at once."""
    script: tuple[Deed, ...] = ("serve",)
    """The deeds of the first, second, … job; over again from the beginning after the last."""
    slow: float = 0.0
    stall_after: float = 0.0
    """How long after the first job everything in the server stands still."""
    stall: float = 0.0
    """For how long; 0: never."""

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Behaviour":
        """Invert `to_json`. Raises ValueError or TypeError for anything else."""
        data = json.loads(text)
        return Behaviour(**{**data, "script": tuple(data["script"])})
