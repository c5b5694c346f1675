"""Everything worth knowing of one trial, as numbers. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bench.analysis.run import Result
from bench.analysis.tables import TrialRecords
from bench.analysis.trial.canary import Canary, canary, slowness
from bench.analysis.trial.expectation import Expected
from bench.analysis.trial.gate import judge, speed_reason
from bench.analysis.trial.generator import Limit, beyond
from bench.analysis.trial.latency import (
    PERCENTILES,
    Percentiles,
    accept_times,
    arrivals_needed,
    makespan,
    percentiles,
    response_times,
)
from bench.analysis.trial.ledger import Ledger, ledger, problems
from bench.analysis.trial.littles_law import Audit, audit
from bench.analysis.trial.overhead import Overhead, overhead
from bench.analysis.trial.rates import Drain, Polling, Rates, drain, polling, rates, send_delay_p99
from bench.analysis.trial.resources import Usage, usage
from bench.analysis.trial.sending import Sending, sending
from bench.analysis.trial.service import variation
from bench.analysis.trial.stages import Stages, stages
from bench.analysis.trial.steadiness import Backlog, backlog
from bench.analysis.trial.survival import NotIndependent, response
from bench.analysis.trial.validity import Reason, Validity
from bench.analysis.trial.warmup import Warming, warming
from bench.analysis.trial.waste import Waste, waste
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
    slowest_delivered: float
    """The greatest of them; NaN likewise."""
    accept: Percentiles
    stages: Stages
    waste: Waste
    overhead: Overhead
    drain: Drain
    send_delay_p99: float
    polling: Polling
    usage: Usage
    problems: tuple[str, ...]
    sending: Sending = field(default_factory=Sending)
    littles_law: Audit = field(default_factory=Audit)
    backlog: Backlog = field(default_factory=Backlog)
    canary: Canary = field(default_factory=Canary)
    validity: Validity = field(default_factory=Validity)
    warming: Warming | None = None
    """Whether the window still begins with a warm-up; None where that makes no sense."""
    censored: Percentiles | None = None
    """`response` with unfinished jobs as "at least so long"; None without any, or where that can't be."""
    makespan: float = math.nan
    """First arrival to last result; infinite where a job got none (`latency.makespan`)."""
    attempts: float = math.nan
    """Submissions per job of the window, of those that were sent at all; NaN where none was."""
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
    """Compute all figures of one trial and, if it took place, judge it by them."""
    counted = ledger(records)
    times = response_times(records)
    delivered = times[np.isfinite(times)]
    found = Figures(
        trial=records.trial,
        result=result,
        ledger=counted,
        rates=rates(records, counted),
        response=percentiles(times),
        mean_response=float(delivered.mean()) if len(delivered) else float("nan"),
        slowest_delivered=float(delivered.max()) if len(delivered) else float("nan"),
        accept=percentiles(accept_times(records)),
        stages=stages(records),
        waste=waste(records),
        overhead=overhead(records),
        drain=drain(records),
        send_delay_p99=send_delay_p99(records),
        polling=polling(records),
        usage=usage(records),
        problems=problems(records, counted),
        sending=sending(records),
        littles_law=audit(records),
        backlog=backlog(records),
        canary=canary(records),
        warming=warming(records),
        makespan=makespan(records),
        censored=_censored(records, counted),
        attempts=_attempts(records),
        variation=variation(records),
    )
    return replace(found, validity=_validity(found, records)) if result.status == "done" else found


def _validity(f: Figures, records: TrialRecords) -> Validity:
    return judge(
        f.trial,
        sending=f.sending,
        usage=f.usage,
        problems=f.problems,
        audit=f.littles_law,
        backlog=f.backlog,
        offered=f.rates.offered,
        drift=next((e.detail for e in records.events if e.event == "clock_drifted"), ""),
    )


def _censored(records: TrialRecords, counted: Ledger) -> Percentiles | None:
    if not counted.unfinished:
        return None
    try:
        survival = response(records)
    except NotIndependent:
        return None
    known = [p for p in PERCENTILES if counted.arrivals >= arrivals_needed(p)]
    return {p: survival.percentile(p) if p in known else None for p in PERCENTILES}


def with_speed(rows: Sequence[Figures]) -> list[Figures]:
    """Judge the machine's speed too, for which all trials of the run are needed."""
    found = []
    for f, slow in zip(rows, slowness([f.canary for f in rows]), strict=True):
        reason = speed_reason(slow, f.trial.work)
        found.append(replace(f, validity=Validity((*f.validity.reasons, reason))) if reason else f)
    return found


def with_limits(rows: Sequence[Figures], limits: Sequence[Limit]) -> list[Figures]:
    """Say of a trial that asks for more than the generator of its machine was found to keep up with."""
    found = []
    for f in rows:
        line = beyond(f.trial, limits) if f.result.status == "done" else ""
        what, _, advice = line.partition(": ")
        reason = Reason("generator_limit", "VALID", f"{what}.", f"{advice[:1].upper()}{advice[1:]}")
        found.append(replace(f, validity=Validity((*f.validity.reasons, reason))) if line else f)
    return found


def _attempts(records: TrialRecords) -> float:
    tried = records.jobs.attempts[records.jobs.window & (records.jobs.attempts > 0)]
    return float(tried.mean()) if len(tried) else math.nan
