"""Theory beside measurement: what queueing theory expects of a trial, and how far off the trial is. Pure.

The threads of one process are processor sharing (M/G/1-PS under a lock that only one can hold); gunicorn's
processes are a queue in order of arrival, for so is the kernel's backlog that they accept from, and so is
the broker's; where slots are more than the box's cores they share them (`queueing.limited_sharing`), but
workers in boxes of their own share nothing, neither with each other nor with the web and the broker. Not
modelled: a connection limit, the published queue (its consumers take and lose jobs as they like), somebody
else's service; nor anything at or above capacity.

Two questions, two schedules. A *residual* compares a trial with the simulation of that trial: its own
arrivals, its own window, so that no luck of the draw is in it. A *line* over the load is what theory expects
of a window of that length: the median over seeded schedules. The steady state would be neither, for a short
window that begins empty has not come to it.

What a job pays beside waiting and service is measured: at the lowest load of the same system, from the jobs
that found nobody there; a worker's time between two jobs, and the CPU of all else, over its loads. So
the theory is not quite independent of what it is compared with.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.analysis.across.groups import LoadGroup, Point, Series
from bench.analysis.queueing.model import Model, Overhead
from bench.analysis.tables import Floats, TrialRecords
from bench.analysis.trial.expectation import Expected, Line
from bench.analysis.trial.figures import Figures
from bench.analysis.trial.latency import percentile
from bench.plan import Kind, Trial

MODELLED: tuple[Kind, ...] = ("blocking", "gunicorn", "queued")
LONGEST = 100_000
"""Arrivals of one trial that are simulated; of a longer one its beginning says the same."""
ALONE = 2
"""Jobs that found nobody there, at least, to measure the overhead by."""
STEPS = 12
"""Loads along a line."""
LOWEST = 0.25
"""Where it begins, as a share of the lowest load that was measured."""
HIGHEST = 0.97
"""Utilisation at which a line ends: beyond it a short window says nothing of the next one."""
ENOUGH = 4_000
"""Arrivals simulated for each load of a line, over as many schedules as that takes …"""
SCHEDULES = 25
"""… but no more than these."""
SEED = 11


def model_of(trial: Trial, overhead: Overhead) -> Model | None:
    """The model of a trial's system; None for a kind that has none."""
    kind, work = trial.system.kind, trial.work
    if kind not in MODELLED:
        return None
    return Model(
        slots=None if kind == "blocking" else trial.system.workers,
        cores=trial.cores if trial.worker_box is None else math.inf,
        service_time=trial.service_time,
        cpu=work.cpu_time,
        overhead=overhead,
        most=1.0 if kind == "blocking" and work.holds_gil else math.inf,
        limit=math.inf if kind == "queued" else trial.gateway_timeout,
    )


def measured_overhead(records: TrialRecords, figures: Figures) -> Overhead | None:
    """What a job pays that finds nobody there: medians over such jobs. None where there are too few."""
    jobs, runs = records.jobs, records.executions
    start, end = np.full(len(jobs), np.nan), np.full(len(jobs), np.nan)
    whole = (runs.job >= 0) & np.isfinite(runs.end) & runs.ok
    start[runs.job[whole]], end[runs.job[whole]] = runs.start[whole], runs.end[whole]
    # Jobs are in order of arrival: before the n-th, n have come, and so many of all have gone.
    gone = np.searchsorted(np.sort(np.where(np.isfinite(end), end, np.inf)), jobs.arrival)
    alone = (gone >= np.arange(len(jobs))) & jobs.window & jobs.is_("ok") & np.isfinite(start)
    if np.count_nonzero(alone) < ALONE:
        return None
    queued = figures.trial.system.kind == "queued"
    polled = queued and bool(jobs.polls[alone].any())
    poll = figures.trial.poll_interval if polled else 0.0
    after = jobs.done - (jobs.accepted + jobs.polls * poll if polled else end)
    return Overhead(
        before=_median((start - jobs.arrival)[alone]),
        after=_median(after[alone]),
        accepted=_median((jobs.accepted - jobs.arrival)[alone]) if queued else 0.0,
        poll=poll,
        cpu=other_cpu(records, figures),
    )


