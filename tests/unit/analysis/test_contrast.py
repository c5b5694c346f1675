"""Two runs or two systems side by side: who is compared with whom, who is left out, which limits break."""

import math
from dataclasses import replace

import pytest
from by_hand import described, job, records, trial

from bench.analysis.comparing.contrast import (
    METRICS,
    between_parts,
    between_runs,
    check_limits,
    checks,
    chosen,
)
from bench.analysis.comparing.differences import differences
from bench.analysis.run import Result
from bench.analysis.trial.figures import figures
from bench.analysis.trial.validity import Reason, Validity
from bench.limits import Margin, parse_limits

NAMES = ("A", "B")
BROKEN = Validity((Reason("send_delay", "INVALID", "sent 80 ms late", "use more processes", again=True),))


def trials(seconds, repeats=5, failed=0, **changes):
    """So many repeats of a point whose 60 jobs take about so long; `failed` of them get an error."""
    found = []
    for n in range(1, repeats + 1):
        jobs = [
            job(f"j{k}", 100 + k / 6, 100 + k / 6 + seconds * (1 + 0.001 * n + k / 600)) for k in range(60)
        ]
        jobs[:failed] = [j | {"outcome": "error"} for j in jobs[:failed]]
        part = changes.get("part", "load")
        steady = {"load": {"rate": 6.0}, "capacity": 8.0}
        plan = trial(id=f"{part}-{seconds}-{n}", repeat=n, **{**steady, **changes})
        found.append(figures(records(jobs, of=plan), Result("done")))
    return found


def row(contrast, metric):
    """The one row of a metric."""
    (found,) = [r for r in contrast.rows if r.metric.name == metric]
    return found


def test_the_same_points_of_two_runs_are_compared():
    """By part, system, workers and load; the others are named."""
    other = {"system": {"name": "gunicorn", "kind": "gunicorn"}}
    found = between_runs(trials(0.5) + trials(0.5, **other), trials(1.0), NAMES, METRICS, Margin())
    assert found.trials == (5, 5)
    assert (row(found, "p50").point, row(found, "p50").comparison.verdict) == ("queued ×2 at 1C", "worse")
    assert row(found, "p50").comparison.ratio == pytest.approx(2.0, rel=1e-3)
    assert row(found, "goodput").comparison.verdict == "same"
    assert found.unmatched == ("gunicorn ×2 at 1C is in A only",)
    assert not found.paired


def test_the_two_parts_of_one_run_are_compared_in_pairs():
    """By repeat, whatever the order in which they ran."""
    a, b = trials(0.5, part="a"), trials(0.4, part="b")
    found = between_parts([*b[::-1], *a], ("a", "b"), NAMES, METRICS, Margin())
    assert row(found, "p95").comparison.verdict == "better"
    assert row(found, "p95").comparison.pairs == 5
    expected = tuple(f.response[0.95] for f in a)
    assert row(found, "p95").a == expected
    alone = between_parts([*a, *b[:4]], ("a", "b"), NAMES, METRICS, Margin())
    assert row(alone, "p95").comparison.verdict == "can't tell"
    assert alone.unmatched == ("a-0.5-5 has no partner",)


def test_trials_that_must_not_be_believed_take_no_part():
    """They are counted and named with their reason; four that are left say nothing."""
    b = trials(1.0)
    b[0] = replace(b[0], validity=BROKEN)
    found = between_runs(trials(0.5), b, NAMES, METRICS, Margin())
    assert row(found, "p50").comparison.verdict == "can't tell"
    assert found.trials == (5, 4)
    assert found.unbelievable == ("load-1.0-1: sent 80 ms late",)
    nobody = between_runs(trials(0.5), [replace(f, validity=BROKEN) for f in b], NAMES, METRICS, Margin())
    assert nobody.empty


def test_saturated_trials_take_part_and_are_named():
    """They are honest, but above capacity a longer window would have made them worse."""
    saturated = Validity((Reason("backlog", "SATURATED", "the backlog grew", "less load"),))
    b = [replace(f, validity=saturated) for f in trials(1.0)]
    found = between_runs(trials(0.5), b, NAMES, METRICS, Margin())
    assert row(found, "p50").comparison.verdict == "worse"
    assert found.unsteady == ("queued ×2 at 1C: not steady in B",)


def test_a_side_that_finished_nothing_is_named():
    """Its percentiles are "not reached", its goodput is zero, and that is worse."""
    found = between_runs(trials(0.5), trials(0.5, failed=60), NAMES, METRICS, Margin())
    assert found.idle == ("queued ×2 at 1C: no job was finished in B",)
    assert row(found, "p50").comparison.ratio == math.inf
    assert {row(found, m).comparison.verdict for m in ("p50", "goodput", "timeouts", "errors")} == {"worse"}
    assert not found.empty


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [
        ("p50>+10%", "broken"),
        ("p50>+150%", "held"),
        ("goodput<-5%", "held"),
        ("timeouts>+1pp", "held"),
        ("p99>+10%", "unclear"),
    ],
)
def test_limits_are_held_against_the_rows(limit, outcome):
    """Twice as slow, nothing lost; p99 of 60 jobs has no value."""
    found = between_runs(trials(0.5), trials(1.0), NAMES, METRICS, Margin())
    assert [c.outcome for c in checks(found, parse_limits(limit))] == [outcome]


