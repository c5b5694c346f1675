"""What must hold of which system under which load: `queued@0.5C: p95<2s, timeouts<1%`. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bench.objective import Objective, parse_objectives
from bench.plan import Trial
from bench.units import parse_rate

EXAMPLE = "queued@0.5C: p95<2s, timeouts<1%"

_SELECTOR = re.compile(r"([^@*×\s]*)\s*(?:[*×]\s*(\d+))?\s*(?:@\s*(\S+))?")


@dataclass(frozen=True)
class Slo:
    """Objectives, and the trials that they are meant for: what is None is left open."""

    system: str | None
    workers: int | None
    load: str | None
    """As trials are labelled: `0.5C`, `4/s`, `burst20`, `closed6`."""
    objectives: tuple[Objective, ...]
    text: str
    """As it was written."""

    @property
    def named(self) -> bool:
        """Whether system and load are both named: then they must have the figure."""
        return self.system is not None and self.load is not None

    def chooses(self, trial: Trial) -> bool:
        """Whether it is meant for this trial."""
        return (
            self.system in (None, trial.system.name)
            and self.workers in (None, trial.system.workers)
            and self.load in (None, trial.load.label)
        )


def parse_slo(text: str) -> Slo:
    """Read `[SYSTEM][*WORKERS][@LOAD]: OBJECTIVES`; without a selector, the objectives alone.

    Raises ValueError with what would be right.
    """
    selector, colon, listed = text.rpartition(":")
    match = _SELECTOR.fullmatch(selector.strip())
    if match is None or (colon and not any(match.groups())):
        raise ValueError(f"{selector.strip()!r} names no system and load; write for example {EXAMPLE!r}")
    return Slo(
        system=match[1] or None,
        workers=int(match[2]) if match[2] else None,
        load=_label(match[3]) if match[3] else None,
        objectives=parse_objectives(listed),
        text=text.strip(),
    )


def misfit(slo: Slo, trials: Sequence[Trial]) -> str | None:
    """In one line, why it is meant for none of these trials; None where it fits."""
    if any(slo.chooses(t) for t in trials):
        return None
    systems = sorted({t.system.name for t in trials})
    if slo.system is not None and slo.system not in systems:
        return f"no system {slo.system} in this experiment; it has {', '.join(systems)}"
    ours = sorted(
        (t for t in trials if slo.system in (None, t.system.name)), key=lambda t: (t.load.rate, t.load.size)
    )
    loads = dict.fromkeys(t.load.label for t in ours)
    if slo.load is not None and slo.load not in loads:
        who = f"{slo.system} is not" if slo.system else "nothing is"
        return f"{who} run at {slo.load}; the loads are {', '.join(loads)}"
    counts = sorted({t.system.workers for t in ours if slo.load in (None, t.load.label)})
    return f"no trial has {slo.workers} workers there; it is run with {', '.join(map(str, counts))}"


def _label(load: str) -> str:
    """A load's label; `90/min` is labelled `1.5/s`."""
    try:
        return str(parse_rate(load))
    except ValueError:
        return load
