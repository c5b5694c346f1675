"""Another machine's clock is known to half a round trip, however uneven the two ways are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load import offset
from bench.load.clock import Clock
from bench.load.offset import Exchange, Offset

WAY = st.floats(0, 2)
AHEAD = st.floats(-1000, 1000)
ROUNDING = 1e-9


def exchange(ahead: float, there: float, back: float, thinking: float = 0.0) -> Exchange:
    """What is seen where their clock is `ahead` of ours and the ways take `there` and `back`."""
    asked = 100.0
    arrived = asked + there
    return Exchange(asked, arrived + ahead, arrived + thinking + ahead, arrived + thinking + back)


@given(AHEAD, WAY, WAY, st.floats(0, 5))
def test_the_truth_is_within_half_the_round_trip(ahead, there, back, thinking):
    """Also where one way takes all of it; time the other side takes to answer does not count."""
    seen = exchange(ahead, there, back, thinking)
    assert seen.round_trip == pytest.approx(there + back, abs=ROUNDING)
    known = offset.best([seen])
    assert abs(known.ahead - ahead) <= known.uncertainty + ROUNDING


@given(AHEAD, st.lists(st.tuples(WAY, WAY), min_size=1))
def test_the_quickest_exchange_is_believed(ahead, ways):
    """One undisturbed exchange among many slow ones is enough."""
    known = offset.best([exchange(ahead, there, back) for there, back in [*ways, (0.0001, 0.0001)]])
    assert known.uncertainty <= 0.0001 + ROUNDING
    assert known.ahead == pytest.approx(ahead, abs=0.0001 + ROUNDING)


def test_even_ways_show_the_offset_exactly():
    """The error is half of what the ways differ: none where they do not."""
    assert offset.best([exchange(2.5, 0.2, 0.2)]).ahead == pytest.approx(2.5)
    assert offset.best([exchange(2.5, 0.3, 0.1)]).ahead == pytest.approx(2.6)


@given(AHEAD, WAY, WAY)
def test_corrected_instants_are_ours(ahead, there, back):
    """A worker's clock with the correction off its anchor shows the master's time, as well as it is known."""
    known = offset.best([exchange(ahead, there, back)])
    theirs = Clock(anchor=5000.0 + ahead)
    corrected = Clock(anchor=theirs.anchor - known.correction)
    # Two true offsets may hide behind one measurement that can't be told from none.
    assert abs(corrected.anchor - 5000.0) <= 2 * known.uncertainty + 1e-6


def test_an_offset_that_can_not_be_told_from_none_is_none():
    """Processes of one machine have one clock, and keep it."""
    assert Offset(0.0004, 0.0005).correction == 0
    assert Offset(-3.0, 0.0005).correction == -3.0


def test_only_what_is_certain_counts_as_drift():
    """Two measurements that fit one offset tell of none."""
    assert offset.moved(Offset(1.0, 0.01), Offset(1.015, 0.01)) == 0
    assert offset.moved(Offset(1.0, 0.01), Offset(1.05, 0.01)) == pytest.approx(0.03)
    assert offset.moved(Offset(1.0, 0.0), Offset(0.9, 0.0)) == pytest.approx(0.1)


def test_the_limit_follows_the_deadline():
    """2 % of it, and never under 5 ms."""
    assert offset.limit(0.1) == 0.005
    assert offset.limit(10) == pytest.approx(0.2)