def turnarounds(records: TrialRecords, workers: int) -> Floats:
    """Seconds from the end of a job to the start of the next, for each that waited for a worker."""
    jobs, runs = records.jobs, records.executions
    whole = (runs.job >= 0) & np.isfinite(runs.end) & runs.ok
    start, job, ends = runs.start[whole], runs.job[whole], np.sort(runs.end[whole])
    came = jobs.arrival[job]
    # Who came while all workers were busy: begun before and not ended are as many as there are workers.
    busy = np.searchsorted(np.sort(start), came) - np.searchsorted(ends, came)
    before = np.searchsorted(ends, start, side="right") - 1
    waited = (busy >= workers) & (before >= 0)
    freed = ends[np.maximum(before, 0)]
    return np.asarray((start - freed)[waited & (freed > came)])


def _median(values: Floats) -> float:
    return max(0.0, float(np.median(values)))


def other_cpu(records: TrialRecords, figures: Figures) -> float:
    """CPU seconds of the box a job, less the job's own; 0 where the box was not sampled."""
    cpu = records.executions.cpu
    known = cpu[np.isfinite(cpu)]
    if not len(known) or not figures.rates.throughput > 0 or not math.isfinite(figures.usage.cpu):
        return 0.0
    return max(0.0, figures.usage.cpu / figures.rates.throughput - float(known.mean()))


def expected(records: TrialRecords, model: Model, rate: float) -> Expected | None:
    """Simulate the trial's own arrivals. None where the model has no steady state at this rate."""
    if not model.utilisation(rate) < 1:
        return None
    jobs = records.jobs
    times = model.responses(jobs.arrival[:LONGEST], rate)[jobs.window[:LONGEST]]
    if not len(times):
        return None
    ordered, back = np.sort(times), times[np.isfinite(times)]
    return Expected(
        model,
        {p: percentile(ordered, p) for p in (0.5, 0.9, 0.95, 0.99)},
        float(back.mean()) if len(back) else math.nan,
    )


def with_theory(rows: Sequence[Figures], bundles: Mapping[str, TrialRecords]) -> tuple[Figures, ...]:
    """The same trials, those below capacity of a system that has a model with what theory expects of them."""
    overheads = _overheads(rows, bundles)
    return tuple(_joined(f, bundles[f.trial.id], overheads.get(family(f.trial))) for f in rows)


def _joined(f: Figures, records: TrialRecords, overhead: Overhead | None) -> Figures:
    model = model_of(f.trial, overhead) if overhead is not None else None
    if model is None or not _fits(f):
        return f
    return replace(f, theory=expected(records, model, f.rates.offered))


def _overheads(rows: Sequence[Figures], bundles: Mapping[str, TrialRecords]) -> dict[str, Overhead]:
    """By family: measured at its lowest load, the median over that load's repeats."""
    families: dict[str, list[Figures]] = {}
    for f in rows:
        if _fits(f):
            families.setdefault(family(f.trial), []).append(f)
    found = {}
    for name, members in families.items():
        lowest = min(f.trial.load.rate for f in members)
        each = [
            measured
            for f in members
            if math.isclose(f.trial.load.rate, lowest)
            and (measured := measured_overhead(bundles[f.trial.id], f)) is not None
        ]
        if each:
            middle = {part: float(np.median([getattr(o, part) for o in each])) for part in _MEASURED}
            steady = [f for f in members if f.rho < 1]
            # What idles costs each job the less, the more jobs there are.
            cpu = min(other_cpu(bundles[f.trial.id], f) for f in steady or members)
            found[name] = Overhead(**middle, held=_held(steady, bundles), cpu=cpu)
    return found


def _held(steady: Sequence[Figures], bundles: Mapping[str, TrialRecords]) -> float:
    """The median turnaround of the family's trials below capacity; 0 where hardly a job had to wait."""
    workers = [f for f in steady if f.trial.system.kind != "blocking"]
    each = [turnarounds(bundles[f.trial.id], f.trial.system.workers) for f in workers]
    gaps = np.concatenate([np.zeros(0), *each])
    return _median(gaps) if len(gaps) >= ALONE else 0.0


_MEASURED = ("before", "after", "accepted", "poll")


