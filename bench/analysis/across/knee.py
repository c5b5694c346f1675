"""How much a system sustains, and from where on another one is the better: judged rung by rung. Pure."""

from dataclasses import dataclass

from bench.analysis.across.objectives import metric
from bench.analysis.across.search import Edge, Rung
from bench.analysis.trial.figures import Figures
from bench.objective import Objective

WINS = 0.01
"""More than this share of the users, and more than one of them, or chance has won."""
ROUNDING = 1.001
"""Differences of shares come a little above what they are."""


@dataclass(frozen=True)
class Knee:
    """How much so many workers sustain."""

    workers: int | None
    """None for threads, which do not come in workers."""
    edge: Edge
    capacity: float
    """Jobs per second that they could do by S alone."""
    rungs: tuple[Rung, ...]
    figures: tuple[Figures, ...]
    """Of the rungs that can be believed, in the order in which they ran."""

    def at(self, rate: float) -> Figures | None:
        """Any trial at this rate."""
        return next((f for f in self.figures if f.trial.load.rate == rate), None)


@dataclass(frozen=True)
class Crossover:
    """From which rate on a system gives more users a result in time than its rival."""

    rival: str
    workers: int
    edge: Edge
    """Below `low` it does not, above `high` it does; an infinite `high`: nowhere that was tried."""
    rungs: tuple[Rung, ...]
    pairs: tuple[tuple[Figures, Figures], ...]
    """The system's and the rival's figures under the same load."""

    @property
    def cost(self) -> float | None:
        """Seconds that the system adds to the median response time at the lowest rate below; None without."""
        below = [(a, b) for a, b in self.pairs if a.trial.load.rate <= self.edge.low]
        if not below:
            return None
        a, b = min(below, key=lambda pair: pair[0].trial.load.rate)
        ours, theirs = a.response[0.5], b.response[0.5]
        return None if ours is None or theirs is None else ours - theirs


def kept(f: Figures, objectives: tuple[Objective, ...]) -> bool:
    """Whether a trial kept every objective, and was steady: a backlog that grows keeps none for long."""
    growing = any(reason.code == "growing" for reason in f.validity.reasons)
    values = {o.metric: metric(f, o.metric) for o in objectives}
    return not growing and all((v := values[o.metric]) is not None and o.met(v) for o in objectives)


def wins(ours: Figures, theirs: Figures) -> bool:
    """Whether more users have a result in time with ours, by more than 1 % and more than chance's one job."""
    gap = ours.ledger.share(ours.ledger.in_time) - theirs.ledger.share(theirs.ledger.in_time)
    arrivals = max(1, min(ours.ledger.arrivals, theirs.ledger.arrivals))
    return gap > ROUNDING * max(WINS, 1 / arrivals)
