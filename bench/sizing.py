"""`bench plan`: how many workers a load needs, by queueing theory, from numbers or from a finished run."""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from bench import exits
from bench.analysis.across.demand import Measured, NoDemandError, measured
from bench.analysis.queueing.model import Overhead
from bench.analysis.queueing.sizing import Demand, Prediction, predict, shares_of, workers_for
from bench.analysis.trial.figures import Figures
from bench.analysis.words import count, figure, percent, rate, seconds
from bench.objective import TIMES, Objective, parse_objectives
from bench.spec import SpecError
from bench.units import parse_duration, parse_rate

T = TypeVar("T")

MILLION = 1_000_000
ALIKE = 0.02
"""A variation below this, measured, is the clock's and not the jobs'."""


@dataclass(frozen=True)
class Wish:
    """What the command line asked for, as text."""

    rate: str
    objective: str
    service_time: str | None = None
    run: Path | None = None
    """A finished run, from which all comes that is not given."""
    system: str | None = None
    """Of the run; None: queued."""
    variation: float | None = None
    overhead: str | None = None
    cpu: str | None = None
    """CPU time of a job; None: as in the run, else all of the service time."""
    cpus: float | None = None
    """vCPU that everything shares; None: as many as it needs."""
    peak: float = 1.0
    """The busiest hour's rate over the mean."""
    price: float | None = None
    """Of one vCPU for an hour, in whatever currency."""


@dataclass(frozen=True)
class Plan:
    """The answer."""

    demand: Demand
    """In the busiest hour."""
    peak: float
    price: float | None
    objectives: tuple[Objective, ...]
    best: Prediction | None
    """The fewest workers that are enough; None where no number is."""
    around: tuple[Prediction, ...]
    """That number, and its neighbours."""
    measured: Measured | None
    """Where the demand comes from, if from a run."""

    @property
    def mean_rate(self) -> float:
        """Jobs per second over the day."""
        return self.demand.rate / self.peak

    def cores(self, workers: int) -> float:
        """Cores that so many workers can keep busy, and what accepting, handing over and polling take."""
        demand = self.demand
        wanted = workers * demand.cpu_time / demand.service_time + demand.rate * demand.overhead.cpu
        return min(wanted, demand.cores)

    def cost(self, workers: int) -> float | None:
        """Of a million jobs, in the price's currency: cores are paid for whether they are busy or not."""
        if self.price is None:
            return None
        return self.cores(workers) * self.price / 3600 / self.mean_rate * MILLION


def run(wish: Wish, console: Console, *, as_json: bool = False) -> int:
    """Print the plan; gives the exit code: 0, or `exits.FAILED` where no number of workers is enough.

    Raises SpecError for what can't be understood, RunFolderError for a run that can't be read.
    """
    made = plan(wish)
    if as_json:
        sys.stdout.write(json.dumps(_as_json(made), indent=2) + "\n")
    else:
        _print(made, console)
    return exits.FINE if made.best is not None else exits.FAILED


def plan(wish: Wish) -> Plan:
    """Work it out. Raises SpecError and RunFolderError."""
    _check(wish)
    objectives = _objectives(wish.objective)
    mean = _rate(wish.rate)
    found = _from_run(wish.run, wish.system or "queued") if wish.run is not None else None
    demand = _demand(wish, mean * wish.peak, found)
    best = workers_for(demand, {o.metric: o.limit for o in objectives})
    shares = shares_of(o.metric for o in objectives)
    middle = best.workers if best is not None else math.floor(demand.load) + 1
    near = [n for n in (middle - 1, middle, middle + 1, 2 * middle) if n >= 1]
    around = tuple(predict(demand, n, shares) for n in dict.fromkeys(near))
    return Plan(demand, wish.peak, wish.price, objectives, best, around, found)


