"""Two sides are compared trial by trial: what chance alone may do is not called better or worse."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.analysis import student
from bench.analysis.comparing import comparison
from bench.analysis.comparing.comparison import compare_paired, compare_unpaired

INF = math.inf
OPPOSITE = {"better": "worse", "worse": "better"}
COMPARE = pytest.mark.parametrize("compare", [compare_paired, compare_unpaired])
figures = st.one_of(st.floats(1e-3, 1e3), st.just(INF))


def sides(least=5, most=9, values=figures):
    """As many figures on both sides."""
    return st.integers(least, most).flatmap(
        lambda n: st.tuples(*[st.lists(values, min_size=n, max_size=n) for _ in range(2)])
    )


def steady(middle: float, n: int, noise: float, seed: int) -> list[float]:
    """Figures of n trials around a middle."""
    return list(middle * np.exp(noise * np.random.default_rng(seed).normal(size=n)))


@pytest.mark.parametrize(
    ("p", "freedom", "value"),
    [
        (0.975, 1, 12.706), (0.995, 1, 63.657), (0.975, 2, 4.303), (0.995, 4, 4.604), (0.975, 4, 2.776),
        (0.995, 8, 3.355), (0.95, 10, 1.812), (0.995, 30, 2.750), (0.995, 120, 2.617), (0.025, 4, -2.776),
    ],
)  # fmt: skip
def test_students_quantiles_are_those_of_the_tables(p, freedom, value):
    """Abramowitz & Stegun, table 26.10."""
    assert student.quantile(p, freedom) == pytest.approx(value, abs=5e-4)


@settings(deadline=None)
@given(st.floats(0.5, 200), st.floats(0.001, 0.999))
def test_students_quantile_inverts_its_distribution(freedom, p):
    """Also for the odd degrees of freedom that Welch's formula gives."""
    assert student.distribution(student.quantile(p, freedom), freedom) == pytest.approx(p, abs=1e-7)


def test_five_pairs_by_hand():
    """Ratios 1.10, 1.12, 1.08, 1.11, 1.09: mean log 0.0952, s = 0.0144, t = 4.604, half-width 0.0296."""
    found = compare_paired([1, 2, 4, 1, 10], [1.10, 2.24, 4.32, 1.11, 10.9], lower_is_better=True)
    logs = np.log([1.10, 1.12, 1.08, 1.11, 1.09])
    half = 4.6041 * logs.std(ddof=1) / math.sqrt(5)
    assert found.ratio == pytest.approx(math.exp(logs.mean()))
    assert found.low == pytest.approx(math.exp(logs.mean() - half), rel=1e-4)
    assert found.high == pytest.approx(math.exp(logs.mean() + half), rel=1e-4)
    assert (found.verdict, found.effect, found.pairs) == ("worse", 1.0, 5)


def test_welch_by_hand():
    """Logs 0 … 4 % against 10 … 14 %: s² = 0.00025 each, 8 degrees of freedom, t = 3.355."""
    a, b = np.exp(np.arange(5) / 100), np.exp(0.10 + np.arange(5) / 100)
    found = compare_unpaired(a, b, lower_is_better=False)
    half = 3.3554 * math.sqrt(2 * 0.00025 / 5)
    assert math.log(found.low) == pytest.approx(0.10 - half, abs=1e-5)
    assert math.log(found.high) == pytest.approx(0.10 + half, abs=1e-5)
    assert (found.verdict, found.effect) == ("better", 1.0)


@COMPARE
def test_four_a_side_say_nothing(compare):
    """However far apart."""
    found = compare([1.0] * 4, [100.0] * 4, lower_is_better=True)
    assert (found.verdict, found.low, found.high, found.pairs) == ("can't tell", 0.0, INF, 4)
    assert compare([], [], lower_is_better=True).verdict == "can't tell"


@COMPARE
def test_a_missing_figure_is_no_trial(compare):
    """None (too few arrivals for the percentile) and NaN."""
    found = compare([1.0] * 6 + [None, math.nan], [1.0] * 8, lower_is_better=True)
    assert (found.verdict, found.pairs) == ("same", 6)


