"""Figures of trials that nobody ran: what became of how many jobs, and how long they took."""

import math
from dataclasses import replace
from functools import cache

import pandas as pd

from bench.analysis.run import Result
from bench.analysis.tables import Tables, split
from bench.analysis.trial.figures import Figures, figures
from bench.analysis.trial.latency import PERCENTILES, arrivals_needed
from bench.analysis.trial.ledger import Ledger
from bench.analysis.trial.validity import Reason, Validity
from bench.plan import Box, Load, System, Trial, Work
from bench.records import SCHEMAS

GROWING = Reason("growing", "SATURATED", "The backlog grew.", "Offer less.")
SATURATED = Reason("over_capacity", "SATURATED", "More was offered than it can do.", "Offer less.")
LATE = Reason("send_delay", "INVALID", "The generator was late.", "Leave the machine alone.", again=True)


def played_trial(rate: float = 1.0, system: str = "queued", workers: int = 2, **changes: object) -> Trial:
    """Jobs of 100 ms at this rate, each worker good for ten a second."""
    plan = Trial(
        id=f"{system}-{rate:g}",
        part="find",
        shows="load",
        system=System(system, "queued", workers),
        work=Work("spin", {"seconds": 0.1}, service_time=0.1, cpu_time=0.1),
        load=Load("poisson", rate=rate, window=10.0, label=f"{rate:g}/s"),
        box=Box(2.0, 2**31),
        deadline=1.0,
        gateway_timeout=1.0,
        poll_interval=0.1,
        drain_limit=10.0,
        repeat=1,
        seed=1,
        capacity=10.0 * workers,
    )
    return replace(plan, **changes)


def played(
    trial: Trial | None = None,
    *reasons: Reason,
    arrivals: int = 100,
    in_time: int | None = None,
    seconds: float = 0.2,
    status: str = "done",
) -> Figures:
    """A trial whose jobs all took so many seconds, those in time delivered and the others 504."""
    delivered = arrivals if in_time is None else in_time
    share = delivered / arrivals if arrivals else 0.0
    known = {p: seconds if share >= p else math.inf for p in PERCENTILES}
    return replace(
        _nothing(),
        trial=trial or played_trial(),
        result=Result(status),
        ledger=Ledger(arrivals=arrivals, in_time=delivered, gateway_timeout=arrivals - delivered),
        response={p: v if arrivals >= arrivals_needed(p) else None for p, v in known.items()},
        mean_response=seconds if delivered else math.nan,
        validity=Validity(reasons),
    )


@cache
def _nothing() -> Figures:
    """A trial without a job."""
    plan = played_trial()
    empty = {name: pd.DataFrame(columns=schema.names) for name, schema in SCHEMAS.items()}
    return figures(split(Tables(**empty), [plan])[plan.id], Result("done"))
