"""An objective's selector: whom it is meant for, and what is said where that is nobody."""

import pytest
from synthetic import plan

from bench.plan import Trial
from bench.slo import misfit, parse_slo
from bench.spec import parse

EXPERIMENT = """
task = "spin"
input = { seconds = 0.25, gil = "held" }
deadline = "6S"
[[parts]]
name = "load"
shows = "load"
systems = ["blocking", "queued"]
rates = ["0.5C", "90/min"]
window = "14s"
[[parts]]
name = "workers"
shows = "workers"
systems = ["queued"]
workers = [1, 4]
rates = ["0.5C"]
window = "14s"
[[parts]]
name = "burst"
shows = "burst"
systems = ["queued"]
arrivals = "burst"
sizes = [12]
"""


@pytest.fixture(scope="module")
def trials() -> list[Trial]:
    """Seven trials of three parts."""
    return plan(parse(EXPERIMENT, "test", "small"))[0]


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("p95<2s", {("blocking", 2), ("queued", 1), ("queued", 2), ("queued", 4)}),
        ("queued: p95<2s", {("queued", 1), ("queued", 2), ("queued", 4)}),
        ("blocking @ 0.5C : p95<2s", {("blocking", 2)}),
        ("queued*4@0.5C: p95<2s", {("queued", 4)}),
        ("queued × 1: p95<2s", {("queued", 1)}),
        ("@90/min: p95<2s", {("blocking", 2), ("queued", 2)}),
        ("@1.5/s: p95<2s", {("blocking", 2), ("queued", 2)}),
        ("@burst12: late<1%", {("queued", 2)}),
        ("queued@0.5C: p95<2s, timeouts<1%", {("queued", 1), ("queued", 2), ("queued", 4)}),
    ],
)
def test_an_objective_is_meant_for_what_it_names(text: str, chosen: set, trials: list[Trial]) -> None:
    """What is left out stands for all; a rate may be written as in the experiment, or as its label."""
    slo = parse_slo(text)
    assert {(t.system.name, t.system.workers) for t in trials if slo.chooses(t)} == chosen
    assert misfit(slo, trials) is None


def test_several_objectives_of_one_system_are_read_together() -> None:
    """As bench.objective reads them."""
    assert [o.text for o in parse_slo("queued@0.5C: p95<2s, timeouts<1%").objectives] == [
        "p95<2s",
        "timeouts<1%",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("queud@0.5C: p95<2s", "no system queud in this experiment; it has blocking, queued"),
        ("queued@0.6C: p95<2s", "queued is not run at 0.6C; the loads are burst12, 1.5/s, 0.5C"),
        ("@2C: p95<2s", "nothing is run at 2C"),
        ("blocking@burst12: p95<2s", "blocking is not run at burst12; the loads are 1.5/s, 0.5C"),
        ("queued*3@0.5C: p95<2s", "no trial has 3 workers there; it is run with 1, 2, 4"),
        ("queued*4@burst12: p95<2s", "it is run with 2"),
    ],
)
def test_who_is_meant_by_nothing_is_told_what_there_is(text: str, says: str, trials: list[Trial]) -> None:
    """In one line: a slip of the pen must not pass as an objective that is met."""
    said = misfit(parse_slo(text), trials)
    assert said is not None
    assert says in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not an objective"),
        (": p95<2s", "names no system and load"),
        ("two words@0.5C: p95<2s", "names no system and load"),
        ("queued@0.5C p95<2s", "not an objective"),
        ("queued@0.5C: p95", "not an objective"),
        ("queued@0.5C:", "not an objective"),
        ("queued*many: p95<2s", "names no system and load"),
        ("queued@0.5C: p96<2s", "no metric p96"),
    ],
)
def test_what_can_not_be_read_is_told(text: str, says: str) -> None:
    """With an example of what would be right."""
    with pytest.raises(ValueError, match=says):
        parse_slo(text)
