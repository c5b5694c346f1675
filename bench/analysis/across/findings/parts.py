"""The burst, the memory failure, closed users, and waiting against the service time."""

import math
from collections.abc import Mapping

import numpy as np

from bench.analysis.across.findings import Finding
from bench.analysis.across.groups import PartGroup, Point, Series
from bench.analysis.run import Run, capped
from bench.analysis.trial.latency import Returns
from bench.analysis.words import count, figure, listing, seconds, size, times
from bench.plan import Work

DELIVERED = ("in_time", "late")


def last_return(point: Point, returns: Mapping[str, Returns]) -> float:
    """Seconds until the last delivered job came back; the middle over repeats, NaN for none."""
    lasts = []
    for f in point.repeats:
        found = returns.get(f.trial.id)
        came = (
            [t for t, fate in zip(found.times, found.fate, strict=True) if fate in DELIVERED] if found else []
        )
        lasts += [max(came)] if came else []
    return float(np.median(lasts)) if lasts else math.nan


def burst(group: PartGroup, returns: Mapping[str, Returns]) -> Finding:
    """What a burst did to each system."""
    words = {s.label: return_words(s, returns) for s in group.series}
    blocking = next((words[s.label] for s in group.series if not s.queue), "")
    queue = next((words[s.label] for s in group.series if s.kind == "queued"), "")
    deadline = group.series[0].points[0].trial.deadline
    lead = f"A burst of {group.size}{repeated(group)}: {'; '.join(w for w in (blocking, queue) if w)}."
    opening = f"{group.size} jobs at once{repeated(group)}, {seconds(deadline)} to be in time"
    text = f"{opening}: {'; '.join(words.values())}."
    return Finding("burst", f"Burst of {group.size}", text, lead if blocking or queue else "")


def repeated(group: PartGroup) -> str:
    """`, 5 times over`: the counts that follow are of all repeats."""
    repeats = max(len(p.repeats) for s in group.series for p in s.points)
    return f", {repeats} times over" if repeats > 1 else ""


def return_words(series: Series, returns: Mapping[str, Returns]) -> str:
    """What became of the jobs of one point, and when the last result came."""
    point = series.points[0]
    arrivals, delivered = point.total(lambda f: f.ledger.arrivals), point.total(lambda f: f.ledger.delivered)
    on_time, away = point.total(lambda f: f.ledger.in_time), point.total(lambda f: f.ledger.rejected)
    failed, lost = (
        point.total(lambda f: f.ledger.failed + f.ledger.dropped),
        point.total(lambda f: f.ledger.lost),
    )
    open_ = point.total(lambda f: f.ledger.unfinished)
    last = seconds(last_return(point, returns))
    if delivered == arrivals:
        share = "all in time" if on_time == arrivals else f"{on_time:,} of them in time"
        return f"{series.label} delivers all {arrivals:,}, {share}, the last after {last}"
    cut = point.total(lambda f: f.ledger.gateway_timeout)
    why = f" ({'all' if cut == failed else f'{cut:,}'} with the gateway's 504)" if cut else ""
    bad = [f"fails {failed:,} of {arrivals:,}{why}"] if failed else []
    bad += [f"loses {lost:,} of {arrivals:,}"] if lost else []
    bad += [f"leaves {open_:,} of {arrivals:,} unfinished"] if open_ else []
    bad += [f"turns {away:,} of {arrivals:,} away at once"] if away else []
    late = f" and {delivered - on_time:,} late" if delivered > on_time else ""
    got = f", {on_time:,} in time{late}" if delivered else ""
    return f"{series.label} {listing(bad)}{got}"


def memory(group: PartGroup) -> Finding:
    """Who was killed for memory, and what it did to the users."""
    box = group.series[0].points[0].trial.box
    parts = []
    for series in group.series:
        point = series.points[0]
        kills = point.total(lambda f: f.usage.oom_kills)
        arrivals = point.total(lambda f: f.ledger.arrivals)
        delivered = point.total(lambda f: f.ledger.delivered)
        workers = 0 if series.kind in ("blocking", "external") else point.trial.system.workers
        who = f"{series.label} with {count(workers, 'worker')}" if workers else series.label
        got = f"all {arrivals:,}" if delivered == arrivals else f"{delivered:,} of {arrivals:,}"
        fate = f"is killed for memory {times(kills)} and" if kills else "is not killed and"
        parts.append(f"{who} {fate} delivers {got}")
    opening = f"{group.size} jobs{job_memory(group.work)} at once in {size(box.memory)}{repeated(group)}"
    text = f"{opening}: {'; '.join(parts)}."
    return Finding("memory", "Memory", text, text)


