"""Objectives against figures: met only by what was measured, and by all of it."""

import math
from dataclasses import replace

import pytest
from by_hand import job, records, trial

from bench.analysis.across.objectives import check, metric
from bench.analysis.run import Result
from bench.analysis.trial.figures import Figures, figures
from bench.analysis.trial.validity import Reason, Validity
from bench.slo import parse_slo

VALID = Validity()
INVALID = Validity((Reason("send_delay", "INVALID", "It sent late.", "Ask for less."),))
SATURATED = Validity((Reason("backlog", "SATURATED", "The backlog grew.", "Ask for less."),))


def of(times, *more, status="done", reason="", validity=VALID, **changes) -> Figures:
    """A trial whose jobs took these seconds, and `more` jobs with ends of their own."""
    jobs = [job(f"j{n}", 100 + 0.01 * n, 100 + 0.01 * n + t) for n, t in enumerate(times)]
    plan = trial(**changes)
    found = figures(records([*jobs, *more], of=plan), Result(status, reason))
    return replace(found, validity=validity)


def bad(name, outcome, **more):
    return job(name, 105.0, 106.0, outcome, **more)


def states(text, *rows):
    return [c.state for c in check([parse_slo(text)], rows)]


def test_every_metric_is_what_the_documentation_says():
    """Ten arrivals, D = 3 s: five in time, one late, one of each other end."""
    f = of(
        [1.0] * 5 + [4.0],
        bad("r", "rejected", status=503, accepted=math.nan),
        bad("g", "gateway_timeout", status=504, accepted=math.nan),
        bad("w", "wrong"),
        job("l", 105.0, 125.0, "unfinished"),
    )
    values = {name: metric(f, name) for name in ("timeouts", "intime", "late", "rejected", "errors", "lost")}
    assert values == pytest.approx(
        {"timeouts": 0.5, "intime": 0.5, "late": 0.1, "rejected": 0.1, "errors": 0.2, "lost": 0.1}
    )
    assert metric(f, "p50") == pytest.approx(1.0)
    assert metric(f, "p95") is None
    assert metric(f, "mean") == math.inf


def test_percentiles_and_the_mean_are_those_of_all_arrivals():
    """A fast failure makes nobody fast: the mean is not reached, p95 is infinite where enough jobs failed."""
    fine = of([1.0] * 57 + [2.0] * 3)
    assert metric(fine, "p95") == pytest.approx(1.0)
    assert metric(fine, "mean") == pytest.approx(1.05)
    failing = of([1.0] * 50, *(bad(f"e{n}", "error") for n in range(10)))
    assert metric(failing, "p95") == math.inf
    assert states("mean<2s, p95<100s, errors<10%", failing) == ["missed"] * 3


def test_what_is_met_and_what_is_missed():
    """Each objective by itself, in the order in which they were written."""
    assert states("timeouts<=0%, p50<1s, intime>=100%", of([1.0] * 10)) == ["met", "missed", "met"]


def test_a_percentile_of_too_few_arrivals_is_not_met():
    """It says how many it takes; so does a trial in which nobody came."""
    (one,) = check([parse_slo("queued@1C: p95<100s")], [of([1.0] * 10)])
    assert (one.state, one.why) == ("not enough arrivals", "10 arrivals; p95 takes 60")
    (one,) = check([parse_slo("queued@1C: timeouts<100%")], [of([])])
    assert (one.state, one.why) == ("not enough arrivals", "no arrivals")


def test_what_is_left_open_passes_over_what_can_not_have_the_figure():
    """A burst of 12 has no p95: that is no miss, unless there is nothing else."""
    steady, burst = of([1.0] * 60), of([1.0] * 12, load={"label": "burst12"})
    assert states("p95<2s", steady, burst) == ["met"]
    assert states("p95<2s", burst) == ["not enough arrivals"]
    assert states("queued@burst12: p95<2s", steady, burst) == ["not enough arrivals"]
    assert states("late<=0%", steady, burst) == ["met", "met"]


def test_each_system_worker_count_and_load_is_checked_by_itself():
    """A good one does not hide a bad one."""
    rows = [
        of([1.0] * 10),
        of([2.5] * 10, system={"name": "blocking", "kind": "blocking"}),
        of([2.5] * 10, system={"workers": 4}),
        of([2.5] * 10, load={"label": "2C"}),
    ]
    assert states("p50<2s", *rows) == ["met", "missed", "missed", "missed"]
    assert states("queued*2@1C: p50<2s", *rows) == ["met"]


def test_over_repeats_the_median_of_the_trials_counts():
    """Neither the best nor the worst of three."""
    three = [of([t] * 10, repeat=n) for n, t in enumerate((1.0, 1.5, 9.0), start=1)]
    (one,) = check([parse_slo("p50<2s")], three)
    assert (one.state, one.value) == ("met", pytest.approx(1.5))


def test_an_invalid_trial_proves_nothing():
    """Alone it is not believable, with its reason; among believable repeats it takes no part."""
    (one,) = check([parse_slo("p50<2s")], [of([1.0] * 10, validity=INVALID)])
    assert (one.state, one.why) == ("not believable", "It sent late.")
    assert math.isnan(one.value)
    assert states("p50<2s", of([1.0] * 10), of([9.0] * 10, validity=INVALID, repeat=2)) == ["met"]
    two_of_three = [of([1.0] * 10, validity=INVALID, repeat=n) for n in (1, 2)]
    assert states("p50<2s", *two_of_three, of([1.0] * 10, repeat=3)) == ["not believable"]


def test_a_saturated_trial_is_believed():
    """It was honestly measured."""
    assert states("p50<2s", of([1.0] * 10, validity=SATURATED)) == ["met"]


def test_a_trial_that_failed_or_never_began_meets_nothing():
    """Named or not; only a skipped one is passed over where it was not named."""
    failed = of([], status="failed", reason="RabbitMQ did not start")
    (one,) = check([parse_slo("intime>=0%")], [failed])
    assert (one.state, one.why) == ("not measured", "RabbitMQ did not start")
    fine = of([1.0] * 10, load={"label": "2C"})
    assert states("intime>=0%", failed, fine) == ["not measured", "met"]
    assert states("intime>=0%", of([], status="pending"), fine) == ["not measured", "met"]
    skipped = of([], status="skipped", reason="memory is not capped here")
    assert states("intime>=0%", skipped, fine) == ["met"]
    assert states("queued@1C: intime>=0%", skipped, fine) == ["not measured"]