def _check(wish: Wish) -> None:
    if wish.run is None and wish.service_time is None:
        raise SpecError("give a finished run, or --service-time")
    if wish.run is None and wish.system is not None:
        raise SpecError(f"--system {wish.system}: of which run? Without one there is nothing to choose from")
    if wish.variation is not None and not 0 <= wish.variation <= 10:
        raise SpecError(f"--variation {wish.variation:g}: must be from 0 (all jobs alike) to 10")
    if wish.price is not None and not 0 <= wish.price < math.inf:
        raise SpecError(f"--price {wish.price:g}: must be 0 or more")
    if wish.cpus is not None and not 0 < wish.cpus < math.inf:
        raise SpecError(f"--cpus {wish.cpus:g}: must be above 0")
    if not 1 <= wish.peak <= 1000:
        raise SpecError(f"--peak {wish.peak:g}: must be from 1 (all hours alike) to 1000")


def _from_run(folder: Path, system: str) -> Measured:
    # pandas and the tables take a second to import: not where numbers were given.
    from bench.report.reading import read

    try:
        return measured(read(folder).rows, system)
    except NoDemandError as error:
        raise SpecError(f"{folder}: {error}") from None


def _demand(wish: Wish, at: float, found: Measured | None) -> Demand:
    """What was given, else what was measured."""
    if found is None:
        base = Demand(at, 0.0)
    else:
        model = found.model
        varies = found.variation if found.variation >= ALIKE else 0.0
        base = Demand(at, model.service_time, varies, model.overhead, model.cpu)
    if wish.service_time is not None:
        base = replace(base, service_time=_seconds("--service-time", wish.service_time, above=0), cpu=None)
    if wish.variation is not None:
        base = replace(base, variation=wish.variation)
    if wish.overhead is not None:
        base = replace(base, overhead=Overhead(after=_seconds("--overhead", wish.overhead)))
    if wish.cpu is not None:
        base = replace(base, cpu=_seconds("--cpu", wish.cpu))
    return replace(base, cores=math.inf if wish.cpus is None else wish.cpus)


def _objectives(text: str) -> tuple[Objective, ...]:
    found = _read("--slo", text, parse_objectives)
    for one in found:
        if one.metric not in TIMES or one.sign not in ("<", "<="):
            raise SpecError(f'--slo: {one.text}: theory knows response times; write for example "p95<2s"')
    return found


def _rate(text: str) -> float:
    return _read("--rate", text, lambda given: parse_rate(given, relative=False)).amount


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
    lines = [_heading(made), *_measured_words(made), _table(made), _answer(made), _source(made)]
    for line in lines:
        console.print(line, highlight=False)


def _heading(made: Plan) -> str:
    demand = made.demand
    alike = "all alike" if demand.variation == 0 else f"varying by {percent(demand.variation)}"
    busy = f"{rate(demand.rate)} of {seconds(demand.service_time)}, {alike}"
    if made.peak != 1:
        busy = f"{rate(made.mean_rate)} on average; in the busiest hour {busy}"
    return f"{busy}: they keep {figure(demand.load)} workers busy."


def _measured_words(made: Plan) -> list[str]:
    """Where the figures come from, and how good theory was where it could be checked."""
    if made.measured is None:
        return []
    first, overhead = made.measured.lowest, made.demand.overhead
    trial = first.trial
    polled = f", a poll every {seconds(overhead.poll)}" if overhead.poll else ""
    spent = f"{seconds(overhead.least)} and {seconds(overhead.cpu)} of CPU beside its work{polled}"
    held = f"; a worker needs {seconds(overhead.held)} between two jobs" if overhead.held else ""
    who = f"{trial.system.name} × {trial.system.workers} on {trial.work.task}"
    opening = f"As measured with {who} in a box of {figure(trial.box.cpus)} vCPU"
    checked = [_checked_words(f) for f in made.measured.trials]
    return [f"{opening}: each job pays {spent}{held}.", *checked]


def _checked_words(f: Figures) -> str:
    parts = [
        f"{name} {seconds(was)} ({seconds(told)} predicted, {_off(was / told)})"
        for name, was, told in _checked(f)
    ]
    where = f"Measured at {rate(f.rates.offered)}"
    return f"{where}: {', '.join(parts)}." if parts else f"{where}: too few jobs to check by."


