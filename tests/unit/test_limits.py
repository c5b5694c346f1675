"""Limits on a change and margins are read as people write them; what is meant otherwise is refused."""

import pytest

from bench.limits import Limit, Margin, parse_limits, parse_margin


def test_limits_are_read():
    """Changes in proportion and in percentage points, with or without the plus."""
    assert parse_limits("p95>+10%, goodput < -5%,timeouts>1.5pp") == (
        Limit("p95", ">", 0.10, False, "p95>+10%"),
        Limit("goodput", "<", -0.05, False, "goodput<-5%"),
        Limit("timeouts", ">", 0.015, True, "timeouts>1.5pp"),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a limit"),
        ("p95>10", "not a limit"),
        ("p95>=+10%", "not a limit"),
        ("p95>2s", "not a limit"),
        ("p95>-10%", "forbids what is no worse"),
        ("goodput<+5%", "forbids what is no worse"),
        ("goodput<-100%", "nothing falls by 100 %"),
    ],
)
def test_other_things_are_refused_with_an_example(text, words):
    """One clear line."""
    with pytest.raises(ValueError, match=words):
        parse_limits(text)


def test_everything_that_is_wrong_is_told_at_once():
    """Two slips, one message."""
    with pytest.raises(ValueError, match=r"p95>10.*goodput<5s"):
        parse_limits("p95>10,goodput<5s,p50>+3%")


def test_margins_are_read():
    """Of ratios, of shares, or both; the other one keeps its default."""
    assert parse_margin("2%") == Margin(0.02, 0.01)
    assert parse_margin("0.5pp") == Margin(0.05, 0.005)
    assert parse_margin("10%, 3pp") == Margin(0.1, 0.03)
    for wrong in ("", "5", "-5%", "5%,2%", "a bit"):
        with pytest.raises(ValueError, match="not a margin"):
            parse_margin(wrong)
