"""Which of two is better, trial against trial: a ratio or a difference, its interval, one word. Pure.

The unit is the trial (see `intervals`); fewer than five a side say nothing.

The interval is the hull of two, both at 99 %: Student's t on the pairs' log ratios (Welch's on the groups'
logs where nothing is paired) and the bootstrap over trials with the expanded percentile of Hesterberg (What
Teachers Should Know About the Bootstrap, The American Statistician 69, 2015, section 5.3). Why not the plain
bootstrap at 95 %: its interval over five pairs leaves out "no change" whenever all five lie on one side, and
chance alone brings that about in 2/2⁵ = 6 % of all comparisons of a thing with itself. No test without an
assumption about the distribution can say less with five pairs; Student's t can, and what it assumes costs
little here: where two sides are alike their log ratio is symmetric, whatever either looks like. Why 99 %:
of a hundred comparisons of a thing with itself at most five may read better or worse, and with 1 % each more
than five do so in one such hundred of two thousand.

Simulated, 5,000 comparisons of a thing with itself for each figure, per cent that read better or worse with a
margin of 0 (tests/unit/analysis/test_comparison.py repeats a part of it):

    trials a side              pairs: 5   8  12  20   groups: 5   8  12  20  5 and 10
    normal, 5 %                     1.2 0.8 0.9 1.1         0.7 0.9 0.9 0.9  1.0
    lognormal, σ = 0.5              1.2 1.0 0.9 0.8         0.7 0.9 1.1 0.7  1.1
    Student's t, 3 degrees          0.8 0.5 0.7 0.6         0.5 0.5 0.5 0.7  0.3
    exponential                     0.9 0.6 0.6 0.8         0.6 0.6 0.7 0.8  0.8
    1 + 0.03 · lognormal, σ = 1.5   0.2 0.1 0.3 0.4         0.2 0.1 0.2 0.3  0.2

Infinity ("not reached") is an ordinary large value. Where there is one, means are of no use: the value is the
median of the pairs' ratios (of all ratios between the groups), and the interval goes from one of them to
another, chosen by the sign test (by the exact distribution of Mann and Whitney), so that nothing is assumed:
eight pairs, or five trials in each group, at least; five to seven pairs are taken as groups. Both infinite
says nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from bench.analysis import student
from bench.analysis.tables import Floats

ENOUGH = 5
"""Pairs, or trials a side."""
LEVEL = 0.99
MARGIN = 0.05
"""Ratios between 1/1.05 and 1.05 are the same."""
POINTS = 0.01
"""Shares within one percentage point are the same."""
RESAMPLES = 4000
SEED = 20

Scale = Literal["ratio", "difference"]
"""`ratio`: b/a, for times and rates. `difference`: b − a, for shares from 0 to 1."""
Verdict = Literal["better", "worse", "same", "can't tell"]


@dataclass(frozen=True)
class Comparison:
    """B against A."""

    scale: Scale
    value: float
    """b/a or b − a; NaN where nothing can be said, infinity where B was not reached."""
    low: float
    """Lower end of the 99 % interval; 0 (minus infinity for a difference) where nothing bounds it."""
    high: float
    effect: float
    """Cliff's delta, from -1 to 1: how much more often B is the larger one than the smaller one, over the
    pairs, or over all combinations of unpaired trials (Cliff, Psychological Bulletin 114, 1993).
    """
    verdict: Verdict
    """Of B; "same" where the whole interval lies within the margin."""
    pairs: int
    """Pairs, or trials on the smaller side, that have a value."""

    @property
    def ratio(self) -> float:
        """b/a; NaN where a difference was asked for."""
        return self.value if self.scale == "ratio" else math.nan

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out "no change"."""
        none = 1.0 if self.scale == "ratio" else 0.0
        return self.low > none or self.high < none


