"""The scalability law over a worker sweep: fitted where workers are the limit, else refused and why."""

from dataclasses import replace

import pytest
from by_hand import WINDOW, described, job, tables, trial

from bench.analysis import analyse
from bench.analysis.across.findings.workers import scaling_words
from bench.analysis.across.groups import worker_groups
from bench.analysis.across.scalability import scalability

COUNTS = (1, 2, 4, 8)


def sweep(done, rate=80.0, cpu=0.0, cpus=2.0, failed=0):
    """Worker counts with so many results in the window of ten seconds; `failed` of a hundred get a 504."""
    plan, rows = [], {}
    for workers, results in done.items():
        t = trial(
            id=f"w{workers}", shows="workers", system={"workers": workers},
            work={"cpu_time": cpu, "task": "sleep"}, load={"rate": rate},
        )  # fmt: skip
        t = replace(t, box=replace(t.box, cpus=cpus))
        came = int(rate * 10)
        jobs = [job(f"j{n}", 100 + 10 * n / came, 200.0, "unfinished") for n in range(came)]
        jobs[:results] = [job(f"j{n}", 100 + 10 * n / came, 109.0) for n in range(results)]
        bad = came * failed // 100
        jobs[came - bad :] = [job(f"j{n}", 109.9, 109.95, "gateway_timeout") for n in range(came - bad, came)]
        plan.append(t)
        rows[t.id] = {"jobs": jobs, "events": WINDOW}
    return analyse(described(*plan), tables(rows))


def found_in(analysis):
    (group,) = worker_groups(analysis.done)
    return scalability(group, group.series[0])


def test_a_sweep_under_pressure_gives_the_law() -> None:
    """σ = 5 %, κ = 2 %: coefficients, the best count, and a finding that says so."""
    results = {n: round(100 * n / (1 + 0.05 * (n - 1) + 0.02 * n * (n - 1))) for n in COUNTS}
    analysis = sweep(results)
    found = found_in(analysis)
    assert found.usable == COUNTS
    assert found.law is not None
    assert found.law.contention == pytest.approx(0.05, abs=0.01)
    assert found.law.coherency == pytest.approx(0.02, abs=0.005)
    assert found.law.best == pytest.approx(6.9, abs=0.7)
    text = next(f.text for f in analysis.verdict.findings if f.key == "workers-io")
    assert "the most with 7 workers" in text
    assert "fitted to 1, 2, 4 and 8" in text


def test_where_all_that_was_offered_is_done_nothing_is_fitted() -> None:
    """Four and eight workers could do more than 2.5 jobs/s: they show the load."""
    found = found_in(sweep({1: 10, 2: 20, 4: 25, 8: 25}, rate=2.5))
    assert (found.usable, found.by_load, found.law) == ((1, 2), (4, 8), None)
    assert "4 and 8 workers could have done more than was offered" in scaling_words(found)


def test_where_the_box_is_the_limit_nothing_is_fitted() -> None:
    """On two cores, four workers that compute show the cores."""
    found = found_in(sweep({1: 10, 2: 20, 4: 20, 8: 20}, cpu=1.0))
    assert (found.usable, found.by_box, found.law) == ((1, 2), (4, 8), None)
    assert "4 and 8 workers would take more CPU than the box has" in scaling_words(found)


def test_where_work_is_done_for_nobody_nothing_is_fitted() -> None:
    """Results do not show what the workers did."""
    found = found_in(sweep({1: 10, 2: 20, 4: 40, 8: 80}, failed=20))
    assert (found.usable, found.by_failure) == ((), COUNTS)
    assert "worked for clients that had been sent away" in scaling_words(found)
    assert "can't be told from this: it takes 3 worker counts" in scaling_words(found)
