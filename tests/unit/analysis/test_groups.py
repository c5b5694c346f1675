"""Trials find their picture: repeats become points, and no trial has to run twice."""

from dataclasses import replace

import pytest
from by_hand import WINDOW, described, job, run_of, tables, trial

from bench.analysis import analyse
from bench.plan import Retry


def analysed(*plan):
    """Trials with one job in time each."""
    rows = {
        t.id: {"jobs": [job("a", 101, 102)], "executions": [run_of("a", 101, 102)], "events": WINDOW}
        for t in plan
    }
    return analyse(described(*plan), tables(rows))


def named(name, kind="queued", id_=None, **changes):
    workers = changes.pop("workers", 2)
    return trial(id=id_ or name, system={"name": name, "kind": kind, "workers": workers}, **changes)


def test_repeats_of_one_trial_are_one_point():
    """Three repeats: one system, one point, three figures."""
    found = analysed(*(named("queued", id_=f"q{n}", repeat=n) for n in (1, 2, 3)))
    (group,) = found.groups.loads
    (series,) = group.series
    assert [len(p.repeats) for p in series.points] == [3]


def test_the_blocking_family_comes_first_and_each_system_is_a_series():
    """Charts and tables keep one order."""
    found = analysed(named("queued"), named("gunicorn", "gunicorn"), named("blocking", "blocking"))
    assert [s.label for s in found.groups.loads[0].series] == ["blocking", "gunicorn", "queued"]


def test_a_load_trial_lends_its_point_to_the_worker_sweep():
    """1 and 4 workers are in the sweep, 2 is in the load part at the same rate."""
    load = {"rate": 7.2, "label": "1.2C", "relative": 1.2}
    sweep = [named("queued", id_=f"w{n}", shows="workers", part="w", workers=n, load=load) for n in (1, 4)]
    lent = [named("queued", id_="load", load=load), named("blocking", "blocking", load=load)]
    other = named("queued", id_="low", load={"rate": 3.0, "label": "0.5C", "relative": 0.5})
    (group,) = analysed(*sweep, *lent, other).groups.workers
    (series,) = group.series
    assert [p.trial.system.workers for p in series.points] == [1, 2, 4]
    assert group.reference == pytest.approx(6.0)


def test_the_same_load_over_another_window_is_another_load():
    """Above capacity a figure is one of its window: 8 s and 10 s at twice the capacity do not compare."""
    load = {"rate": 12.0, "label": "2C", "relative": 2.0}
    found = analysed(
        named("queued", load={**load, "window": 8.0}),
        named("as-published", "as_published", part="longer", load={**load, "window": 10.0}),
    )
    assert [[s.label for s in g.series] for g in found.groups.loads] == [["queued"], ["as-published"]]


def test_work_that_waits_has_a_worker_chart_of_its_own():
    """CPU-bound and I/O-bound sweeps do not mix."""
    cpu = [named("queued", id_=f"c{n}", shows="workers", workers=n) for n in (1, 2)]
    io = {"task": "sleep", "cpu_time": 0.0}
    waiting = [named("queued", id_=f"i{n}", shows="workers", workers=n, work=io) for n in (1, 2)]
    assert [g.cpu_bound for g in analysed(*cpu, *waiting).groups.workers] == [True, False]


def test_the_gil_released_stands_beside_the_gil_held():
    """The same system on the same load, one chart, a label that says what differs."""
    held = named("blocking", "blocking", work={"input": {"gil": "held"}})
    released = named(
        "blocking", "blocking", id_="r", part="gil", work={"input": {"gil": "released"}, "holds_gil": False}
    )
    (group,) = analysed(named("queued", work={"input": {"gil": "held"}}), held, released).groups.loads
    assert [s.label for s in group.series] == ["blocking", "blocking, GIL released", "queued"]


def test_other_work_has_a_chart_of_its_own():
    """Two tasks on one axis would compare nothing."""
    assert len(analysed(named("queued"), named("queued", id_="o", work={"task": "sleep"})).groups.loads) == 2


def test_one_system_at_two_worker_counts_is_two_rows():
    """As in the blog's own experiment."""
    load = {"arrivals": "closed", "size": 6, "jobs_per_user": 1}
    plan = [named("queued", id_=f"q{n}", shows="closed", workers=n, load=load) for n in (1, 2)]
    (group,) = analysed(*plan, named("blocking", "blocking", shows="closed", load=load)).groups.closed
    assert [s.label for s in group.series] == ["blocking", "queued ×1", "queued ×2"]
    assert {s.key for s in group.series} == {"blocking", "queued"}


def test_service_times_join_over_their_parts():
    """One part a service time, one curve a system."""
    load = {"arrivals": "burst", "size": 6}
    plan = [
        named("queued", id_=f"s{s}", part=f"s{s}", shows="service_time", load=load, work={"service_time": s})
        for s in (0.5, 1.0, 2.0)
    ]
    (group,) = analysed(*plan).groups.service_time
    assert [p.trial.work.service_time for p in group.series[0].points] == [0.5, 1.0, 2.0]


def test_a_crowd_is_split_into_the_main_systems_and_the_queues_variants():
    """Nine lines on one chart say nothing."""
    plan = [
        named(n, k) for n, k in (("blocking", "blocking"), ("gunicorn", "gunicorn"), ("bounded", "bounded"))
    ]
    plan += [named(f"queued{n}") for n in ("", "-a", "-b", "-c", "-d")]
    (group,) = analysed(*plan).groups.loads
    assert [s.label for s in group.main().series] == ["blocking", "gunicorn", "bounded", "queued"]
    assert len(group.queue_variants().series) == 5


def test_a_trial_that_failed_takes_no_part_in_pictures():
    """Its row stays in the table."""
    good, bad = named("queued"), named("gunicorn", "gunicorn")
    run = described(good, bad)
    results = {**run.results, "gunicorn": replace(run.results["gunicorn"], status="failed", reason="no sign")}
    rows = {t.id: {"jobs": [job("a", 101, 102)], "events": WINDOW} for t in (good, bad)}
    found = analyse(replace(run, results=results), tables(rows))
    assert [s.label for g in found.groups.loads for s in g.series] == ["queued"]
    assert len(found.rows) == 2
    assert any("no sign" in n.text for n in found.notes)


@pytest.mark.parametrize(
    "changes",
    [{"retry": Retry("immediate", attempts=3, after=1.0)}, {"deadline": 9.0}, {"gateway_timeout": 9.0}],
)
def test_trials_with_other_clients_are_no_repeats(changes):
    """Users who try again, or wait longer, meet another system: their figures are not pooled."""
    apart = analysed(named("queued", id_="a"), named("queued", id_="b", part="other", **changes))
    assert len(apart.groups.loads) == 2
    together = analysed(named("queued", id_="a"), named("queued", id_="b", part="other", repeat=2))
    assert len(together.groups.loads) == 1
