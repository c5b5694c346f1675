"""Response times: exact percentiles over all arrivals, with the failed ones as +infinity. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.analysis.tables import Floats, TrialRecords
from bench.analysis.trial.histogram import histogram
from bench.analysis.trial.ledger import fates

PERCENTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
ENOUGH_BEYOND = 3
"""A percentile p is given only where this many of the n values are expected beyond it: n·(1-p) ≥ 3."""
EXACT_UP_TO = 5_000_000
"""Jobs of one trial. Beyond, percentiles come from `histogram`, which makes no copy of them."""

Percentiles = Mapping[float, float | None]
"""p → seconds; None where too few arrivals, infinity where that share of the jobs never got a result."""


def arrivals_needed(p: float) -> int:
    """The fewest arrivals for which percentile p is given."""
    return int(np.ceil(ENOUGH_BEYOND / (1 - p) - 1e-6))


def percentile(ordered: Floats, p: float) -> float | None:
    """The smallest value that at least the share p of the values does not exceed (inverse of the ECDF,
    Hyndman & Fan 1996, type 1). `ordered` is sorted, infinity allowed. None where n·(1-p) < 3.
    """
    n = len(ordered)
    if n * (1 - p) < ENOUGH_BEYOND - 1e-9:
        return None
    return float(ordered[max(0, int(np.ceil(n * p - 1e-9)) - 1)])


def percentiles(values: Floats) -> dict[float, float | None]:
    """All of PERCENTILES of values in any order: exact; of more than EXACT_UP_TO within 0.05 %, from a
    histogram.
    """
    if len(values) > EXACT_UP_TO:
        counted = histogram(values)
        return {p: counted.percentile(p) for p in PERCENTILES}
    ordered = np.sort(values)
    return {p: percentile(ordered, p) for p in PERCENTILES}


def response_times(records: TrialRecords) -> Floats:
    """Arrival to verified result of each window's job, in order of arrival; infinity where none came."""
    jobs = records.jobs
    times = np.where(jobs.is_("ok"), jobs.done - jobs.arrival, np.inf)
    return times[jobs.window]


def makespan(records: TrialRecords) -> float:
    """First arrival of the window to the last verified result, seconds.

    Infinity where a job got none: who loses half of the jobs is not done sooner. NaN without an arrival.
    """
    jobs = records.jobs
    counted, ok = jobs.window, jobs.is_("ok")
    if not counted.any():
        return float("nan")
    if not ok[counted].all():
        return float("inf")
    return float(jobs.done[counted].max() - jobs.arrival[counted].min())


def accept_times(records: TrialRecords) -> Floats:
    """Arrival to the server's 2xx for each of the window's jobs; infinity where it never came."""
    jobs = records.jobs
    times = np.where(np.isfinite(jobs.accepted), jobs.accepted - jobs.arrival, np.inf)
    return times[jobs.window]


@dataclass(frozen=True)
class Curve:
    """A latency percentile curve: `value[i]` seconds at cumulative share `p[i]`, a few hundred points."""

    p: Floats
    value: Floats
    never: float
    """Share of the jobs that got no result: the curve ends at 1 - never."""
    n: int


def curve(times: Floats, points: int = 240) -> Curve:
    """Thin the exact curve to points spread evenly over the log-scaled tail, where n·(1-p) ≥ 3."""
    ordered = np.sort(times)
    n = len(ordered)
    never = float(np.count_nonzero(~np.isfinite(ordered)) / n) if n else 0.0
    if n < 2 * ENOUGH_BEYOND:
        return Curve(np.zeros(0), np.zeros(0), never, n)
    last = 1 - ENOUGH_BEYOND / n
    shares = np.unique(1 - np.geomspace(1.0, 1 - last, points))
    rank = np.clip(np.ceil(n * shares - 1e-9).astype(int) - 1, 0, n - 1)
    value = ordered[rank]
    finite = np.isfinite(value)
    return Curve(shares[finite], value[finite], never, n)


@dataclass(frozen=True)
class Returns:
    """When each job of a burst, or of closed users, came back: seconds from its own arrival, sorted."""

    times: Floats
    """To the result, the refusal or the failure; to the cut-off where it was never decided."""
    fate: tuple[str, ...]
    """One of `ledger.FATES`, job by job."""


def returns(records: TrialRecords) -> Returns:
    """Each of the window's jobs with the time and manner of its end."""
    jobs = records.jobs
    names = list(fates(records).items())
    which = np.zeros(len(jobs), dtype=int)
    for n, (_, flags) in enumerate(names):
        which[flags] = n
    rows = np.flatnonzero(jobs.window)
    spent = (jobs.done - jobs.arrival)[rows]
    order = np.argsort(spent, kind="stable")
    return Returns(times=spent[order], fate=tuple(names[which[row]][0] for row in rows[order]))
