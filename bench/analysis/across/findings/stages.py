"""Where a delivered job's time goes: which stage, at which load."""

import math
from collections.abc import Sequence

from bench.analysis.across.findings import Finding
from bench.analysis.across.findings.load import load_words
from bench.analysis.across.groups import LoadGroup, Point, Series
from bench.analysis.trial.stages import Stages, pooled
from bench.analysis.words import listing, percent, seconds

STAGE_WORDS = {
    "send": "send delay",
    "accept": "accept",
    "wait": "wait",
    "service": "service",
    "discovery": "discovery",
}
WORTH_SAYING = 0.1
"""A stage is named in a sentence from this share of the mean response time on."""


def stages_of(point: Point) -> Stages:
    """The point's repeats as one, those that may be believed."""
    return pooled(f.stages for f in point.repeats if f.validity.believable)


def shown_loads(group: LoadGroup) -> list[float]:
    """The planned rates worth a picture, at most three: the lowest, the nearest to capacity, the highest."""
    rates = sorted({p.trial.load.rate for s in group.series for p in s.points})
    if len(rates) <= 3:
        return rates
    target = group.reference if math.isfinite(group.reference) else rates[len(rates) // 2]
    near = min(rates[1:-1], key=lambda rate: abs(math.log(rate / target)))
    return [rates[0], near, rates[-1]]


def at(series: Series, rate: float) -> Point | None:
    """The series' point under this planned rate."""
    return next((p for p in series.points if math.isclose(p.trial.load.rate, rate)), None)


def main_points(group: LoadGroup) -> tuple[Series, list[Point]] | None:
    """The queue, else the first system, at the lowest and the highest shown load at which it is known."""
    first = group.find("queued", "as_published")
    for series in ([first] if first else []) + list(group.series):
        points = [p for rate in shown_loads(group) if (p := at(series, rate)) and stages_of(p).apart]
        if points:
            return series, points[:1] if len(points) == 1 else [points[0], points[-1]]
    return None


def taken_apart(group: LoadGroup) -> Finding | None:
    """Where the time goes, for the queue and its rival."""
    rival = group.find("gunicorn", "bounded", "blocking")
    main = main_points(group)
    if main is None:
        return None
    loads = [p.trial.load.rate for p in main[1]]
    text = []
    for series in [main[0], *([rival] if rival and rival is not main[0] else [])]:
        told = [(p, stages_of(p)) for rate in loads if (p := at(series, rate))]
        parts = [
            f"at {load_words(group, p)} {seconds(s.response)}: {share_words(s)}{only(s, p)}"
            for p, s in told
            if s.apart
        ]
        if parts:
            text.append(f"{series.label} {'; '.join(parts)}.")
    return Finding(
        "stages",
        "Where the time goes",
        f"Mean time to result of the delivered jobs, taken apart. {' '.join(text)}",
    )


def share_words(found: Stages) -> str:
    """`54 % service and 36 % discovery`: the stages that take a tenth or more, the longest first."""
    shares = sorted(((v / found.response, k) for k, v in found.parts.items()), reverse=True)
    told: Sequence[tuple[float, str]] = [(v, k) for v, k in shares if v >= WORTH_SAYING] or shares[:1]
    return listing([f"{percent(share)} {STAGE_WORDS[stage]}" for share, stage in told])


def only(found: Stages, point: Point) -> str:
    """Whose time it is, where not everybody's: a mean over the delivered says nothing of the others."""
    arrivals = sum(f.ledger.arrivals for f in point.repeats if f.validity.believable)
    if found.apart == arrivals:
        return ""
    return f" (of the {percent(found.apart / arrivals)} of which it is known)"
