"""Whether something grows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.chaos.slopes import Tolerance, growth, steady, theil_sen


@given(st.floats(-100, 100), st.floats(-1e6, 1e6), st.integers(3, 60))
def test_a_line_has_its_slope(slope: float, start: float, n: int) -> None:
    """Whatever its height."""
    points = [(float(x), start + slope * x) for x in range(n)]
    assert theil_sen(points) == pytest.approx(slope, abs=1e-6)


def test_peaks_are_no_growth() -> None:
    """One sample in six far above the others."""
    points = [(float(x), 100.0 + (500.0 if x % 6 == 5 else 0.0)) for x in range(120)]
    assert growth(points, Tolerance(1, 0.05)).flat


def test_a_leak_is_growth() -> None:
    """A megabyte a minute on forty is not flat over half an hour; shrinking is."""
    points = [(60.0 * x, 40.0 + x) for x in range(30)]
    found = growth(points, Tolerance(3, 0.05))
    assert found.added == pytest.approx(29)
    assert not found.flat
    assert growth([(x, -y) for x, y in points], Tolerance(3, 0.05)).flat


def test_the_first_minutes_are_left_out() -> None:
    """What fills up at the beginning does not grow; of a short soak half is kept."""
    points = [(float(x), min(x, 60.0)) for x in range(300)]
    assert growth(steady(points, 90.0), Tolerance(0, 0)).added == 0
    assert len(steady(points[:40], 90.0)) == 20
    assert steady([], 1.0) == []


def test_many_points_are_thinned() -> None:
    """A day of samples takes no longer than an hour's."""
    points = [(float(x), 3.0 * x) for x in range(10_000)]
    assert theil_sen(points) == pytest.approx(3.0)


def test_no_samples_are_an_error() -> None:
    """Nothing measured is not flat."""
    with pytest.raises(ValueError, match="no samples"):
        growth([], Tolerance(1, 0.1))
