"""`bench plan`: how many workers a load needs, by queueing theory."""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from bench.analysis.queueing.sizing import (
    SIMULATED,
    Demand,
    Prediction,
    predict,
    shares_of,
    workers_for,
)
from bench.analysis.words import count, figure, percent, rate, seconds
from bench.objective import TIMES, Objective, parse_objectives
from bench.spec import SpecError
from bench.units import parse_duration, parse_rate

T = TypeVar("T")

MILLION = 1_000_000
NOT_ENOUGH = 1
"""Exit code where no number of workers meets the objective."""


@dataclass(frozen=True)
class Wish:
    """What the command line asked for, as text."""

    rate: str
    service_time: str
    objective: str
    variation: float = 0.0
    overhead: str = "0s"
    cpu: str | None = None
    """CPU time of a job; None: all of the service time."""
    price: float | None = None
    """Of one vCPU for an hour, in whatever currency."""


@dataclass(frozen=True)
class Plan:
    """The answer."""

    demand: Demand
    cpu: float
    """CPU seconds of a job."""
    price: float | None
    objectives: tuple[Objective, ...]
    best: Prediction | None
    """The fewest workers that are enough; None where no number is."""
    around: tuple[Prediction, ...]
    """That number, and its neighbours."""

    def cores(self, workers: int) -> float:
        """Cores that so many workers can keep busy."""
        return workers * min(1.0, self.cpu / self.demand.service_time)

    def cost(self, workers: int) -> float | None:
        """Of a million jobs, in the price's currency: cores are paid for whether they are busy or not."""
        if self.price is None:
            return None
        return self.cores(workers) * self.price / 3600 / self.demand.rate * MILLION


def run(wish: Wish, console: Console, *, as_json: bool = False) -> int:
    """Print the plan; gives the exit code. Raises SpecError for what can't be understood."""
    made = plan(wish)
    if as_json:
        sys.stdout.write(json.dumps(_as_json(made), indent=2) + "\n")
    else:
        _print(made, console)
    return 0 if made.best is not None else NOT_ENOUGH


def plan(wish: Wish) -> Plan:
    """Work it out. Raises SpecError."""
    if not 0 <= wish.variation <= 10:
        raise SpecError(f"--variation {wish.variation:g}: must be from 0 (all jobs alike) to 10")
    if wish.price is not None and not 0 <= wish.price < math.inf:
        raise SpecError(f"--price {wish.price:g}: must be 0 or more")
    demand = Demand(
        rate=_rate(wish.rate),
        service_time=_seconds("--service-time", wish.service_time, above=0),
        variation=wish.variation,
        overhead=_seconds("--overhead", wish.overhead),
    )
    cpu = demand.service_time if wish.cpu is None else _seconds("--cpu", wish.cpu)
    objectives = _objectives(wish.objective)
    best = workers_for(demand, {o.metric: o.limit for o in objectives})
    shares = shares_of(o.metric for o in objectives)
    middle = best.workers if best is not None else math.floor(demand.load) + 1
    near = [n for n in (middle - 1, middle, middle + 1, 2 * middle) if n >= 1]
    around = tuple(predict(demand, n, shares) for n in dict.fromkeys(near))
    return Plan(demand, cpu, wish.price, objectives, best, around)


def _objectives(text: str) -> tuple[Objective, ...]:
    found = _read("--slo", text, parse_objectives)
    for one in found:
        if one.metric not in TIMES or one.sign not in ("<", "<="):
            raise SpecError(f'--slo: {one.text}: theory knows response times; write for example "p95<2s"')
    return found


def _rate(text: str) -> float:
    given = _read("--rate", text, parse_rate)
    if given.in_capacities:
        raise SpecError(f'--rate {text}: give jobs a second, as in "4/s" or "1000000/day"')
    return given.amount


def _seconds(option: str, text: str, above: float | None = None) -> float:
    duration = _read(option, text, parse_duration)
    if duration.in_service_times:
        raise SpecError(f'{option} {text}: give it in seconds, as in "250ms"')
    if above is not None and duration.amount <= above:
        raise SpecError(f"{option} {text}: must be above {above:g}")
    return duration.amount


def _read(option: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise SpecError(f"{option}: {error}") from None


def _print(made: Plan, console: Console) -> None:
    for line in (_heading(made.demand), _table(made), _answer(made), _source(made.demand)):
        console.print(line, highlight=False, soft_wrap=isinstance(line, str))


def _heading(demand: Demand) -> str:
    alike = "all alike" if demand.variation == 0 else f"varying by {percent(demand.variation)}"
    work = f"{rate(demand.rate)} of {seconds(demand.service_time)}, {alike}"
    return f"{work}: they keep {figure(demand.load)} workers busy."


def _table(made: Plan) -> Table:
    shares = list(made.around[0].percentiles)
    table = Table("workers", "busy", "must wait", "mean", *(f"p{100 * p:g}" for p in shares), "vCPU")
    if made.price is not None:
        table.add_column("per million jobs")
    for one in made.around:
        chosen = made.best is not None and one.workers == made.best.workers
        cost = made.cost(one.workers)
        table.add_row(
            f"{one.workers} ✓" if chosen else f"{one.workers}",
            percent(one.utilisation),
            percent(one.must_wait),
            _time(one.mean),
            *(_time(one.percentiles[p]) for p in shares),
            figure(made.cores(one.workers)),
            *([] if cost is None else [f"{cost:,.2f}"]),
        )
    return table


def _answer(made: Plan) -> str:
    wanted = " and ".join(o.text for o in made.objectives)
    if made.best is None:
        return f"No number of workers gives {wanted}: the jobs themselves take too long."
    return f"{count(made.best.workers, 'worker')} suffice{'s' * (made.best.workers == 1)} for {wanted}."


def _source(demand: Demand) -> str:
    how = f"a simulation of {SIMULATED:,} jobs (M/G/c)" if demand.variation else "the exact M/D/c queue"
    return (
        f"By {how}: Poisson arrivals, one queue, each worker with the cores it needs. "
        "Measure it before you rely on it."
    )


def _as_json(made: Plan) -> dict[str, object]:
    return {
        "rate": made.demand.rate,
        "service_time": made.demand.service_time,
        "variation": made.demand.variation,
        "overhead": made.demand.overhead,
        "objectives": [o.text for o in made.objectives],
        "workers": None if made.best is None else made.best.workers,
        "predictions": [
            {
                "workers": one.workers,
                "utilisation": one.utilisation,
                "must_wait": one.must_wait,
                "mean": _finite(one.mean),
                **{f"p{100 * p:g}": _finite(value) for p, value in one.percentiles.items()},
                "cores": made.cores(one.workers),
                "cost_per_million": made.cost(one.workers),
                "simulated": one.simulated,
            }
            for one in made.around
        ],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _time(value: float) -> str:
    return "grows for ever" if math.isinf(value) else seconds(value)