def test_a_limit_beyond_the_value_that_chance_may_explain_is_unclear():
    """One trial of five far off."""
    b = trials(0.5)
    b[0] = trials(3.0, repeats=1)[0]
    found = between_runs(trials(0.5), b, NAMES, METRICS, Margin())
    assert row(found, "mean").comparison.value > 1.3
    assert [c.outcome for c in checks(found, parse_limits("mean>+30%"))] == ["unclear"]


def test_a_limit_within_the_margin_counts_all_the_same():
    """3 % slower is "the same" within 5 %, and breaks a limit of 1 %."""
    found = between_runs(trials(0.5), trials(0.515), NAMES, METRICS, Margin())
    assert row(found, "p50").comparison.verdict == "same"
    assert [c.outcome for c in checks(found, parse_limits("p50>+1%"))] == ["broken"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("p97>+10%", "there is no metric p97"),
        ("p95<-10%", "less is no worse; write p95>+"),
        ("goodput>+5%", "more is no worse; write goodput<-"),
        ("timeouts>+5%", "percentage points"),
        ("p95>+5pp", "per cent"),
    ],
)
def test_limits_that_make_no_sense_are_refused(text, words):
    """What is better is no failure, and shares change in points."""
    with pytest.raises(ValueError, match=words.replace("+", r"\+")):
        check_limits(parse_limits(text))


def test_metrics_are_chosen_by_name():
    """In the order of the table."""
    assert [m.name for m in chosen(["goodput", "p95"])] == ["p95", "goodput"]
    assert chosen([]) == METRICS
    with pytest.raises(ValueError, match="no metric speed"):
        chosen(["speed"])


def run(**changes):
    """A run's description with a machine in it."""
    machine = {"cpu": "Fast 9000", "cores": 4, "memory": 8 * 2**30, "kernel": "6.1", "python": "3.11.2",
               "libraries": {"flask": "3.0", "redis": "5.0"}}  # fmt: skip
    experiment = {"task": "spin", "input": {"seconds": 1}, "parts": [{"name": "load", "window": "10s"}]}
    environment = machine | changes.pop("environment", {})
    return described(
        changes.pop("trial", trial()),
        environment=environment,
        experiment=experiment | changes.pop("experiment", {}),
        **changes,
    )


def test_what_sets_two_runs_apart_is_said_in_a_line_each():
    """Machine, software and experiment apart: only another machine is a reason to refuse."""
    other = run(
        environment={"cpu": "Slow 1", "memory": 4 * 2**30, "python": "3.12.0", "libraries": {"flask": "3.1"}},
        experiment={"task": "sleep", "parts": [{"name": "load", "window": "20s"}]},
        box={"cpus": 1.0, "memory": 2**30},
        deadline=5.0,
        seed=8,
    )
    found = differences(run(box={"cpus": 2.0, "memory": 2**30}, deadline=3.0, seed=7), other)
    assert found.machine == ("CPU: Fast 9000 in A, Slow 1 in B", "memory: 8 GiB in A, 4 GiB in B")
    assert found.software == (
        "Python: 3.11.2 in A, 3.12.0 in B",
        "flask: 3.0 in A, 3.1 in B",
        "redis: 5.0 in A, nothing in B",
    )
    assert set(found.experiment) == {
        "box: 2 vCPU, 1 GiB in A, 1 vCPU, 1 GiB in B",
        "task: spin in A, sleep in B",
        "deadline: 3 s in A, 5 s in B",
        "seed: 7 in A, 8 in B",
        "part load, window: 10s in A, 20s in B",
    }


def test_the_same_machine_after_a_restart_is_the_same():
    """Its memory differs by a few pages."""
    found = differences(run(), run(environment={"memory": 8 * 2**30 - 4096}))
    assert (found.machine, found.software, found.experiment) == ((), (), ())


def test_another_speed_of_the_machine_and_other_caps_are_told():
    """A job alone took longer; memory was not capped."""

    def calibrated(wall):
        return [{"part": "load", "task": "spin", "before": {"wall": wall}}]

    a = run(calibration=calibrated(0.5), caps={"cpu": True, "memory": True, "kind": "cgroup2"})
    b = run(calibration=calibrated(0.6), caps={"cpu": True, "memory": False, "kind": "cgroup2"})
    found = differences(a, b)
    assert found.experiment == ("one spin job alone: 500 ms in A, 600 ms in B",)
    assert found.machine == (
        "caps in force: CPU capped, memory capped, cgroup2 in A, CPU capped, memory not capped, cgroup2 in B",
    )


@pytest.mark.parametrize("junk", [None, 3, "x", [1], {"a": [1]}])
def test_descriptions_with_strange_values_are_compared_all_the_same(junk):
    """A foreign or old run.json says other things of its machine."""
    environment = {"cpu": junk, "memory": junk, "libraries": junk, "python": junk}
    other = run(environment=environment, experiment={"input": junk, "systems": junk}, seed=junk)
    assert differences(run(), other).machine