def _off(ratio: float) -> str:
    return f"{round(100 * (ratio - 1)):+d} %" if ratio < 2 else f"{ratio:.1f} times that: beware"


def _checked(f: Figures) -> list[tuple[str, float, float]]:
    """Measured and predicted, of the percentiles that both have."""
    told = f.theory.percentiles if f.theory is not None else {}
    both = [(f"p{100 * p:g}", f.response.get(p), told.get(p)) for p in (0.5, 0.95)]
    return [(n, a, b) for n, a, b in both if a and b and math.isfinite(a) and math.isfinite(b)]


def _table(made: Plan) -> Table:
    shares = list(made.around[0].percentiles)
    heads = ["workers", "busy", "must\nwait", "mean", *(f"p{100 * p:g}" for p in shares), "vCPU"]
    if made.price is not None:
        heads.append("per\nmillion\njobs")
    # Narrow enough for 80 columns, in which figures are neither cut nor broken.
    columns = [Column(head, no_wrap=True) for head in heads]
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for one in made.around:
        chosen = made.best is not None and one.workers == made.best.workers
        cost = made.cost(one.workers)
        table.add_row(
            f"{one.workers:,} ✓" if chosen else f"{one.workers:,}",
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
    if made.best is not None:
        few = made.best.workers
        verb = "suffices" if few == 1 else "suffice"
        return f"{count(few, 'worker')} {verb} for {wanted}, with {figure(made.cores(few))} vCPU."
    if made.demand.model(None).utilisation(made.demand.rate) >= 1:
        return (
            f"No number of workers gives {wanted}: {figure(made.demand.cores)} vCPU are too few for the load."
        )
    why = "the jobs themselves take too long" if math.isinf(made.demand.cores) else (
        f"with {figure(made.demand.cores)} vCPU the jobs take too long"
    )  # fmt: skip
    return f"No number of workers gives {wanted}: {why}."


METHODS = {
    "exact": "the exact M/D/c queue",
    "simulation": "simulation",
    "approximation": "Allen and Cunneen's approximation of M/G/c",
}


def _source(made: Plan) -> str:
    chosen = made.best or made.around[-1]
    shared = math.isfinite(made.demand.cores)
    cores = f"workers that share {figure(made.demand.cores)} vCPU" if shared else "each worker with its cores"
    again = "Measured at another scale" if made.measured is not None else "Not measured"
    how = f"By {METHODS[chosen.method]}: Poisson arrivals, one queue, {cores}"
    return f"{how}. {again}: run it before you rely on it."


def _as_json(made: Plan) -> dict[str, object]:
    overhead = made.demand.overhead
    return {
        "rate": made.demand.rate,
        "mean_rate": made.mean_rate,
        "service_time": made.demand.service_time,
        "variation": made.demand.variation,
        "cpu": made.demand.cpu_time,
        "cpus": _finite(made.demand.cores),
        "overhead": overhead.least,
        "overhead_cpu": overhead.cpu,
        "worker_turnaround": overhead.held,
        "poll_interval": overhead.poll,
        "objectives": [o.text for o in made.objectives],
        "workers": None if made.best is None else made.best.workers,
        "predictions": [
            {
                "workers": one.workers,
                "utilisation": _finite(one.utilisation),
                "must_wait": _finite(one.must_wait),
                "mean": _finite(one.mean),
                **{f"p{100 * p:g}": _finite(value) for p, value in one.percentiles.items()},
                "cores": made.cores(one.workers),
                "cost_per_million": made.cost(one.workers),
                "method": one.method,
            }
            for one in made.around
        ],
        "checked": [
            {"rate": f.rates.offered, "workers": f.trial.system.workers}
            | {name: {"measured": was, "predicted": told} for name, was, told in _checked(f)}
            for f in (made.measured.trials if made.measured is not None else ())
        ],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _time(value: float) -> str:
    return "∞" if math.isinf(value) else seconds(value)
