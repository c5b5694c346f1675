"""Whether a trial may be believed: VALID, SATURATED or INVALID, with reasons and advice. Pure."""

from dataclasses import dataclass
from typing import Literal

Grade = Literal["VALID", "SATURATED", "INVALID"]
"""SATURATED: honestly measured, but not steady: its figures belong to its window. INVALID: the measurement
itself failed, and no verdict may rest on it."""


@dataclass(frozen=True)
class Reason:
    """One reason against a trial."""

    code: str
    """Short and stable, e.g. `send_delay`."""
    grade: Grade
    """What the trial is for this reason alone."""
    text: str
    """What was found, with its figures."""
    advice: str
    """What to do about it."""
    again: bool = False
    """Whether another attempt may well be free of it."""


@dataclass(frozen=True)
class Validity:
    """The gate's judgement of one trial."""

    reasons: tuple[Reason, ...] = ()

    @property
    def grade(self) -> Grade:
        """The gravest of the reasons' grades; VALID without any."""
        grades = {reason.grade for reason in self.reasons}
        return "INVALID" if "INVALID" in grades else "SATURATED" if "SATURATED" in grades else "VALID"

    @property
    def curable(self) -> bool:
        """Whether it is INVALID for reasons only of which another attempt may well be free."""
        against = [reason.again for reason in self.reasons if reason.grade == "INVALID"]
        return bool(against) and all(against)

    @property
    def believable(self) -> bool:
        """Whether verdicts may rest on it."""
        return self.grade != "INVALID"
