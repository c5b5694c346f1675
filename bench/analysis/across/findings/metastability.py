"""Which systems come back after a pulse, and what retries cost meanwhile."""

import math
from collections.abc import Sequence

from bench.analysis.across.findings import Finding
from bench.analysis.across.shaped import Climbed, Pulsed
from bench.analysis.trial.metastability import Recovery
from bench.analysis.words import figure, listing, percent, seconds, sentence

SAME = 0.05
"""Gap below which the way down counts as the way up."""


def metastability(trials: Sequence[Pulsed]) -> Finding | None:
    """Say of every system whether it came back."""
    if not trials:
        return None
    lead = f"{sentence(pulse_words(trials))}: {outcome_words(trials)}."
    told = [f"{t.series.label}: {recovery_words(t)}." for t in trials]
    return Finding("metastability", "After a short overload", " ".join([lead, *told]), lead)


def outcome_words(trials: Sequence[Pulsed]) -> str:
    """Who stays down, who is back, and of whom nothing can be told, for each reason."""
    stay = [t.series.label for t in trials if t.state == "metastable"]
    back = [back_words(t) for t in trials if t.state == "recovered"]
    parts = [f"{listing(stay)} {'stay' if len(stay) > 1 else 'stays'} down"] if stay else []
    parts += [listing(back)] if back else []
    reasons: dict[str, list[str]] = {}
    for t in trials:
        if t.state == "can't tell":
            reasons.setdefault(t.why, []).append(t.series.label)
    parts += [f"it can't be told of {listing(labels)}: {why}" for why, labels in reasons.items()]
    return "; ".join(parts)


def pulse_words(trials: Sequence[Pulsed]) -> str:
    """`a pulse of 5 s at 2 × capacity on a base of 0.5 ×, …`; less of it where the trials differ."""
    shapes = {_shape(t) for t in trials}
    if len(shapes) > 1:
        return "a pulse of load, then the base load again"
    ((base, _), (peak, length), (_, after)) = shapes.pop()
    rates = f"{figure(peak)} × capacity on a base of {figure(base)} ×"
    return f"a pulse of {seconds(length)} at {rates}, then {seconds(after)} of the base again"


def _shape(trial: Pulsed) -> tuple[tuple[float, float], ...]:
    """Rates in capacities, and seconds, both as people write them."""
    load = trial.series.points[0].trial.load
    unit = load.rate / load.relative
    return tuple((round(step.rate / unit, 3), round(step.seconds, 3)) for step in load.steps)


def back_words(trial: Pulsed) -> str:
    """`queued (retries at once) is back after 4 s`, or that it never left."""
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
    return f"can't tell{of}; {shares}"


def attempts(per_job: float) -> str:
    """`1 attempt`, `3.9 attempts`."""
    return f"{figure(per_job)} attempt{'' if figure(per_job) == '1' else 's'}"


def _worked(r: Recovery) -> str:
    if not math.isfinite(r.executed):
        return ""
    often = "once" if figure(r.executed) == "1" else f"{figure(r.executed)} times"
    return f"; over the whole trial the task ran {often} for each job in time"


def stairs(trials: Sequence[Climbed]) -> Finding | None:
    """Say how much of what was carried on the way up is missing on the way down."""
    if not trials:
        return None
    top = max(s.rate for s in trials[0].courses[0].up)
    told = "; ".join(f"{t.series.label} {gap_words(t)}" for t in trials)
    text = f"Stairs up to {figure(top)} jobs/s and down again: {told}."
    return Finding("hysteresis", "Hysteresis", text)


def gap_words(trial: Climbed) -> str:
    """`delivers 40 % less on the way down than on the way up, …`."""
    first, last = trial.courses[0].up[0], trial.courses[0].down[0]
    if math.isnan(trial.gap):
        return f"did not carry the lowest stair even on the way up ({percent(first.share)} in time)"
    ends = f"{percent(last.share)} in time on the last stair, {percent(first.share)} on the first"
    if abs(trial.gap) < SAME:
        return f"comes down as it went up ({ends})"
    much = f"{percent(abs(trial.gap))} of the offer {'less' if trial.gap > 0 else 'more'}"
    return f"delivers {much} on the way down than on the way up ({ends})"
