"""Claims against measurements: from the rows of trials to a statistic, from a statistic to a verdict. Pure.

A row is what `trials.csv` says of one trial, by column; a lab's figures come as rows too. The statistic has
one value for each repeat, for trials are the unit (see `bench.analysis.intervals`). A trial that failed or
that must not be believed has no figures: a repeat that needs one of them has no value, rather than one that
is made of what is left.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from bench.analysis.intervals import ENOUGH_REPEATS, estimate

Value = str | int | float | None
Row = Mapping[str, Value]
Selection = Mapping[str, tuple[str | int | float, ...]]
"""Column → the values that are wanted of it."""
Combine = Literal["one", "max", "min", "median", "sum"]
Verdict = Literal["reproduced", "refuted", "can't tell"]
MARGIN = 0.1
"""By how much of the limit fewer than five repeats must be clear of it: there is no interval to be clear."""
_COMBINE: dict[str, Callable[[Sequence[float]], float]] = {
    "max": lambda values: float(np.max(values)),  # NaN where one is, unlike Python's own
    "min": lambda values: float(np.min(values)),
    "median": lambda values: float(np.median(values)),
    "sum": math.fsum,
}


class MeasureError(ValueError):
    """The measure does not fit the rows; the message says how."""


@dataclass(frozen=True)
class Measure:
    """A figure of some trials: one value a repeat."""

    metric: str
    """A column of numbers."""
    select: Selection = field(default_factory=dict)
    over: Selection | None = None
    """Divide by the same figure of these trials instead: what is not said here is as in `select`."""
    per: str = ""
    """Divide by this column of the same trial."""
    against: str = ""
    """The exponent of the power law of the metric in this column, instead of the metric."""
    combine: Combine = "one"
    """What to take where a repeat has several such trials."""
    scale: float = 1.0
    """Multiply by this, to project onto another scale."""


@dataclass(frozen=True)
class Limits:
    """What the statistic must be for the claim to hold."""

    above: float = -math.inf
    below: float = math.inf
    margin: float = MARGIN

    def side(self, low: float, high: float) -> Verdict:
        """Whether an interval lies within the limits, beyond one of them, or across."""
        if low > self.above and (high < self.below or self.below == math.inf):
            return "reproduced"
        if high <= self.above or low >= self.below != math.inf:
            return "refuted"
        return "can't tell"


@dataclass(frozen=True)
class Judgement:
    """A claim's verdict, and what it rests on."""

    verdict: Verdict
    value: float = math.nan
    """The middle of the repeats; NaN where there is none."""
    low: float = math.nan
    """A 95 % bootstrap interval from five repeats on, else the least and the greatest of them."""
    high: float = math.nan
    repeats: int = 0
    why: str = ""
    """Why nothing can be told."""


def believed(row: Row) -> bool:
    """Whether a row's figures count: it is a lab's, or of a trial that took place and may be believed."""
    return row.get("validity") in (None, "VALID", "SATURATED")


def values(measure: Measure, rows: Sequence[Row]) -> list[float]:
    """The measure's value in each repeat, in order of repeats: NaN where a trial that it needs is missing a
    figure, or its figures do not count. Empty where no trial is selected.

    Raises MeasureError for a column that is not there or holds no numbers, and where a repeat has several
    trials and `combine` does not say which counts.
    """
    upper = _figures(measure, measure.select, rows)
    if measure.over is None:
        return [measure.scale * upper[repeat] for repeat in sorted(upper)]
    lower = _figures(measure, {**measure.select, **measure.over}, rows)
    both = sorted(upper.keys() & lower.keys())
    return [measure.scale * _ratio(upper[repeat], lower[repeat]) for repeat in both]


def judge(found: Sequence[float], limits: Limits) -> Judgement:
    """Compare the repeats with the limits. Infinity is a value like another: "not reached"."""
    known = [value for value in found if not math.isnan(value)]
    summary = estimate(known) if known else None
    if summary is None:
        return Judgement("can't tell", why="no such trial was measured")
    low = min(known) if summary.low is None else summary.low
    high = max(known) if summary.high is None else summary.high
    verdict = limits.side(low, high)
    if summary.trials < ENOUGH_REPEATS:
        verdict = _clear(low, high, limits, verdict)
    why = "" if verdict != "can't tell" else "the measured range does not clear the limit"
    return Judgement(verdict, summary.value, low, high, summary.trials, why)


def _clear(low: float, high: float, limits: Limits, verdict: Verdict) -> Verdict:
    """The verdict, where it stays the same with each limit moved either way by the margin."""
    for sign in (-1, 1):
        moved = Limits(
            limits.above + sign * abs(limits.above) * limits.margin
            if math.isfinite(limits.above)
            else -math.inf,
            limits.below + sign * abs(limits.below) * limits.margin
            if math.isfinite(limits.below)
            else math.inf,
        )
        if moved.side(low, high) != verdict:
            return "can't tell"
    return verdict


def _figures(measure: Measure, select: Selection, rows: Sequence[Row]) -> dict[int, float]:
    repeats: dict[int, list[Row]] = {}
    for row in rows:
        if selected(row, select):
            repeats.setdefault(int(row.get("repeat") or 1), []).append(row)
    return {repeat: _figure(measure, own) for repeat, own in repeats.items()}


def selected(row: Row, selection: Selection) -> bool:
    """Whether a row has one of the wanted values in every column. Raises MeasureError for an unknown one."""
    return all(_is(row, column, wanted) for column, wanted in selection.items())


def _is(row: Row, column: str, wanted: Sequence[str | int | float]) -> bool:
    if column not in row:
        raise MeasureError(f"trials have no {column}; there are {', '.join(sorted(row))}")
    return row[column] in wanted


def _figure(measure: Measure, rows: Sequence[Row]) -> float:
    if measure.against:
        return _exponent([(_number(row, measure.against), _number(row, measure.metric)) for row in rows])
    own = [
        _ratio(_number(row, measure.metric), _number(row, measure.per))
        if measure.per
        else _number(row, measure.metric)
        for row in rows
    ]
    if measure.combine != "one":
        return math.nan if any(map(math.isnan, own)) else _COMBINE[measure.combine](own)
    if len(own) > 1:
        raise MeasureError(
            f"{len(own)} trials of one repeat are selected; narrow the selection or say how to combine them "
            f"({', '.join(_COMBINE)})"
        )
    return own[0]


def _number(row: Row, column: str) -> float:
    if column not in row:
        raise MeasureError(f"trials have no {column}; there are {', '.join(sorted(row))}")
    value = row[column]
    if not believed(row):
        return math.nan
    if isinstance(value, str):
        raise MeasureError(f"{column} is no number but {value!r}")
    return math.nan if value is None else float(value)


def _ratio(upper: float, lower: float) -> float:
    if math.isinf(upper) and math.isinf(lower):
        return math.nan
    if lower == 0:
        return math.nan if upper == 0 else math.inf
    return upper / lower


def _exponent(points: Sequence[tuple[float, float]]) -> float:
    """Slope of log y over log x by least squares: 1 where y grows as x does, 2 where as its square.

    What grows exponentially has no such exponent: exp(a·x) has the slope a·x, which itself grows with x. NaN
    where a point is missing, zero or infinite, or all are at one x.
    """
    if (
        not all(0 < value < math.inf for point in points for value in point)
        or len({x for x, _ in points}) < 2
    ):
        return math.nan
    x, y = np.log(np.array(points)).T
    return float(np.polyfit(x, y, 1)[0])
