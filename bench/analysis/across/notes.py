"""What to know before believing a figure: caps not in force, trials that failed or were rejected. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.analysis.intervals import ENOUGH_REPEATS
from bench.analysis.run import Run, capped
from bench.analysis.trial.figures import Figures
from bench.analysis.trial.latency import arrivals_needed
from bench.analysis.trial.stages import TOLERANCE
from bench.analysis.trial.validity import Reason
from bench.analysis.trial.warmup import still_warming
from bench.analysis.words import about, count, listing, seconds

DEVIATION = 0.05
"""Service times by journal and by Server-Timing that differ by more than this are worth a warning."""

Tone = Literal["loud", "warning", "note"]

NAMED = 3
"""Trials that a note names; of more it says how many."""


@dataclass(frozen=True)
class Note:
    """One thing to know."""

    tone: Tone
    text: str


def notes(run: Run, figures: Sequence[Figures], strays: int = 0) -> tuple[Note, ...]:
    """Everything worth saying, the gravest first. `strays`: rows of trials that the plan does not know."""
    found = [
        *_caps(run),
        *_trials(run),
        *_validity(figures),
        *_attempts(run),
        *_dropped(figures),
        *_warming(figures),
        *_censored(figures),
        *_stages(figures),
        *_calibration(run),
        *_polling(figures),
        *_counts(run, figures),
        *_others(run),
    ]
    if strays:
        found.append(
            Note(
                "warning",
                f"{count(strays, 'recorded row')} of trials that run.json does not name were left out.",
            )
        )
    rank = {"loud": 0, "warning": 1, "note": 2}
    return tuple(sorted(found, key=lambda n: rank[n.tone]))


def _caps(run: Run) -> list[Note]:
    if run.external:
        return [Note("loud", "Nothing is capped and nothing was started: the service already ran.")]
    ours = [t for t in run.done if t.system.kind != "external"]
    lacking = {
        words: sum(1 for t in ours if not capped(run.result(t), name))
        for name, words in (("cpus", "CPU"), ("memory", "Memory"))
    }
    why = str(run.caps.get("why") or "").rstrip(".")
    return [
        Note(
            "loud",
            f"{words} was NOT CAPPED{'' if n == len(ours) else f' in {n} of {len(ours)} trials'}"
            f"{f': {why}' if why else ''}. The experiment's box was not in force.",
        )
        for words, n in lacking.items()
        if n
    ]


def _trials(run: Run) -> list[Note]:
    found = []
    pending = [t for t in run.trials if run.result(t).status == "pending"]
    if pending:
        how = "was interrupted" if not run.finished else "ended early"
        found.append(
            Note(
                "loud",
                f"The run {how}: {len(run.trials) - len(pending)} of {len(run.trials)} trials took place. "
                f"`bench run --resume` goes on.",
            )
        )
    for status, tone, verb in (("failed", "warning", "failed"), ("skipped", "note", "was not run")):
        reasons: dict[str, list[str]] = {}
        for t in run.trials:
            if run.result(t).status == status:
                reasons.setdefault(run.result(t).reason or "no reason was recorded", []).append(t.id)
        for reason, ids in reasons.items():
            who = (
                f"Trial {ids[0]} {verb}"
                if len(ids) == 1
                else f"{len(ids)} trials {verb.replace('was', 'were')}"
            )
            which = "" if len(ids) == 1 else f" ({', '.join(ids)})"
            found.append(
                Note("warning" if tone == "warning" else "note", f"{who}: {reason.rstrip('.')}{which}.")
            )
    return found


def _validity(figures: Sequence[Figures]) -> list[Note]:
    """One note for each reason, however many trials have it."""
    told: dict[str, list[tuple[str, Reason]]] = {}
    for f in figures:
        for reason in f.validity.reasons:
            told.setdefault(reason.code, []).append((f.trial.id, reason))
    return [_reason(own) for own in told.values()]


def _reason(own: Sequence[tuple[str, Reason]]) -> Note:
    trial, reason = own[0]
    grade = reason.grade if reason.grade != "VALID" else "VALID, but"
    others = f" So {'is' if len(own) == 2 else 'are'} {_names([t for t, _ in own[1:]])}." if own[1:] else ""
    tone: Tone = "warning" if reason.grade == "INVALID" else "note"
    return Note(tone, f"{trial} is {grade}: {reason.text}{others} {reason.advice}")


def _names(trials: Sequence[str]) -> str:
    """The first few, and how many more."""
    if len(trials) <= NAMED:
        return listing(trials)
    return f"{', '.join(trials[:NAMED])} and {len(trials) - NAMED} more (trials.csv has each one's figures)"


def _attempts(run: Run) -> list[Note]:
    """Trials that were measured again because an earlier attempt was INVALID."""
    again = [t.id for t in run.done if run.result(t).attempts > 1]
    if not again:
        return []
    return [
        Note(
            "note",
            f"Measured again because an earlier attempt was INVALID: {_names(again)}. The last one counts.",
        )
    ]


def _stages(figures: Sequence[Figures]) -> list[Note]:
    """Of how many jobs the response time can't be taken apart, and whether the two ways to do it agree."""
    found = []
    delivered = sum(f.stages.delivered for f in figures)
    unseen = sum(f.stages.unseen for f in figures)
    if unseen:
        found.append(
            Note(
                "note",
                f"{unseen:,} of {count(delivered, 'delivered job')} can't be taken apart: neither journal "
                "nor Server-Timing shows the run.",
            )
        )
    adrift = sum(f.stages.adrift for f in figures)
    if adrift:
        worst = max(figures, key=lambda f: f.stages.adrift)
        found.append(
            Note(
                "warning",
                f"Of {adrift:,} of {count(delivered, 'delivered job')} the stages do not sum to the response "
                f"time within {TOLERANCE * 100:.0f} % (most in {worst.trial.id}): clocks that disagree, or a "
                "run that was not the job's. They are left out of the stages.",
            )
        )
    timed = sum(f.stages.timed for f in figures)
    if timed:
        found.append(
            Note(
                "note",
                f"{count(timed, 'job')} taken apart by the service's own Server-Timing, since no journal "
                "shows the run: what it does not count as wait or run is accept and discovery here.",
            )
        )
    return [*found, *_server_timing(figures)]


