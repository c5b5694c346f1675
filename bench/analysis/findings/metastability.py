"""Which systems come back after a pulse, and what retries cost meanwhile."""

import math
from collections.abc import Sequence

from bench.analysis.findings import Finding
from bench.analysis.metastability import Recovery
from bench.analysis.shaped import Climbed, Pulsed
from bench.analysis.words import figure, listing, percent, seconds, sentence


def metastability(trials: Sequence[Pulsed]) -> Finding | None:
    """Say of every system whether it came back."""
    if not trials:
        return None
    stay = [t.series.label for t in trials if t.state == "metastable"]
    back = [t for t in trials if t.state == "recovered"]
    lead = f"{sentence(pulse_words(trials))}: " + "; ".join(
        [
            *([f"{listing(stay)} {'stay' if len(stay) > 1 else 'stays'} down"] if stay else []),
            *([f"{listing([back_words(t) for t in back])}"] if back else []),
        ]
    )
    lead = f"{lead}." if stay or back else ""
    told = [f"{t.series.label}: {recovery_words(t)}." for t in trials]
    return Finding("metastability", "After a short overload", " ".join([lead, *told]).strip(), lead)


def pulse_words(trials: Sequence[Pulsed]) -> str:
    """`a pulse of 5 s at 2C on a base of 0.6C`, C being each system's own where they agree on it."""
    trial = trials[0].series.points[0].trial
    base, peak, after = trial.load.steps
    if all(math.isclose(t.series.points[0].trial.load.relative, trial.load.relative) for t in trials):
        scale = base.rate / trial.load.relative
        rates = f"{figure(peak.rate / scale)} × capacity on a base of {figure(base.rate / scale)} ×"
    else:
        rates = f"{figure(peak.rate)} jobs/s on a base of {figure(base.rate)}"
    return f"a pulse of {seconds(peak.seconds)} at {rates}, then {seconds(after.seconds)} of the base again"


def back_words(trial: Pulsed) -> str:
    """`queued, retries at once is back after 4 s`, or that it never left."""
    times = [r.time for r in trial.recoveries]
    return f"{trial.series.label} is back {_soon(sorted(times)[len(times) // 2])}"


def _soon(time: float) -> str:
    return "at once" if time == 0 else f"after {seconds(time)}"


def recovery_words(trial: Pulsed) -> str:
    """One system's course in words."""
    first = trial.recoveries[0]
    of = f" in {len(trial.recoveries)} repeats" if len(trial.recoveries) > 1 else ""
    if trial.state == "metastable":
        return (
            f"metastable{of}; before the pulse {percent(first.before.share)} were in time, at the same load "
            f"long after it {percent(first.tail.share)}, with {attempts(first.tail.attempts)} a job"
            f"{_worked(first)}"
        )
    if trial.state == "recovered":
        times = sorted(r.time for r in trial.recoveries)
        return (
            f"recovered{of} {_soon(times[len(times) // 2])}; during the pulse {percent(first.during.share)} "
            f"were in time, with {attempts(first.during.attempts)} a job{_worked(first)}"
        )
    shares = f"{percent(first.before.share)} in time before the pulse, {percent(first.after.share)} after it"
    return f"can't tell, {trial.why} ({shares})"


def attempts(per_job: float) -> str:
    """`1 attempt`, `3.9 attempts`."""
    return f"{figure(per_job)} attempt{'' if figure(per_job) == '1' else 's'}"


def _worked(r: Recovery) -> str:
    if not math.isfinite(r.executed):
        return ""
    return f"; over the whole trial the task ran {figure(r.executed)} times for each job in time"


def stairs(trials: Sequence[Climbed]) -> Finding | None:
    """Say how much of what was carried on the way up is missing on the way down."""
    told = []
    for trial in trials:
        gaps = sorted(c.gap for c in trial.courses)
        course = trial.courses[0]
        last = course.down[0]
        told.append(
            f"{trial.series.label} delivers {_less(gaps[len(gaps) // 2])} on the way down than on the way up"
            f" ({percent(last.share)} in time on the last stair)"
        )
    if not told:
        return None
    top = max(s.rate for s in trials[0].courses[0].up)
    text = f"Stairs up to {figure(top)} jobs/s and down again: {'; '.join(told)}."
    return Finding("hysteresis", "Hysteresis", text)


def _less(gap: float) -> str:
    return "as much" if abs(gap) < 0.05 else f"{percent(abs(gap))} {'less' if gap > 0 else 'more'}"
