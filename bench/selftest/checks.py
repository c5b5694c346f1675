"""The harness's figures against the truth: counts exact, times and rates within a limit. Pure."""

import math
from dataclasses import dataclass

from bench.analysis.trial.figures import Figures
from bench.selftest.truth import Truth

TIME, TAIL, RATE = 0.02, 0.05, 0.02
"""How far times, times from p99.9 on, and rates may be off, as a share of the truth."""
FROM_TAIL = 0.999
USERS = 0.2
"""How many of the closed users may be without a job at the server, on their way from one to the next."""
PERCENTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
COUNTS = {
    "arrivals": "arrivals",
    "in_time": "in time",
    "late": "late",
    "rejected": "rejected (503)",
    "gateway_timeout": "504",
    "gave_up": "given up",
    "error": "errors",
    "wrong": "wrong results",
    "dropped": "not sent",
    "lost": "lost",
    "unfinished": "unfinished",
    "duplicated": "executed twice",
}
"""Fields of the ledger, and what the table calls them."""
RATES = {"offered": "offered rate", "goodput": "goodput", "throughput": "throughput"}


@dataclass(frozen=True)
class Check:
    """One figure of one scenario. Times in seconds, rates per second, shares as such."""

    scenario: str
    figure: str
    unit: str
    """count | share | s | /s."""
    truth: float | None
    """None: too few arrivals for it; infinity: never reached."""
    measured: float | None
    limit: float
    """The deviation allowed, as a share of the truth; 0: exact."""

    @property
    def deviation(self) -> float:
        """Measured over truth, less 1; infinity where one of them is missing, or should be nought."""
        if self.truth == self.measured:
            return 0.0
        if self.truth is None or self.measured is None or not math.isfinite(self.truth):
            return math.inf
        return self.measured / self.truth - 1 if self.truth else math.inf

    @property
    def passed(self) -> bool:
        """Whether the two agree. NaN agrees with nothing."""
        return abs(self.deviation) <= self.limit + 1e-12


def checks(scenario: str, figures: Figures, truth: Truth, *, times: bool = True) -> list[Check]:
    """Hold every figure that both have against the other; one that only one of them has is missed."""
    books = figures.ledger
    found = [
        Check(scenario, words, "count", truth.counts[name], getattr(books, name), 0.0)
        for name, words in COUNTS.items()
    ]
    found.append(Check(scenario, "timeout rate", "share", truth.timeout_share, books.timeout_share, 0.0))
    if truth.times is not None and times:
        for p in PERCENTILES:
            limit = TAIL if p >= FROM_TAIL else TIME
            name = f"p{p * 100:g}"
            found.append(Check(scenario, name, "s", truth.percentile(p), figures.response[p], limit))
        found.append(Check(scenario, "mean", "s", truth.mean, figures.mean_response, TIME))
    load = figures.trial.load
    if load.arrivals == "closed":
        found.append(Check(scenario, "users at the server", "", load.size, truth.at_work, USERS))
    if truth.rates is not None:
        found += [
            Check(scenario, words, "/s", truth.rates[name], getattr(figures.rates, name), RATE)
            for name, words in RATES.items()
        ]
    return found