def job_memory(work: Work) -> str:
    """` of 600 MB each`, as far as the work says."""
    asked = work.input.get("mb") if isinstance(work.input, dict) else None
    if isinstance(asked, int | float):
        return f" of {asked:,} MB each"
    return f" of {size(work.memory)} each" if work.memory else ""


def memory_not_run(run: Run) -> Finding | None:
    """Say that the memory failure was left out, and why."""
    planned = [t for t in run.trials if t.needs_memory_cap]
    skipped = [t for t in planned if run.result(t).status == "skipped"]
    if not skipped or any(
        run.result(t).status == "done" and capped(run.result(t), "memory") for t in planned
    ):
        return None
    reason = run.result(skipped[0]).reason or "memory is not capped here"
    return Finding("memory", "Memory", f"The memory failure was not run: {reason.rstrip('.')}.")


def closed(group: PartGroup, returns: Mapping[str, Returns]) -> Finding:
    """What each of N users at once waited for."""
    words = {s.label: return_words(s, returns) for s in group.series}
    opening = (
        f"{count(group.size, 'user')} at once{repeated(group)} (closed model: who waits sends nothing new)"
    )
    blocking = next((words[s.label] for s in group.series if s.kind == "blocking"), "")
    queue = next((words[s.label] for s in reversed(group.series) if s.kind == "queued"), "")
    lead = f"{opening}: {'; '.join(w for w in (blocking, queue) if w)}."
    text = f"{opening}: {'; '.join(words.values())}."
    return Finding("closed", f"{count(group.size, 'user')} at once", text, lead if blocking or queue else "")


def waiting(group: PartGroup) -> Finding | None:
    """Whether waiting grows linearly or exponentially with the service time."""
    parts = []
    for series in group.series:
        if shape := growth_shape(*waits(series)):
            parts.append(f"{series.label} {shape}")
    if not parts:
        return None
    text = (
        f"As the processing time grows, the waiting of {group.size} users at once grows: {'; '.join(parts)}. "
        "The blog post calls it exponential; theory says linear for a fixed burst."
    )
    return Finding("waiting", "Waiting per user", text)


def waits(series: Series) -> tuple[list[float], list[float]]:
    """Service times, and the mean time to result at each, where every job was delivered."""
    points = [
        (p.trial.work.service_time, p.value(lambda f: f.mean_response))
        for p in series.points
        if p.total(lambda f: f.ledger.arrivals - f.ledger.delivered) == 0
    ]
    points = [(s, w) for s, w in points if math.isfinite(w)]
    return [s for s, _ in points], [w for _, w in points]


def growth_shape(x: list[float], y: list[float]) -> str:
    """Say how y grows with x, by the better of two fits on a log scale: a power of x, or an exponential.

    Empty under three points: anything fits two.
    """
    if len(x) < 3 or min(y) <= 0:
        return ""
    logs = np.log(y)
    power, exponential = np.polyfit(np.log(x), logs, 1), np.polyfit(x, logs, 1)
    power_off = float(np.sqrt(np.mean((logs - np.polyval(power, np.log(x))) ** 2)))
    exponential_off = float(np.sqrt(np.mean((logs - np.polyval(exponential, x)) ** 2)))
    exponent = float(power[0])
    if exponential_off < power_off / 2 and exponent > 1.3:
        return f"exponentially (times {figure(float(np.exp(exponential[0])))} a second of processing)"
    kind = "linearly" if abs(exponent - 1) <= 0.2 else "faster" if exponent > 1 else "slower"
    return f"{kind}{'' if kind == 'linearly' else ' than linearly'} (as its power of {exponent:.2f})"
