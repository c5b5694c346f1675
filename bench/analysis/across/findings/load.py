"""Below capacity, above it, and what a bounded server gives of the queue's gain."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.across.findings import Finding
from bench.analysis.across.groups import LoadGroup, Point, Series
from bench.analysis.words import count, figure, listing, of_capacity, percent, rate, seconds
from bench.plan import Kind

ALIKE_SHARE = 0.05
"""Two systems are alike while their shares in time differ by no more than this (or by one job) …"""
ALIKE_TIME = 1.0
"""… and their median times to result by less than this many service times, or one poll interval."""


@dataclass(frozen=True)
class Pair:
    """The queue and a rival under the same load."""

    queue: Point
    rival: Point

    @property
    def cost(self) -> float:
        """What the queue adds to the median time to result, seconds; NaN where one has none."""
        return median(self.queue) - median(self.rival)

    @property
    def alike(self) -> bool:
        """Whether users would notice no difference."""
        arrivals = self.queue.total(lambda f: f.ledger.arrivals)
        gap = abs(in_time(self.queue) - in_time(self.rival))
        trial = self.queue.trial
        near = abs(self.cost) < max(ALIKE_TIME * trial.work.service_time, trial.poll_interval)
        return gap <= max(ALIKE_SHARE, 1.001 / max(arrivals, 1)) and near


def offered(point: Point) -> float:
    """Realised arrivals per second."""
    return point.value(lambda f: f.rates.offered)


def median(point: Point) -> float:
    """Median time to result in seconds."""
    return point.value(lambda f: f.response[0.5])


def in_time(point: Point) -> float:
    """Share of the arrivals with a correct result within D."""
    return point.share(lambda f: f.ledger.in_time)


def delivered(point: Point) -> float:
    """Share of the arrivals with a correct result, however late."""
    return point.share(lambda f: f.ledger.delivered)


def load_words(group: LoadGroup, point: Point) -> str:
    """`5.2 jobs/s (0.87 × capacity)`, by the realised arrivals."""
    words = of_capacity(group.relative(point))
    return rate(offered(point)) + (f" ({words})" if words else "")


def window_words(point: Point) -> str:
    """`8 s (32 × S)`."""
    return (
        f"{seconds(point.value(lambda f: f.rates.span))} ({figure(point.value(lambda f: f.window_in_s))} × S)"
    )


def pairs(queue: Series, rival: Series) -> list[Pair]:
    """Points of both under the same load, by rising load."""
    by_rate = {round(p.trial.load.rate, 6): p for p in rival.points}
    return [
        Pair(p, by_rate[round(p.trial.load.rate, 6)])
        for p in queue.points
        if round(p.trial.load.rate, 6) in by_rate
    ]


def alike(group: LoadGroup) -> Finding | None:
    """Up to which load the two are alike, and what the queue costs there."""
    queue, rival = group.find("queued", "as_published"), group.find("gunicorn", "bounded", "blocking")
    both = pairs(queue, rival) if queue and rival else []
    if queue is None or rival is None or not both:
        return None
    until = next((n for n, pair in enumerate(both) if not pair.alike), len(both)) - 1
    if until < 0:
        return _not_alike(group, queue, rival, both[0])
    top, lowest = both[until], both[0]
    lead = (
        f"Up to {load_words(group, top.queue)} you need no queue: {rival.label} gives as many users a "
        f"result in time, and the queue {_cost_words(lowest.cost)} a job."
    )
    text = [lead]
    discovery = lowest.queue.value(lambda f: f.stages.discovery)
    if lowest.cost > 0 and discovery > 0 and lowest.queue.total(lambda f: f.polling.polls):
        every = seconds(lowest.queue.trial.poll_interval)
        text.append(
            f"On average {seconds(discovery)} pass until the client has a finished result, since it asks "
            f"every {every}; a push would save most of that."
        )
    for other in (s for s in group.series if s.kind == "blocking" and s is not rival):
        text += _other_words(other, top)
    return Finding("alike", "Below capacity", " ".join(text), lead)


def _cost_words(cost: float) -> str:
    if math.isnan(cost):
        return "costs an unknown time"
    if cost > 0.0005:
        return f"costs you {seconds(cost)}"
    if cost < -0.0005:
        return f"even saves you {seconds(-cost)}"
    return "costs you nothing measurable"


def _not_alike(group: LoadGroup, queue: Series, rival: Series, first: Pair) -> Finding:
    """How they differ at the lowest load: in who has a result in time, in how long the median user waits."""
    where = f"Already at {load_words(group, first.queue)}, the lowest load compared, they differ:"
    both = (median(first.queue), median(first.rival))
    waits = (
        f"the median user waits {seconds(both[0])} with {queue.label} and {seconds(both[1])} with "
        f"{rival.label}."
        if all(0 < m < math.inf for m in both)
        else ""
    )
    if waits and abs(in_time(first.queue) - in_time(first.rival)) <= ALIKE_SHARE:
        lead = f"{where} {waits}"
        return Finding("alike", "Lowest load", lead, lead)
    lead = (
        f"{where} {queue.label} gives {percent(in_time(first.queue))} of its users a result in time, "
        f"{rival.label} {percent(in_time(first.rival))}."
    )
    return Finding("alike", "Lowest load", f"{lead} There {waits}" if waits else lead, lead)


def _other_words(other: Series, top: Pair) -> list[str]:
    rate_there = top.queue.trial.load.rate
    point = next((p for p in other.points if math.isclose(p.trial.load.rate, rate_there)), None)
    if point is None or in_time(point) >= in_time(top.queue) - ALIKE_SHARE:
        return []
    able = point.trial.capacity
    why = f", which can do {rate(able)} at most," if able < offered(top.queue) * 1.2 else ""
    return [f"There {other.label}{why} gives {percent(in_time(point))} of its users a result in time."]


def overload(group: LoadGroup) -> Finding | None:
    """What each system does at the highest load above the reference capacity, with its window."""
    above = [p for s in group.series for p in s.points if group.relative(p) > 1.0]
    if not above:
        return None
    highest = max(p.trial.load.rate for p in above)
    rows = [(s, p) for s in group.series for p in s.points if math.isclose(p.trial.load.rate, highest)]
    first = rows[0][1]
    text = [
        f"At {load_words(group, first)} for {window_words(first)} nobody can serve everybody; these are "
        f"shares of that window's {first.total(lambda f: f.ledger.arrivals):,} arrivals, not a steady state.",
        "; ".join(f"{s.label}: {shares(p)}" for s, p in rows) + ".",
    ]
    text += [drain_words(s, p) for s, p in rows if s.kind == "queued"][:1]
    return Finding("overload", "Above capacity", " ".join(text), _gained_words(group, rows))


def _gained_words(group: LoadGroup, rows: Sequence[tuple[Series, Point]]) -> str:
    """What a queue is for: who gets a result at all, and who in time; empty without a queue and a rival."""
    queue = next((p for s, p in rows if s.kind == "queued"), None)
    rivals = [(s.label, p) for s, p in rows if s.kind in ("gunicorn", "bounded", "blocking")]
    if queue is None or not rivals:
        return ""
    each = [
        f"{name} {percent(delivered(p))} and {percent(in_time(p))}"
        for name, p in [("the queue", queue), *rivals]
    ]
    return (
        f"At {load_words(group, queue)} for {window_words(queue)}, so many users got a result at all, "
        f"and in time: {'; '.join(each)}."
    )


def shares(point: Point) -> str:
    """In time, late, turned away, never: as counts of the arrivals, those that are not zero."""
    parts = [
        (point.total(lambda f: f.ledger.in_time), "in time"),
        (point.total(lambda f: f.ledger.late), "late"),
        (point.total(lambda f: f.ledger.rejected), "turned away at once"),
        (point.total(lambda f: f.ledger.never), "never"),
    ]
    return listing([f"{n:,} {words}" for n, words in parts if n]) or "no arrivals"


def drain_words(series: Series, point: Point) -> str:
    """How long the queue needed to deliver what it had accepted."""
    spent = seconds(point.value(lambda f: f.drain.seconds))
    if not all(f.drain.complete for f in point.repeats):
        without = point.total(lambda f: f.ledger.unfinished + f.ledger.lost)
        return (
            f"{series.label} was cut off {spent} after the window, {count(without, 'job')} without a result."
        )
    if all(f.drain.all_delivered for f in point.repeats):
        return f"{series.label} had delivered every job it accepted {spent} after the window."
    return f"{series.label} came to rest {spent} after the window."


def bounded(group: LoadGroup, bursts: Sequence[tuple[str, dict[str, Point]]]) -> Finding | None:
    """How much of the queue's gain the bounded rival gives without any queue.

    `bursts` names each burst and gives its points by kind.
    """
    kinds: tuple[Kind, ...] = ("gunicorn", "bounded", "queued")
    found: dict[str, Series] = {kind: series for kind in kinds if (series := group.find(kind))}
    text: list[str] = []
    if len(found) == len(kinds):
        by_rate = {kind: {round(p.trial.load.rate, 6): p for p in s.points} for kind, s in found.items()}
        for shared in sorted(set.intersection(*(set(points) for points in by_rate.values()))):
            points = {kind: rows[shared] for kind, rows in by_rate.items()}
            first = points["queued"]
            if group.relative(first) > 1.0:
                text = [_gain_words(f"At {load_words(group, first)} for {window_words(first)}", points)]
    text += [_gain_words(name, points) for name, points in bursts if set(kinds) <= set(points)]
    return Finding("bounded", "Without any queue", " ".join(text)) if text else None


def _gain_words(where: str, points: dict[str, Point]) -> str:
    plain, limit, queue = (in_time(points[k]) for k in ("gunicorn", "bounded", "queued"))
    refused = points["bounded"].share(lambda f: f.ledger.rejected)
    away = percent(refused) if refused else "nobody"
    in_the_end = percent(delivered(points["queued"]))
    if queue - plain > 0.02:
        gain = f"{percent(max(0.0, (limit - plain) / (queue - plain)))} of what the queue gains in time"
    else:
        gain = "in time the queue gains nothing over gunicorn here"
    return (
        f"{where} a connection limit in nginx gives {percent(limit)} of the users a result in time (gunicorn "
        f"without it {percent(plain)}, the queue {percent(queue)}: {gain}); it turns {away} away at once, "
        f"where the queue in the end delivers {in_the_end}."
    )


def alone(group: LoadGroup) -> Finding | None:
    """For a run of one family only: how far each system goes by itself."""
    text = []
    for series in group.series:
        good = [p for p in series.points if in_time(p) >= 1 - ALIKE_SHARE]
        top, last = (good[-1] if good else None), series.points[-1]
        if top is not None:
            middle = median(top)
            tail = f", the median after {seconds(middle)}" if not math.isnan(middle) else ""
            text.append(
                f"{series.label} gives {percent(in_time(top))} of its users a result in time at "
                f"{load_words(group, top)}{tail}."
            )
        if top is not last:
            text.append(
                f"At {load_words(group, last)} for {window_words(last)}, {series.label}: {shares(last)}."
            )
    return Finding("alone", "Over the load", " ".join(text), " ".join(text[:2])) if text else None