def compare_paired(
    a: Sequence[float | None],
    b: Sequence[float | None],
    *,
    lower_is_better: bool,
    margin: float = MARGIN,
    scale: Scale = "ratio",
) -> Comparison:
    """Compare trials that ran side by side: a[i] with b[i]. Values are at least 0; None and NaN are missing.

    `margin`: 0.05 calls a ratio within 5 % either way the same, and a difference within 0.05. Raises
    ValueError for sides of different lengths, negative values or a negative margin.
    """
    if len(a) != len(b):
        raise ValueError(f"pairs need as many values on both sides, not {len(a)} and {len(b)}")
    x, y = _on(scale, a), _on(scale, b)
    steps = _apart(x, y)
    steps = np.sort(steps[~np.isnan(steps)])
    if len(steps) < ENOUGH:
        ends = (-math.inf, math.inf)
    elif np.isfinite(steps).all():
        ends = _hull(_student(steps), _bootstrap(steps))
    elif rank := _sign_rank(len(steps)):
        ends = _between(steps, steps, rank)
    else:  # too few pairs for the sign test; as two groups five a side are enough
        ends = _between_groups(np.sort(x[~np.isnan(x)]), np.sort(y[~np.isnan(y)]))
    effect = float(np.sign(steps).mean()) if len(steps) else math.nan
    return _judged(scale, _centre(steps), ends, effect, len(steps), lower_is_better, margin)


def compare_unpaired(
    a: Sequence[float | None],
    b: Sequence[float | None],
    *,
    lower_is_better: bool,
    margin: float = MARGIN,
    scale: Scale = "ratio",
) -> Comparison:
    """Compare two groups of trials that were measured apart, as `compare_paired` does with pairs."""
    x, y = (np.sort(v[~np.isnan(v)]) for v in (_on(scale, a), _on(scale, b)))
    few = min(len(x), len(y))
    apart = _apart(x[None, :], y[:, None])
    finite = bool(np.isfinite(x).all() and np.isfinite(y).all())
    if few < ENOUGH:
        ends = (-math.inf, math.inf)
    elif finite:
        ends = _hull(_welch(x, y), _bootstrap_of_two(x, y))
    else:
        ends = _between_groups(x, y)
    known = np.sort(apart[~np.isnan(apart)])
    centre = float(y.mean() - x.mean()) if few and finite else _centre(known)
    effect = float(np.sign(np.nan_to_num(apart, nan=0.0)).mean()) if few else math.nan
    return _judged(scale, centre, ends, effect, few, lower_is_better, margin)


def _judged(
    scale: Scale,
    centre: float,
    ends: tuple[float, float],
    effect: float,
    pairs: int,
    lower_is_better: bool,
    margin: float,
) -> Comparison:
    """Give the verdict on the scale where no change is 0, and return to the reader's scale."""
    if margin < 0:
        raise ValueError(f"a margin is at least 0, not {margin}")
    low, high = ends
    within = math.log1p(margin) if scale == "ratio" else margin
    verdict: Verdict = "can't tell"
    if -within <= low and high <= within and pairs:
        verdict = "same"
    elif low > 0 or high < 0:
        verdict = "better" if (high < 0) == lower_is_better else "worse"
    if scale == "ratio":
        centre, low, high = (_exp(v) for v in (centre, low, high))
    elif math.isfinite(high - low):  # no two shares are further apart
        low, high = max(low, -1.0), min(high, 1.0)
    return Comparison(scale, centre, low, high, effect, verdict, pairs)


def _numbers(values: Sequence[float | None]) -> Floats:
    found = np.array([math.nan if v is None else float(v) for v in values], dtype=float)
    if (found < 0).any():
        raise ValueError("what is compared is at least 0")
    return found


def _on(scale: Scale, values: Sequence[float | None]) -> Floats:
    """The values on the scale where a change is a difference."""
    found = _numbers(values)
    with np.errstate(divide="ignore"):
        return np.log(found) if scale == "ratio" else found


def _apart(x: Floats, y: Floats) -> Floats:
    """y - x. Between two rates of zero there is nothing; between two infinities may be anything: NaN."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isneginf(x) & np.isneginf(y), 0.0, y - x)


def _exp(value: float) -> float:
    return math.inf if value > 700 else math.exp(value)


def _centre(steps: Floats) -> float:
    """The mean; with an infinity among them the median."""
    if not len(steps):
        return math.nan
    if np.isfinite(steps).all():
        return float(steps.mean())
    below, above = float(steps[(len(steps) - 1) // 2]), float(steps[len(steps) // 2])
    return below if below == above else (below + above) / 2


def _hull(*intervals: tuple[float, float]) -> tuple[float, float]:
    return min(low for low, _ in intervals), max(high for _, high in intervals)


def _student(steps: Floats) -> tuple[float, float]:
    n = len(steps)
    half = student.quantile((1 + LEVEL) / 2, n - 1) * float(steps.std(ddof=1)) / math.sqrt(n)
    return float(steps.mean()) - half, float(steps.mean()) + half


def _welch(x: Floats, y: Floats) -> tuple[float, float]:
    """Welch's interval for the difference of two means (Biometrika 34, 1947)."""
    centre, error, freedom = _welch_parts(x, y)
    half = student.quantile((1 + LEVEL) / 2, freedom) * error if error > 0 else 0.0
    return centre - half, centre + half