def _fits(f: Figures) -> bool:
    """Whether theory has something to say of such a trial, and the trial of theory.

    Clients that try again come more often than the schedule says: of them it says nothing.
    """
    plain = f.trial.load.arrivals in ("poisson", "constant") and f.trial.retry.policy == "none"
    steady = plain and f.trial.shows in ("load", "workers")
    ours = f.trial.system.kind in MODELLED and f.trial.work.service_time > 0
    return steady and ours and f.result.status == "done" and f.ledger.arrivals > 0 and f.validity.believable


def family(trial: Trial) -> str:
    """What trials have in common that differ in load, repeat and part only."""
    work = [trial.work.task, trial.work.input, trial.work.holds_gil]
    own = [trial.system.name, trial.system.workers, str(trial.box), trial.poll_interval]
    return json.dumps([*work, *own], sort_keys=True, default=str)


def lines(group: LoadGroup) -> dict[str, Line]:
    """A line for each of the group's series, by label, from nearly no load to its highest below capacity."""
    found = {}
    for series in group.series:
        if (line := _line(series)) is not None:
            found[series.label] = line
    return found


def _line(series: Series) -> Line | None:
    known = [(p, f.theory.model) for p in series.points for f in p.repeats if f.theory is not None]
    if not known:
        return None
    point, model = known[0]
    measured = [x for p in series.points if math.isfinite(x := p.value(lambda f: f.rates.offered))]
    low, high = LOWEST * min(measured), min(max(measured), _rate_at(model, HIGHEST))
    if high <= low:
        return None
    rates = [low + (high - low) * n / (STEPS - 1) for n in range(STEPS)]
    shown = (0.5, 0.95)
    each = [_window(point, model, rate, shown) for rate in rates]
    return Line(tuple(rates), {p: tuple(values[p] for values in each) for p in shown})


def _rate_at(model: Model, utilisation: float) -> float:
    """Arrivals per second at which the model is so busy."""
    held = model.service_time + model.overhead.held
    slots = math.inf if model.slots is None else utilisation * model.slots / held
    each = model.cpu + utilisation * model.overhead.cpu
    cores = utilisation * model.cores / each if each > 0 else math.inf
    alone = utilisation * model.most / model.cpu if model.cpu > 0 else math.inf
    return min(slots, cores, alone)


def _window(point: Point, model: Model, rate: float, shown: Sequence[float]) -> dict[float, float]:
    """Percentiles of a window like this one at another rate: medians over schedules."""
    load = point.trial.load
    warmup, length = load.warmup, load.window
    if (many := rate * (warmup + length)) > ENOUGH:
        length = max(ENOUGH / rate - warmup, length * ENOUGH / many)
    times = max(1, min(SCHEDULES, round(ENOUGH / max(1.0, rate * (warmup + length)))))
    random = np.random.default_rng(SEED)
    found: dict[float, list[float]] = {p: [] for p in shown}
    for _ in range(times):
        arrivals = _arrivals(load.arrivals == "constant", rate, warmup, length, random)
        ordered = np.sort(model.responses(arrivals, rate)[arrivals >= warmup])
        for p in shown:
            # The same rank as a measured percentile has, also where the trial is too short to be given it.
            found[p].append(float(ordered[max(0, math.ceil(len(ordered) * p - 1e-9) - 1)]))
    return {p: float(np.sort(values)[len(values) // 2]) for p, values in found.items()}


def _arrivals(
    constant: bool, rate: float, warmup: float, length: float, random: np.random.Generator
) -> Floats:
    """Like `bench.load.arrivals`: as many as the rate gives, in each phase as far apart as chance has it."""
    if constant:
        count = max(1, math.floor(rate * (warmup + length) + 0.5))
        return np.asarray((np.arange(count) + 0.5) / rate, dtype=float)
    before = random.uniform(0.0, warmup, math.floor(rate * warmup + 0.5))
    counted = random.uniform(warmup, warmup + length, max(1, math.floor(rate * length + 0.5)))
    return np.concatenate((np.sort(before), np.sort(counted)))


def residuals(
    points: Sequence[Point], measured: Callable[[Figures], float | None], p: float
) -> list[tuple[Point, float]]:
    """Each point's residual, the middle over its repeats, where theory and measurement have one."""
    found = []
    for point in points:
        value = point.value(lambda f: None if f.theory is None else f.theory.residual(measured(f), p))
        if not math.isnan(value):
            found.append((point, value))
    return found
