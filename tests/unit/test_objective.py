"""Objectives: what is written is what is checked, and what makes no sense is told in one line."""

import math

import pytest

from bench.objective import all_met, parse_objectives


def test_a_list_is_read_with_its_units() -> None:
    """Durations in seconds, shares from 0 to 1, blanks anywhere."""
    one, two, three = parse_objectives(" p95 < 250ms,timeouts<=1% , late<0.05")
    assert (one.metric, one.sign, one.limit) == ("p95", "<", 0.25)
    assert (two.metric, two.sign, two.limit, two.text) == ("timeouts", "<=", 0.01, "timeouts<=1%")
    assert three.limit == 0.05


@pytest.mark.parametrize(
    ("text", "value", "met"),
    [
        ("p95<2s", 1.99, True),
        ("p95<2s", 2.0, False),
        ("p95<=2s", 2.0, True),
        ("p95<2s", math.inf, False),
        ("p95<2s", math.nan, False),
        ("intime>99%", 0.995, True),
        ("intime>=99%", 0.99, True),
        ("intime>99%", 0.99, False),
    ],
)
def test_a_limit_is_met_or_not(text: str, value: float, met: bool) -> None:
    """Never by what was not reached, nor by what is not known."""
    (objective,) = parse_objectives(text)
    assert objective.met(value) is met


def test_all_must_be_met_and_known() -> None:
    """A metric that could not be measured proves nothing."""
    wanted = parse_objectives("p95<2s, timeouts<1%")
    assert all_met(wanted, {"p95": 1.0, "timeouts": 0.0})
    assert not all_met(wanted, {"p95": 1.0, "timeouts": 0.5})
    assert not all_met(wanted, {"p95": 1.0})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not an objective"),
        ("p95", "is not an objective"),
        ("p95=2s", "is not an objective"),
        ("p95<2", "is not a duration"),
        ("p95<2S", "in seconds"),
        ("p96<2s", "no metric p96; choose from p50"),
        ("timeouts<101%", "at most 100%"),
        ("timeouts<-1%", "is not a share"),
        ("timeouts<few", "is not a share"),
        ("p95<2s, p95<3s", "one limit only"),
    ],
)
def test_what_makes_no_sense_is_told(text: str, says: str) -> None:
    """With what would be right."""
    with pytest.raises(ValueError, match=says):
        parse_objectives(text)


def test_all_mistakes_are_told_at_once() -> None:
    """Nobody should have to try three times."""
    with pytest.raises(ValueError, match=r"p96.*timeouts<2: .*at most"):
        parse_objectives("p96<2s, timeouts<2")