@COMPARE
def test_same_needs_the_whole_interval_within_the_margin(compare):
    """2 % slower is the same within 5 %, worse within 1 %; noise of 20 % can't tell."""
    a, b = steady(1.0, 8, 0.002, 1), steady(1.02, 8, 0.002, 2)
    assert compare(a, b, lower_is_better=True).verdict == "same"
    assert compare(a, b, lower_is_better=True, margin=0.01).verdict == "worse"
    assert compare(a, b, lower_is_better=False, margin=0.01).verdict == "better"
    noisy = compare(steady(1.0, 8, 0.2, 1), steady(1.02, 8, 0.2, 2), lower_is_better=True)
    assert noisy.verdict == "can't tell"


def test_five_pairs_on_one_side_are_no_proof():
    """A sign test's 6 %: pairs that all lie above 1, by very different amounts."""
    found = compare_paired([1.0] * 5, [1.01, 1.3, 1.02, 1.6, 1.05], lower_is_better=True)
    assert (found.verdict, found.effect) == ("can't tell", 1.0)


@pytest.mark.parametrize(
    ("pairs", "verdict"), [(4, "can't tell"), (5, "better"), (7, "better"), (8, "better")]
)
def test_reached_against_not_reached_wins_from_five_pairs_on(pairs, verdict):
    """Eight by the sign test (2/2⁸); fewer as two groups, all of one beyond all of the other (2/252)."""
    found = compare_paired([INF] * pairs, [2.0 + i for i in range(pairs)], lower_is_better=True)
    assert found.verdict == verdict
    assert found.ratio == 0.0


def test_an_outage_is_worse_whatever_it_is_measured_by():
    """p95 never reached, no goodput at all: five pairs say so, and a limit on them breaks."""
    times = compare_paired([1.0, 1.1, 1.2, 1.05, 1.15], [INF] * 5, lower_is_better=True)
    rates = compare_paired([10.0, 11.0, 9.0, 10.5, 9.5], [0.0] * 5, lower_is_better=False)
    assert (times.verdict, rates.verdict) == ("worse", "worse")
    assert times.differs
    assert rates.differs


def test_not_reached_wins_between_groups_of_five():
    """All of one group beyond all of the other: 2/252 by chance."""
    found = compare_unpaired([2.0, 3.0, 2.5, 2.2, 2.4], [INF] * 5, lower_is_better=True)
    assert (found.verdict, found.ratio, found.effect) == ("worse", INF, 1.0)
    mixed = compare_unpaired([2.0, 3.0, 2.5, 2.2, 2.4], [INF] * 4 + [2.1], lower_is_better=True)
    assert mixed.verdict == "can't tell"


@COMPARE
def test_never_reached_on_both_sides_says_nothing(compare):
    """Not "the same": nobody knows where the two infinities lie."""
    assert compare([INF] * 9, [INF] * 9, lower_is_better=True).verdict == "can't tell"
    half = compare([INF] * 4 + [1.0] * 5, [INF] * 4 + [1.0] * 5, lower_is_better=True)
    assert half.verdict not in OPPOSITE


@COMPARE
def test_nothing_delivered_on_both_sides_is_the_same(compare):
    """A goodput of zero is a figure, unlike "not reached"; against some it is the worst there is."""
    assert compare([0.0] * 5, [0.0] * 5, lower_is_better=False).verdict != "worse"
    assert compare([2.0] * 8, [0.0] * 8, lower_is_better=False).verdict == "worse"
    assert compare([0.0] * 8, [2.0] * 8, lower_is_better=False).ratio == INF


@COMPARE
def test_shares_are_compared_as_differences(compare):
    """Where one side has no time-outs at all a ratio would mean nothing."""
    found = compare(
        [0.0] * 5, [0.10, 0.11, 0.09, 0.10, 0.10], lower_is_better=True, margin=0.01, scale="difference"
    )
    assert found.value == pytest.approx(0.10)
    assert (found.verdict, math.isnan(found.ratio)) == ("worse", True)
    none = compare([0.0] * 5, [0.0] * 5, lower_is_better=True, margin=0.01, scale="difference")
    assert (none.verdict, none.value, none.low, none.high) == ("same", 0.0, 0.0, 0.0)


def test_impossible_arguments_are_refused():
    """Pairs need partners, and what is compared is not negative."""
    with pytest.raises(ValueError, match="5 and 4"):
        compare_paired([1.0] * 5, [1.0] * 4, lower_is_better=True)
    with pytest.raises(ValueError, match="at least 0"):
        compare_unpaired([1.0] * 5, [-1.0] * 5, lower_is_better=True)
    with pytest.raises(ValueError, match="margin"):
        compare_unpaired([1.0] * 5, [1.0] * 5, lower_is_better=True, margin=-1)


