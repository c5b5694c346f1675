"""Experiment files with pulses, stairs and clients that retry: what is wrong is named."""

import pytest

from bench import spec
from bench.spec import SpecError
from bench.units import Duration, Rate, parse_share

PULSE = """\
task = "spin"
deadline = "20S"
[systems.careful]
kind = "queued"
max_wait = "10S"
[[parts]]
name = "pulse"
shows = "metastability"
systems = ["blocking", "careful"]
arrivals = "pulse"
capacity = "own"
pulse = { base = "0.6C", peak = "2C", before = "50S", length = "25S", after = "3min" }
retries = { policy = "jitter", attempts = 3, after = "8S", base = "1S", cap = "10S", budget = "10%" }
"""
STAIRS = """\
task = "spin"
deadline = "20S"
[[parts]]
name = "stairs"
shows = "metastability"
systems = ["gunicorn"]
arrivals = "stairs"
rates = ["0.3C", "1.2C"]
step = "30S"
"""
WITHOUT = PULSE[: PULSE.index("retries")] + 'retries = { policy = "none", after = "8S" }'


def errors(text: str) -> str:
    """What is wrong with an experiment."""
    with pytest.raises(SpecError) as caught:
        spec.parse(text, "my.toml")
    return str(caught.value)


def test_a_pulse_with_retries_is_read():
    """Durations in S or seconds, rates in C, a budget in per cent."""
    (part,) = spec.parse(PULSE, "my.toml").parts
    assert part.pulse.peak == Rate(2, True)
    assert part.pulse.after == Duration(180)
    assert part.retries.budget == pytest.approx(0.1)
    assert part.capacity == "own"


@pytest.mark.parametrize("text", [PULSE, STAIRS, WITHOUT])
def test_shapes_and_retries_survive_run_json(text):
    """--resume reads the experiment from there."""
    experiment = spec.parse(text, "my.toml")
    assert spec.Experiment.model_validate(experiment.model_dump(mode="json")) == experiment


@pytest.mark.parametrize(
    ("text", "old", "new", "words"),
    [
        (PULSE, 'peak = "2C"', 'peak = "0.5C"', "must be above the base"),
        (PULSE, 'length = "25S"', 'length = "0S"', "must be above 0"),
        (PULSE, ', after = "3min" }', " }", "pulse.after: missing"),
        (PULSE, "pulse = {", "pulses = {", 'arrivals = "pulse" needs pulse, e.g.'),
        (PULSE, 'capacity = "own"', 'rates = ["1C"]', "a pulse has its rates inside"),
        (PULSE, 'capacity = "own"', 'window = "9s"', "says itself how long it is"),
        (PULSE, 'capacity = "own"', 'step = "9s"', 'step belongs to arrivals = "stairs"'),
        (PULSE, 'shows = "metastability"', 'shows = "load"', 'shows = "metastability" goes with'),
        (PULSE, 'base = "1S", cap', "cap", "needs base, the first pause"),
        (PULSE, 'policy = "jitter"', 'policy = "immediate"', 'base and cap are for "backoff"'),
        (PULSE, 'budget = "10%"', 'budget = "110%"', "at most 100 %"),
        (PULSE, 'budget = "10%"', 'budget = "ten"', 'write for example "10%"'),
        (PULSE, "attempts = 3", "attempts = 1", "greater than or equal to 2"),
        (PULSE, 'policy = "jitter"', 'policy = "hope"', "retries.policy"),
        (PULSE, 'kind = "queued"', 'kind = "gunicorn"', 'max_wait is for kind = "queued"'),
        (STAIRS, 'step = "30S"', "", 'arrivals = "stairs" needs step'),
        (STAIRS, 'rates = ["0.3C", "1.2C"]', "", "needs rates for the way up"),
        (STAIRS, 'step = "30S"', 'step = "30S"\njobs = 5', "says itself how long it is"),
    ],
)
def test_what_is_wrong_with_a_shape_or_a_policy_is_said(text, old, new, words):
    """Each would else be a run of the wrong thing, or a traceback."""
    assert old in text
    assert words in errors(text.replace(old, new, 1))


@pytest.mark.parametrize("text", ["0%", "-1%", "101%", "x", None, True, 0, 1.5])
def test_a_share_is_above_nothing_and_at_most_all(text):
    """A budget of 0 would read as none at all."""
    with pytest.raises(ValueError, match="share"):
        parse_share(text)