def _server_timing(figures: Sequence[Figures]) -> list[Note]:
    both = [f for f in figures if math.isfinite(f.stages.deviation)]
    if not both:
        return []
    worst = max(both, key=lambda f: abs(f.stages.deviation))
    off = abs(worst.stages.deviation)
    words = f"Service by the journal and by Server-Timing differ by {off * 100:.2g} % at most"
    where = f"(median over a trial's jobs, in {worst.trial.id})"
    return [Note("warning" if off > DEVIATION else "note", f"{words} {where}.")]


def _dropped(figures: Sequence[Figures]) -> list[Note]:
    """Jobs that were not sent, where they are too few to be a reason."""
    told = [f for f in figures if not any(r.code == "arrivals" for r in f.validity.reasons)]
    dropped = sum(f.ledger.dropped for f in told)
    if not dropped:
        return []
    return [Note("warning", f"{count(dropped, 'job')} not sent: the generator's bound on jobs in flight.")]


def _warming(figures: Sequence[Figures]) -> list[Note]:
    points: dict[tuple[str, str, int, str], list[Figures]] = {}
    for f in figures:
        trial = f.trial
        key = (trial.part, trial.system.name, trial.system.workers, trial.load.label)
        points.setdefault(key, []).append(f)
    found = []
    for (_, system, workers, load), repeats in points.items():
        more = still_warming([f.warming for f in repeats])
        if more is not None:
            found.append(
                Note(
                    "warning",
                    f"{system} ×{workers} at {load}: the first {seconds(more)} of the window still look like "
                    "warming up (MSER-5). A longer warm-up would leave them out.",
                )
            )
    return found


def _censored(figures: Sequence[Figures]) -> list[Note]:
    found = []
    for f in figures:
        if f.censored is not None and f.censored[0.95] is not None:
            found.append(
                Note(
                    "note",
                    f"{f.trial.id}: {count(f.ledger.unfinished, 'job')} unfinished at the cut-off, which the "
                    f'percentiles take for never. As "at least so long" (Kaplan-Meier) p95 is '
                    f"{seconds(f.censored[0.95])}.",
                )
            )
    return found


def _calibration(run: Run) -> list[Note]:
    found = []
    for c in run.calibration:
        if c.drift is not None and not 0.75 <= c.drift <= 1.33:
            found.append(
                Note(
                    "warning",
                    f"The machine changed speed: one {c.task} job alone took {seconds(c.before)} before the "
                    f"run and {seconds(c.after or 0.0)} after it. Compare systems within this run only.",
                )
            )
    return found


def _polling(figures: Sequence[Figures]) -> list[Note]:
    heavy = [
        f
        for f in figures
        if f.polling.box_share > 0.05 and f.trial.shows == "load" and f.trial.load.relative <= 0.9
    ]
    if not heavy:
        return []
    worst = max(heavy, key=lambda f: f.polling.box_share)
    return [
        Note(
            "warning",
            f"Polling took {about(worst.polling.box_share)} of the box's CPU in {worst.trial.id}, more than "
            "the 5 % aimed at: there the poll interval is part of the load.",
        )
    ]


def _counts(run: Run, figures: Sequence[Figures]) -> list[Note]:
    found: list[Note] = []
    if not figures:
        return found
    if run.repeats == 1:
        found.append(Note("note", "One repeat, shown without interval."))
    elif run.repeats < ENOUGH_REPEATS:
        found.append(
            Note("note", f"{run.repeats} repeats: medians over trials; an interval takes {ENOUGH_REPEATS}.")
        )
    else:
        found.append(
            Note("note", f"{run.repeats} repeats: medians over trials, with 95 % bootstrap intervals.")
        )
    few = sorted(
        f.ledger.arrivals
        for f in figures
        if f.trial.shows in ("load", "workers") and f.response[0.95] is None
    )
    if few:
        found.append(
            Note(
                "note",
                f"p95 is left out of {count(len(few), 'trial')} with {few[-1]} arrivals or fewer: it takes "
                f"{arrivals_needed(0.95)}.",
            )
        )
    return found


def _others(run: Run) -> list[Note]:
    """The run's own notes, but for those that the figures themselves told already."""
    told = ("One repeat", "NOT CAPPED")
    return [Note("note", text) for text in run.notes if not text.startswith(told)]


def stamp(run: Run) -> str:
    """The stamp for charts: empty where everything was capped."""
    if run.external:
        return "nothing capped, nothing started"
    lacking = [
        words
        for name, words in (("cpus", "CPU"), ("memory", "memory"))
        if any(not capped(run.result(t), name) for t in run.done)
    ]
    if not lacking:
        return ""
    return "not capped" if len(lacking) == 2 else f"{lacking[0]} not capped"
