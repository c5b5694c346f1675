"""Everything worth knowing of one trial, as numbers. Pure."""

import math
from dataclasses import dataclass, field

import numpy as np

from bench.analysis.expectation import Expected
from bench.analysis.latency import Percentiles, Stages, accept_times, percentiles, response_times, stages
from bench.analysis.ledger import Ledger, ledger, problems
from bench.analysis.rates import Drain, Polling, Rates, drain, polling, rates, send_delay_p99
from bench.analysis.resources import Usage, usage
from bench.analysis.run import Result
from bench.analysis.service import variation
from bench.analysis.tables import TrialRecords
from bench.analysis.validity import Validity
from bench.analysis.waste import Waste, waste
from bench.plan import Trial


@dataclass(frozen=True)
class Figures:
    """One trial in numbers. Times in seconds, rates per second."""

    trial: Trial
    result: Result
    ledger: Ledger
    rates: Rates
    response: Percentiles
    mean_response: float
    """Mean over the delivered jobs, seconds; NaN where none was."""
    accept: Percentiles
    stages: Stages
    waste: Waste
    drain: Drain
    send_delay_p99: float
    polling: Polling
    usage: Usage
    problems: tuple[str, ...]
    validity: Validity = field(default_factory=Validity)
    variation: float = float("nan")
    """Standard deviation over mean of what the jobs cost (`service.variation`); NaN where too few ran."""
    theory: Expected | None = None
    """What queueing theory expects of this trial; None where it has nothing to say (`theory.with_theory`)."""

    @property
    def capacity(self) -> float:
        """Jobs per second this system can sustain, by its definition; NaN for one that somebody else runs."""
        return math.nan if self.trial.system.kind == "external" else self.trial.capacity

    @property
    def rho(self) -> float:
        """Utilisation: offered over capacity; NaN for a burst or closed users."""
        return self.rates.offered / self.capacity if self.capacity > 0 else float("nan")

    @property
    def ideal(self) -> float:
        """The most that could be delivered per second: what was offered, or what can be sustained."""
        known = not math.isnan(self.capacity)
        return min(self.rates.offered, self.capacity) if known else self.rates.offered

    @property
    def window_in_s(self) -> float:
        """The window in multiples of the service time."""
        return self.rates.span / self.trial.work.service_time


def figures(records: TrialRecords, result: Result) -> Figures:
    """Compute all figures of one trial."""
    counted = ledger(records)
    times = response_times(records)
    delivered = times[np.isfinite(times)]
    return Figures(
        trial=records.trial,
        result=result,
        ledger=counted,
        rates=rates(records, counted),
        response=percentiles(times),
        mean_response=float(delivered.mean()) if len(delivered) else float("nan"),
        accept=percentiles(accept_times(records)),
        stages=stages(records),
        waste=waste(records),
        drain=drain(records),
        send_delay_p99=send_delay_p99(records),
        polling=polling(records),
        usage=usage(records),
        problems=problems(records, counted),
        variation=variation(records),
    )
