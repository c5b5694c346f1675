"""How near to the measurement queueing theory comes, and where it does not."""

import math

from bench.analysis.across.findings import Finding
from bench.analysis.across.groups import LoadGroup, Point, Series
from bench.analysis.across.theory import residuals
from bench.analysis.words import listing, rate, seconds

NEAR = 0.10
"""A percentile that theory misses by no more than this is one that it predicts."""
MODELS = {
    "blocking": "threads that share a core",
    "gunicorn": "one queue before its processes",
    "queued": "one queue before its workers",
}


def theory(group: LoadGroup) -> Finding | None:
    """The worst residual of median and p95 of each system below capacity, and what was taken as given."""
    near, far = [], []
    for series in group.series:
        worst = {p: _worst(series, p) for p in (0.5, 0.95)}
        if worst[0.5] is None:
            continue
        for p, found in worst.items():
            if found is None:
                continue
            if abs(found[1]) <= NEAR:
                near.append(
                    f"the {_name(p)} of {series.label} within {max(1, math.ceil(100 * abs(found[1])))} %"
                )
            else:
                far.append(_far_words(series, p, *found))
    if not near and not far:
        return None
    text = [f"Below capacity queueing theory predicts {listing(near)}."] if near else []
    text += [f"{words}." for words in far]
    text += [_overhead_words(group)]
    return Finding("theory", "Theory", " ".join(t for t in text if t))


def _name(p: float) -> str:
    return "median" if p == 0.5 else f"p{100 * p:g}"


def _worst(series: Series, p: float) -> tuple[Point, float] | None:
    found = residuals(series.points, lambda f: f.response.get(p), p)
    return max(found, key=lambda entry: abs(entry[1])) if found else None


def _far_words(series: Series, p: float, point: Point, residual: float) -> str:
    way = "longer" if residual > 0 else "shorter"
    load = rate(point.value(lambda f: f.rates.offered))
    many = residual >= 1
    more = f"{residual + 1:.1f} times as long as" if many else f"{100 * abs(residual):.0f} % {way} than"
    return f"At {load} the {_name(p)} of {series.label} is {more} {MODELS[series.kind]} would have it"


def _overhead_words(group: LoadGroup) -> str:
    parts = []
    for series in group.series:
        known = [f.theory.model.overhead for p in series.points for f in p.repeats if f.theory is not None]
        if known and math.isfinite(known[0].least):
            polled = f" and a poll every {seconds(known[0].poll)}" if known[0].poll else ""
            parts.append(f"{series.label} {seconds(known[0].least)}{polled}")
    return f"Taken as measured at the lowest load, for every job: {listing(parts)}." if parts else ""
