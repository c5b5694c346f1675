"""What to know before believing a figure: caps not in force, trials that failed, a late generator. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.analysis.figures import Figures
from bench.analysis.intervals import ENOUGH_REPEATS
from bench.analysis.latency import arrivals_needed
from bench.analysis.run import Run, capped
from bench.analysis.warmup import still_warming
from bench.analysis.words import about, count, figure, seconds

Tone = Literal["loud", "warning", "note"]


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
        *_generator(figures),
        *_ledgers(figures),
        *_warming(figures),
        *_censored(figures),
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


def _generator(figures: Sequence[Figures]) -> list[Note]:
    found = []
    late = [f for f in figures if f.send_delay_p99 > _send_limit(f)]
    if late:
        worst = max(late, key=lambda f: f.send_delay_p99)
        found.append(
            Note(
                "warning",
                f"The load generator sent late in {count(len(late), 'trial')} (p99 of the send delay up to "
                f"{seconds(worst.send_delay_p99)}, in {worst.trial.id}). Latencies count from the arrival, "
                "so its lateness is in them.",
            )
        )
    busy = [f for f in figures if f.usage.generator_cpu > 0.8]
    if busy:
        worst = max(busy, key=lambda f: f.usage.generator_cpu)
        found.append(
            Note(
                "warning",
                f"The load generator used up to {figure(worst.usage.generator_cpu)} cores "
                f"({worst.trial.id}); above 0.8 it may be what is measured.",
            )
        )
    dropped = sum(f.ledger.dropped for f in figures)
    if dropped:
        found.append(
            Note("warning", f"{count(dropped, 'job')} not sent: the generator's bound on jobs in flight.")
        )
    return found


def _send_limit(f: Figures) -> float:
    median = f.response.get(0.5) or 0.0
    return max(0.005, 0.02 * median)


def _ledgers(figures: Sequence[Figures]) -> list[Note]:
    return [
        Note("warning", f"The books of {f.trial.id} do not balance: {'; '.join(f.problems)}.")
        for f in figures
        if f.problems
    ]


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
