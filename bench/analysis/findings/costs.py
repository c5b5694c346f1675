"""What was computed for nobody, what the published queue lost, what polling costs."""

import math
from collections.abc import Sequence

from bench.analysis.figures import Figures
from bench.analysis.findings import Finding
from bench.analysis.findings.load import load_words, window_words
from bench.analysis.groups import LoadGroup
from bench.analysis.rates import CPU_PER_POLL
from bench.analysis.run import names
from bench.analysis.words import about, count, figure, listing, percent, rate, seconds, times


def wasted(group: LoadGroup) -> Finding | None:
    """Wasted work at the highest load of the group."""
    highest = max(p.trial.load.rate for s in group.series for p in s.points)
    rows = [(s, p) for s in group.series for p in s.points if math.isclose(p.trial.load.rate, highest)]
    parts = []
    for series, point in rows:
        never = point.value(lambda f: f.waste.share(f.waste.never_delivered))
        late = point.value(lambda f: f.waste.share(f.waste.late))
        cut = point.value(lambda f: f.waste.share(f.waste.twice_or_cut))
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