@COMPARE
@settings(deadline=None, max_examples=40)
@given(sides())
def test_swapping_the_sides_inverts_everything(compare, both):
    """Which one is called A decides nothing."""
    a, b = both
    one, other = compare(a, b, lower_is_better=True), compare(b, a, lower_is_better=True)
    assert other.verdict == OPPOSITE.get(one.verdict, one.verdict)
    for left, right in ((one.ratio, other.ratio), (one.low, other.high), (one.high, other.low)):
        inverse = INF if right == 0 else 1 / right
        assert left == pytest.approx(inverse, rel=1e-6, nan_ok=True)
    assert one.effect == pytest.approx(-other.effect, nan_ok=True)


@COMPARE
@settings(deadline=None, max_examples=40)
@given(sides(), st.floats(1e-3, 1e3))
def test_the_unit_does_not_matter(compare, both, factor):
    """Milliseconds or seconds."""
    a, b = both
    one = compare(a, b, lower_is_better=True)
    scaled = compare([v * factor for v in a], [v * factor for v in b], lower_is_better=True)
    for left, right in ((one.ratio, scaled.ratio), (one.low, scaled.low), (one.high, scaled.high)):
        assert left == pytest.approx(right, rel=1e-6, nan_ok=True)


@settings(deadline=None, max_examples=40)
@given(sides())
def test_the_order_of_the_trials_does_not_matter(both):
    """Only who is paired with whom."""
    pairs = list(zip(*both, strict=True))
    turned = list(zip(*(pairs[2:] + pairs[:2]), strict=True))
    one = compare_paired(*both, lower_is_better=True)
    other = compare_paired(*turned, lower_is_better=True)
    assert (one.verdict, one.low) == (other.verdict, pytest.approx(other.low, nan_ok=True))


@COMPARE
@settings(deadline=None, max_examples=40)
@given(sides(values=st.floats(0.5, 2.0)))
def test_more_of_the_same_pairs_never_widen_the_interval(compare, both):
    """More evidence is never less."""
    a, b = both
    assume(len(set(a)) > 1)
    one = compare(a, b, lower_is_better=True)
    more = compare(a * 3, b * 3, lower_is_better=True)
    assert more.high / more.low <= one.high / one.low * (1 + 1e-9)


@COMPARE
@settings(deadline=None, max_examples=40)
@given(sides())
def test_the_interval_holds_the_value(compare, both):
    """And the verdict is the interval's."""
    found = compare(*both, lower_is_better=True)
    assume(not math.isnan(found.value))
    assert found.low <= found.value * (1 + 1e-9)
    assert found.value <= found.high * (1 + 1e-9)
    assert (found.verdict in OPPOSITE) <= found.differs


def test_the_ranks_are_those_of_the_exact_tests():
    """Sign test: eight all one way are the first below 1 %. Mann and Whitney's table of U at 1 %, two-sided:
    0 may be U with five a side, 7 with eight, 16 with ten.
    """
    assert [comparison._sign_rank(n) for n in (5, 7, 8, 12, 20)] == [0, 0, 1, 2, 4]
    assert [comparison._rank_sum_rank(n, n) for n in (4, 5, 8, 10)] == [0, 1, 8, 17]


@pytest.mark.parametrize("pairs", [5, 12])
@COMPARE
@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: np.exp(0.05 * rng.normal(size=n)),
        lambda rng, n: np.exp(0.05 * rng.standard_t(3, size=n)),
        lambda rng, n: 1 + 0.03 * rng.lognormal(0, 1.5, size=n),
    ],
    ids=["normal", "t3", "skewed"],
)
def test_a_thing_against_itself_is_rarely_better_or_worse(compare, pairs, draw):
    """About 1 % of comparisons, with no margin at all: of 150 seeded ones at most 6."""
    rng = np.random.default_rng(7)
    differing = sum(
        compare(draw(rng, pairs), draw(rng, pairs), lower_is_better=True, margin=0).differs
        for _ in range(150)
    )
    assert differing <= 6


def test_a_real_change_is_found():
    """20 % slower with a noise of 3 % from trial to trial: five pairs tell it nearly always."""
    found = [
        compare_paired(steady(1.0, 5, 0.03, k), steady(1.2, 5, 0.03, 1000 + k), lower_is_better=True).verdict
        for k in range(200)
    ]
    assert found.count("worse") >= 170
    assert "better" not in found
