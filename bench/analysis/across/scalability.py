"""How throughput grows with workers, where a worker sweep tells it: Gunther's law. Pure."""

from dataclasses import dataclass

from bench.analysis.across.groups import Point, Series, WorkersGroup
from bench.analysis.queueing.scaling import Scaling, fit_scaling

PRESSED = 1.05
"""Offered over what the workers can do, at least, for their throughput to be their own limit."""
FAILED = 0.05
"""Share of failed jobs from which on results say little of the work that was done."""
NEEDED = 3
"""Worker counts that three coefficients take."""


@dataclass(frozen=True)
class Scalability:
    """The law fitted to one system's throughput over workers, or why it can't be."""

    series: Series
    law: Scaling | None
    usable: tuple[int, ...]
    """Worker counts whose throughput the workers themselves limited."""
    by_load: tuple[int, ...]
    """Worker counts that could have done more than was offered: they show the load."""
    by_box: tuple[int, ...]
    """Worker counts whose work would take more CPU than the box has: they show the box."""
    by_failure: tuple[int, ...]
    """Worker counts at which jobs were done for clients that had been sent away: results do not show work."""


def scalability(group: WorkersGroup, series: Series) -> Scalability:
    """Fit the law to the points that say something of the workers.

    The law describes how workers get in one another's way, so it is fitted only where they are what limits
    the throughput: not where all that was offered got done, nor where the CPU quota cuts it off.
    """
    usable: list[Point] = []
    by_load, by_box, by_failure = [], [], []
    for point in series.points:
        workers = point.trial.system.workers
        able = workers / point.trial.service_time
        if able * group.work.cpu_time > point.trial.cores * (1 + 1e-9):
            by_box.append(workers)
        elif group.offered < PRESSED * able:
            by_load.append(workers)
        elif point.share(lambda f: f.ledger.failed) > FAILED:
            by_failure.append(workers)
        elif point.value(lambda f: f.rates.throughput if f.validity.believable else None) > 0:
            usable.append(point)
    counts = tuple(p.trial.system.workers for p in usable)
    law = None
    if len(set(counts)) >= NEEDED:
        law = fit_scaling(counts, [p.value(lambda f: f.rates.throughput) for p in usable])
    return Scalability(series, law, counts, tuple(by_load), tuple(by_box), tuple(by_failure))
