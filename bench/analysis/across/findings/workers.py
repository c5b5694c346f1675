"""How many workers: where another one stops helping."""

import math
from collections.abc import Sequence

from bench.analysis.across.findings import Finding
from bench.analysis.across.findings.load import in_time
from bench.analysis.across.groups import Point, Series, WorkersGroup
from bench.analysis.across.scalability import NEEDED, Scalability, scalability
from bench.analysis.words import count, figure, listing, of_capacity, percent, rate, seconds

ENOUGH = 0.95
"""A worker count is enough when it delivers this share of what the best count delivers."""


def throughput(point: Point) -> float:
    """Correct results per second that reached clients in the window."""
    return point.value(lambda f: f.rates.throughput)


def workers_of(point: Point) -> int:
    """The point's worker count."""
    return point.trial.system.workers


def enough(series: Series) -> Point | None:
    """The smallest worker count as good as the best measured, in throughput and in the share in time."""
    best = max((throughput(p) for p in series.points), default=float("nan"))
    good = [p for p in series.points if throughput(p) >= ENOUGH * best]
    on_time = max((in_time(p) for p in good), default=0.0)
    return next((p for p in good if in_time(p) >= on_time - 0.05), None)


def workers(groups: Sequence[WorkersGroup]) -> list[Finding]:
    """One finding for CPU-bound work and one for work that waits, as far as they were swept."""
    found: list[Finding] = []
    for cpu_bound in (True, False):
        text, lead = [], ""
        for group in groups:
            series = main_series(group)
            if group.cpu_bound is cpu_bound and series is not None:
                text.append(_delivers_words(group))
                words, short = _need_words(group, series)
                text.append(words)
                text.append(scaling_words(scalability(group, series)))
                lead = lead or short
        if text:
            key, kind = ("workers", "CPU-bound work") if cpu_bound else ("workers-io", "work that waits")
            found.append(Finding(key, f"How many workers, {kind}", " ".join(text), "" if found else lead))
    return found


def scaling_words(found: Scalability) -> str:
    """The law's coefficients and the best worker count, or why there are none."""
    name, law = found.series.label, found.law
    if law is not None:
        best = "no number at which more would harm"
        if math.isfinite(law.best):
            best = f"the most with {count(max(1, round(law.best)), 'worker')}"
        return (
            f"By the Universal Scalability Law {name} does {figure(law.per_worker)}/s a worker, with a "
            f"contention σ of {_coefficient(law.contention)} and a coherency κ of "
            f"{_coefficient(law.coherency)}: {best} (fitted to {listing([str(n) for n in found.usable])}, "
            f"off by {percent(law.residual)})."
        )
    why = []
    if found.by_load:
        why.append(f"{_workers(found.by_load)} could have done more than was offered")
    if found.by_box:
        why.append(f"{_workers(found.by_box)} would take more CPU than the box has")
    if found.by_failure:
        why.append(f"{_workers(found.by_failure)} worked for clients that had been sent away")
    reason = f": {listing(why)}" if why else ""
    return (
        f"How {name} scales (the Universal Scalability Law) can't be told from this: it takes {NEEDED} "
        f"worker counts that are themselves the limit{reason}."
    )


def law_words(found: Scalability) -> str:
    """The same in one line, for a chart; empty where nothing is fitted."""
    if found.law is None:
        return ""
    best = f", best with {round(found.law.best)}" if math.isfinite(found.law.best) else ""
    return (
        f"Scalability law of {found.series.label} (thin): σ {_coefficient(found.law.contention)}, "
        f"κ {_coefficient(found.law.coherency)}{best}."
    )


def _workers(counts: Sequence[int]) -> str:
    return f"{listing([str(n) for n in counts])} {'worker' if list(counts) == [1] else 'workers'}"


def _coefficient(share: float) -> str:
    return "0" if share < 5e-5 else f"{100 * share:.2g} %"


def main_series(group: WorkersGroup) -> Series | None:
    """The queue, else the first system, with at least two worker counts."""
    swept = [s for s in group.series if len(s.points) > 1]
    return next((s for s in swept if s.kind == "queued"), swept[0] if swept else None)


def load_words(group: WorkersGroup) -> str:
    """`6.6 jobs/s (1.1 × capacity)`, by the realised arrivals."""
    words = of_capacity(group.offered / group.reference)
    return rate(group.offered) + (f" ({words})" if words else "")


def _delivers_words(group: WorkersGroup) -> str:
    window = seconds(group.series[0].points[0].value(lambda f: f.rates.span))
    parts = []
    for series in group.series:
        each = [f"{figure(throughput(p))} with {workers_of(p)}" for p in series.points]
        parts.append(f"{series.label} {listing(each)}")
    return f"At {load_words(group)} for {window}, results per second by workers: {'; '.join(parts)}."


def _need_words(group: WorkersGroup, series: Series) -> tuple[str, str]:
    point = enough(series)
    if point is None:
        return "", ""
    need = workers_of(point)
    beyond = [workers_of(p) for p in series.points if workers_of(p) > need]
    limit = group.cpus / max(group.work.cpu_time, 1e-9)
    # More workers than the load needs can't deliver more than was offered: that says nothing against them.
    carried = throughput(point) >= ENOUGH * group.offered
    verb = "is" if need == 1 else "are"
    if beyond and carried:
        text = f"So {count(need, 'worker')} {verb} enough for that load: {beyond[0]} deliver no more."
        short = f"{count(need, 'worker')} {'carries' if need == 1 else 'carry'} {rate(group.offered)}."
    elif beyond:
        shared = group.cpu_bound and point.trial.worker_box is None
        why = f" (the box's {figure(group.cpus)} vCPU allow {figure(limit)}/s)" if shared else ""
        text = f"So {count(need, 'worker')} {verb} enough: {beyond[0]} deliver no more{why}."
        short = f"More than {count(need, 'worker')} deliver no more{why}."
    elif carried:
        text = f"So it takes {count(need, 'worker')} to carry that load."
        short = f"It takes {count(need, 'worker')} to carry {rate(group.offered)}."
    else:
        text = f"So {count(need, 'worker')}, the most that were measured, still deliver the most."
        short = f"Of the worker counts that were tried, {need} deliver the most: more may deliver more."
    if in_time(point) < ENOUGH:
        text += f" Even with them {percent(in_time(point))} of that window's users have a result in time."
    return text, short
