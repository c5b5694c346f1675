"""How many workers: where another one stops helping."""

from collections.abc import Sequence

from bench.analysis.findings import Finding
from bench.analysis.findings.load import in_time
from bench.analysis.groups import Point, Series, WorkersGroup
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
                lead = lead or short
        if text:
            key, kind = ("workers", "CPU-bound work") if cpu_bound else ("workers-io", "work that waits")
            found.append(Finding(key, f"How many workers, {kind}", " ".join(text), "" if found else lead))
    return found


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
    if beyond:
        why = f" (the box's {figure(group.cpus)} vCPU allow {figure(limit)}/s)" if group.cpu_bound else ""
        verb = "is" if need == 1 else "are"
        text = f"So {count(need, 'worker')} {verb} enough: {beyond[0]} deliver no more{why}."
        short = f"You need {count(need, 'worker')}: {beyond[0]} deliver no more{why}."
    else:
        text = f"So {count(need, 'worker')}, the most that were measured, still deliver the most."
        short = f"You need {count(need, 'worker')} or more: nothing smaller delivers as much."
    if in_time(point) < ENOUGH:
        text += f" Even with them {percent(in_time(point))} of that window's users have a result in time."
    return text, short
