"""What was computed for nobody, what the published queue lost, what polling costs."""

import math
from collections.abc import Sequence

from bench.analysis.across.findings import Finding
from bench.analysis.across.findings.load import load_words, window_words
from bench.analysis.across.groups import LoadGroup, Point, Series
from bench.analysis.run import names
from bench.analysis.trial import overhead, waste
from bench.analysis.trial.figures import Figures
from bench.analysis.trial.overhead import Overhead
from bench.analysis.trial.rates import CPU_PER_POLL
from bench.analysis.trial.waste import Waste
from bench.analysis.words import about, count, figure, listing, percent, rate, seconds, times


def waste_of(point: Point) -> Waste:
    """The point's repeats as one, those that may be believed."""
    return waste.pooled(f.waste for f in point.repeats if f.validity.believable)


def overhead_of(point: Point) -> Overhead:
    """The same of the CPU besides the task."""
    return overhead.pooled(f.overhead for f in point.repeats if f.validity.believable)


def wasted(group: LoadGroup) -> Finding | None:
    """Wasted work at the highest load of the group."""
    highest = max(p.trial.load.rate for s in group.series for p in s.points)
    rows = [(s, p) for s in group.series for p in s.points if math.isclose(p.trial.load.rate, highest)]
    parts = []
    for series, point in rows:
        found = waste_of(point)
        never, late, cut = (found.share(getattr(found, part)) for part in waste.PARTS)
        if not math.isnan(never):
            cut_words = f", {percent(cut)} repeated or cut off" if cut > 0.005 else ""
            parts.append(f"{series.label} {percent(never)} never delivered, {percent(late)} late{cut_words}")
    if not parts:
        return None
    first = rows[0][1]
    unit = "CPU time" if first.repeats[0].waste.in_cpu_seconds else "time"
    text = (
        f"Of the task {unit} that each system executed for the jobs of the {window_words(first)} at "
        f"{load_words(group, first)}, this went into results that were no use in time: {'; '.join(parts)}."
    )
    return Finding("waste", "Wasted work", text)


def overhead_rows(group: LoadGroup) -> list[tuple[Series, Point]]:
    """The systems whose CPU besides the task is known, at the load up to the reference capacity at which the
    most of them are, the highest of several; empty where none is.
    """
    known = [
        (s, p)
        for s in group.series
        for p in s.points
        if p.trial.load.rate <= group.reference and math.isfinite(overhead_of(p).per_job)
    ]
    rates = sorted({p.trial.load.rate for _, p in known})
    by_rate = [[(s, p) for s, p in known if p.trial.load.rate == rate] for rate in rates]
    return max(reversed(by_rate), key=len, default=[])


def overhead_words(rows: Sequence[tuple[Series, Point]]) -> str:
    """`queued 19 ms of CPU and gunicorn 2 ms`: the queue and the last plain blocking system, else two."""
    queue = [(s, p) for s, p in rows if s.kind == "queued"][:1]
    rival = [(s, p) for s, p in rows if s.kind in ("gunicorn", "blocking")][-1:]
    chosen = queue + rival or list(rows[:2])
    words = [f"{s.label} {seconds(overhead_of(p).per_job)}" for s, p in chosen]
    return listing([f"{words[0]} of CPU", *words[1:]])


def besides(group: LoadGroup) -> Finding | None:
    """What a job costs each system in CPU besides its task, and where."""
    rows = overhead_rows(group)
    if not rows:
        return None
    parts = [f"{s.label} {seconds(overhead_of(p).per_job)} ({_component_words(p)})" for s, p in rows]
    first = rows[0][1]
    text = (
        f"At {load_words(group, first)} each delivered job costs this much CPU besides its task's "
        f"{seconds(first.trial.work.cpu_time)}: {'; '.join(parts)}. What the processes use "
        "while idle is in it."
    )
    again = [
        f"{s.label} {seconds(o.per_execution)}"
        for s, p in rows
        if (o := overhead_of(p)).executed != o.delivered and math.isfinite(o.per_execution)
    ]
    if again:
        text += f" For each job executed, delivered or not: {'; '.join(again)}."
    return Finding("overhead", "CPU besides the task", text)


def _component_words(point: Point) -> str:
    """`web 11 ms, broker 4 ms`: the components by what they take, those with anything."""
    found = overhead_of(point)
    parts = sorted(((found.of(c), c) for c in found.cpu), reverse=True)
    return ", ".join(f"{c} {seconds(value)}" for value, c in parts if value > 0) or "nothing measurable"


def published(figures: Sequence[Figures]) -> Finding | None:
    """Lost jobs, dead consumers and repeated work of the queue as the blog post published it."""
    own = [f for f in figures if f.trial.system.kind == "as_published"]
    text = []
    for name in names([f.trial for f in own]):
        mine = [f for f in own if f.trial.system.name == name]
        text.append(_published_words(name, mine))
    fatal = sorted({f.trial.system.heartbeat for f in own if f.usage.deaths and f.ledger.lost})
    if fatal:
        text.append(
            "Its consumer takes every waiting job at once and does not answer the broker's heartbeat "
            f"({listing([seconds(s) for s in fatal])}) while it works; what it held is gone with it."
        )
    return Finding("published", "As published", " ".join(text)) if text else None


def _published_words(name: str, mine: Sequence[Figures]) -> str:
    deaths = sum(f.usage.deaths for f in mine)
    restarts = sum(f.usage.restarts for f in mine)
    lost, accepted = sum(f.ledger.lost for f in mine), sum(f.ledger.accepted for f in mine)
    open_, twice = sum(f.ledger.unfinished for f in mine), sum(f.ledger.duplicated for f in mine)
    words = f"{name} in {count(len(mine), 'trial')}: "
    if deaths:
        words += f"a process died {times(deaths)} and " + (
            f"was started again {times(restarts)}" if restarts else "stayed dead"
        )
    else:
        words += "nothing died"
    words += f", {lost:,} of {accepted:,} accepted jobs were lost"
    words += f", {open_:,} unfinished at the cut-off" if open_ else ""
    words += f", {twice:,} executed more than once" if twice else ""
    return words + "."


def polled(figures: Sequence[Figures]) -> Finding | None:
    """What polling costs below capacity, and at its worst."""
    own = [f for f in figures if f.polling.polls and f.trial.shows == "load"]
    if not own:
        return None
    calm = [f for f in own if f.trial.load.relative <= 0.9]
    worst = max(own, key=lambda f: f.polling.box_share)
    text = []
    usual = max(calm, key=lambda f: f.polling.box_share) if calm else worst
    text.append(
        f"A client asks every {seconds(usual.trial.poll_interval)}: {figure(usual.polling.per_job)} polls a "
        f"job in {usual.trial.system.name} at {rate(usual.rates.offered)}, "
        f"{figure(usual.polling.per_second)}/s, {about(usual.polling.box_share)} of the box's CPU at "
        f"{seconds(CPU_PER_POLL)} a poll."
    )
    if worst is not usual:
        text.append(
            f"At its worst, {worst.trial.system.name} at {rate(worst.rates.offered)}: "
            f"{figure(worst.polling.per_second)} polls/s, {about(worst.polling.box_share)} of the box."
        )
    return Finding("polling", "Polling", " ".join(text))
