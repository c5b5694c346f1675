"""What a finished run says of a system's jobs, as a plan needs it. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.across.theory import family
from bench.analysis.queueing.model import Model
from bench.analysis.trial.figures import Figures

PLANNED = ("queued", "gunicorn")
"""Kinds that have workers, and one queue before them."""


class NoDemandError(ValueError):
    """The run does not say what a plan needs; the message says why, and what would."""


@dataclass(frozen=True)
class Measured:
    """A system's jobs, as measured below its capacity."""

    model: Model
    """Of the worker count that was measured."""
    variation: float
    """Standard deviation over mean of what the jobs cost."""
    trials: tuple[Figures, ...]
    """The trials below capacity, by rising load: each with what theory expects of it."""

    @property
    def lowest(self) -> Figures:
        """The trial that the overhead was measured in."""
        return self.trials[0]


def measured(rows: Sequence[Figures], system: str) -> Measured:
    """What the run says of this system's jobs: of the first kind of work that was measured below capacity.

    Raises NoDemandError.
    """
    own = [f for f in rows if f.trial.system.name == system]
    if not own:
        names = sorted({f.trial.system.name for f in rows if f.trial.system.kind in PLANNED})
        there = f"; it has {', '.join(names)}" if names else ""
        raise NoDemandError(f"no trial of {system} in it{there}")
    kind = own[0].trial.system.kind
    if kind not in PLANNED:
        raise NoDemandError(f"{system} has no workers and no queue to plan for; choose queued or gunicorn")
    known = [(f, f.theory.model) for f in own if f.theory is not None]
    if not known:
        why = "no job of it was finished" if not any(f.ledger.delivered for f in own) else (
            "none of its trials is below capacity with jobs that found it idle"
        )  # fmt: skip
        raise NoDemandError(f"{system}: {why}; a plan is made from a calm trial, e.g. at 0.4C")
    first, model = known[0]
    trials = [f for f, _ in known if family(f.trial) == family(first.trial)]
    ordered = tuple(sorted(trials, key=lambda f: (f.trial.load.rate, f.trial.repeat)))
    spread = [f.variation for f in ordered if math.isfinite(f.variation)]
    return Measured(model, spread[0] if spread else 0.0, ordered)