def _welch_parts(x: Floats, y: Floats) -> tuple[float, float, float]:
    """Difference of the means, its standard error, and Satterthwaite's degrees of freedom."""
    u, v = float(x.var(ddof=1)) / len(x), float(y.var(ddof=1)) / len(y)
    spread = u * u / (len(x) - 1) + v * v / (len(y) - 1)
    freedom = (u + v) ** 2 / spread if spread > 0 else float(len(x) + len(y) - 2)
    return float(y.mean() - x.mean()), math.sqrt(u + v), freedom


def _bootstrap(steps: Floats) -> tuple[float, float]:
    # Every resample with its mirror image, so that swapping A and B swaps the ends and nothing else.
    chosen = np.random.default_rng(SEED).integers(0, len(steps), size=(RESAMPLES // 2, len(steps)))
    both = np.concatenate([steps[chosen], steps[::-1][chosen]])
    return _expanded(np.sort(both.mean(axis=1)), len(steps), len(steps) - 1)


def _bootstrap_of_two(x: Floats, y: Floats) -> tuple[float, float]:
    if len(x) > len(y):  # the same resamples whichever side is called A
        low, high = _bootstrap_of_two(y, x)
        return -high, -low
    random = np.random.default_rng(SEED)
    i, j = (random.integers(0, len(v), size=(RESAMPLES // 2, len(v))) for v in (x, y))
    apart = y[j].mean(axis=1) - x[i].mean(axis=1)
    if len(x) == len(y):
        apart = np.concatenate([apart, y[i].mean(axis=1) - x[j].mean(axis=1)])
    return _expanded(np.sort(apart), len(x), _welch_parts(x, y)[2])


def _expanded(ordered: Floats, n: int, freedom: float) -> tuple[float, float]:
    """The percentiles that make up for the bootstrap's spread being too small by √((n-1)/n) and for the
    normal's tails being thinner than Student's; the outermost resamples where these lie beyond them.
    """
    tail = NormalDist().cdf(-math.sqrt(n / (n - 1)) * student.quantile((1 + LEVEL) / 2, freedom))
    beyond = int(tail * len(ordered))
    return float(ordered[beyond]), float(ordered[-1 - beyond])


def _between(lowest: Floats, highest: Floats, rank: int) -> tuple[float, float]:
    """From the rank-th smallest to the rank-th largest; everything where even the extremes are too near."""
    return (float(lowest[rank - 1]), float(highest[-rank])) if rank else (-math.inf, math.inf)


def _between_groups(x: Floats, y: Floats) -> tuple[float, float]:
    """From one of the differences between two groups to another, by the rank sum test."""
    apart = _apart(x[None, :], y[:, None])
    lowest = np.sort(np.where(np.isnan(apart), -np.inf, apart).ravel())
    highest = np.sort(np.where(np.isnan(apart), np.inf, apart).ravel())
    return _between(lowest, highest, _rank_sum_rank(len(x), len(y)))


def _sign_rank(n: int) -> int:
    """Which order statistics hold the median at LEVEL: the largest k with 2·P(Bin(n, ½) < k) ≤ 1 - LEVEL
    (Conover, Practical Nonparametric Statistics, 1999, section 3.2). 0 below eight.
    """
    return _rank([math.comb(n, k) for k in range(n + 1)])


def _rank_sum_rank(n: int, m: int) -> int:
    """The same for all n·m differences between two groups, by the exact number of orders with each value of
    Mann and Whitney's U (On a test of whether one of two random variables is stochastically larger than the
    other, Annals of Mathematical Statistics 18, 1947).
    """
    orders = [1] + [0] * (n * m)
    # The generating function ∏ (1 - q^(m+i)) / (1 - q^i), i = 1…n, one factor after the other.
    for i in range(1, n + 1):
        for u in range(n * m, m + i - 1, -1):
            orders[u] -= orders[u - m - i]
        for u in range(i, n * m + 1):
            orders[u] += orders[u - i]
    return _rank(orders)


def _rank(weights: Sequence[int]) -> int:
    """How many of the first values together, twice, weigh no more than 1 - LEVEL of all."""
    total, so_far, rank = sum(weights), 0, 0
    for weight in weights:
        so_far += weight
        if 2 * so_far > (1 - LEVEL) * total:
            break
        rank += 1
    return rank
