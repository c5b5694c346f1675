"""Durations, sizes and rates read as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.units import Duration, Rate, format_size, parse_duration, parse_rate, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("1.5s", 1.5), ("2min", 120), ("1h", 3600), (".5s", 0.5), (" 3 s ", 3), ("6S", 1.5)],
)
def test_a_duration_is_seconds_or_a_multiple_of_s(text, seconds):
    """Every unit of the documentation is read; S is resolved with the service time (0.25 s here)."""
    assert parse_duration(text).seconds(service_time=0.25) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "bad", ["", "5", "5 parsec", "-1s", "1,5s", "s", "1e3s", None, 5, True, ["1s"], "1s2"]
)
def test_what_is_no_duration_is_refused_with_an_example(bad):
    """A number without a unit is refused too: 5 of what?"""
    with pytest.raises(ValueError, match='write for example "250ms"'):
        parse_duration(bad)


@pytest.mark.parametrize(
    ("text", "size"), [("2GiB", 2**31), ("2GB", 2 * 10**9), ("512MB", 512 * 10**6), ("1kB", 1000)]
)
def test_sizes_tell_binary_from_decimal(text, size):
    """GiB and GB differ by seven percent, which decides whether a process is killed."""
    assert parse_size(text) == size


@pytest.mark.parametrize("bad", ["2", "2gb", "-1GB", "GB", 7, None])
def test_what_is_no_size_is_refused_with_an_example(bad):
    """Units are case-sensitive: gb might be gigabits."""
    with pytest.raises(ValueError, match='"2GiB"'):
        parse_size(bad)


@pytest.mark.parametrize("text", ["4", "4C"])
def test_where_there_is_no_c_nobody_is_told_to_write_one(text):
    """`bench plan` has no capacity to take a share of."""
    with pytest.raises(ValueError, match=r'"1000000/day"$') as caught:
        parse_rate(text, relative=False)
    assert "1.2C" not in str(caught.value)


@pytest.mark.parametrize(("text", "rate"), [("4/s", 4), ("90/min", 1.5), ("3600/h", 1), ("1.2C", 7.2)])
def test_a_rate_is_per_time_or_a_multiple_of_c(text, rate):
    """C is resolved with the reference capacity (6 jobs/s here)."""
    assert parse_rate(text).per_second(capacity=6) == pytest.approx(rate)


@pytest.mark.parametrize("bad", ["0/s", "0C", "5", "C", "-1C", None])
def test_a_rate_of_nothing_is_refused(bad):
    """Zero arrivals measure nothing."""
    with pytest.raises(ValueError, match="rate"):
        parse_rate(bad)


@given(st.floats(min_value=0.001, max_value=1e6))
def test_what_is_shown_reads_back(amount):
    """A resolved experiment in run.json can be read again for --resume, to six digits."""
    for value, parse in ((Duration(amount), parse_duration), (Rate(amount), parse_rate)):
        try:
            back = parse(str(value))
        except ValueError:
            assert "e" in str(value)  # beyond a million: written with an exponent, which no experiment needs
            continue
        assert back.amount == pytest.approx(amount, rel=1e-5)


def test_sizes_for_people():
    """The box is announced in units that a person chose it in."""
    assert (format_size(2 * 2**30), format_size(600 * 2**20), format_size(12)) == ("2 GiB", "600 MiB", "12 B")
