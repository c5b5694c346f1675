"""CPU besides the task: what each component burnt over the load, less what the tasks were read to use."""

import math

import pytest
from by_hand import WINDOW, event, job, records, run_of, sample, trial

from bench.analysis.trial.overhead import Overhead, overhead, pooled

NAN = math.nan
LOAD = [event(98.0, "load_started", "generator"), *WINDOW, event(112.0, "drained", "generator")]
GUNICORN = trial(system={"name": "gunicorn", "kind": "gunicorn"})


def cpu(role, *readings):
    """A cumulative counter from (instant, seconds) pairs."""
    return [sample(t, role, "cpu", value) for t, value in readings]


def counters(**burnt):
    """Counters that stood at 5 s when the load began and have burnt so much by its end."""
    return [
        row
        for role, seconds in burnt.items()
        for row in cpu(role, (97.5, 5.0), (98.0, 5.0), (112.0, 5.0 + seconds), (113.0, 5.0 + seconds))
    ]


def test_a_queued_job_costs_what_its_processes_burnt_besides_the_task():
    """Two jobs, two seconds of task; the broker's with epmd's."""
    jobs = [job("a", 100, 102), job("b", 101, 103)]
    runs = [run_of("a", 100.5, 101.5), run_of("b", 101.5, 102.5)]
    burnt = counters(web=0.04, worker=2.02, broker=0.015, epmd=0.001, store=0.004, gateway=0.002)
    found = overhead(records(jobs, runs, LOAD, burnt))
    each = {name: found.of(name) for name in found.cpu}
    assert each == pytest.approx(
        {"web": 0.02, "worker": 0.01, "broker": 0.008, "store": 0.002, "gateway": 0.001}
    )
    assert found.per_job == pytest.approx(0.041)
    assert found.task == 2.0


def test_a_blocking_servers_task_is_taken_from_its_web_processes():
    """1 s of task and 30 ms of the rest."""
    found = overhead(
        records([job("a", 100, 102)], [run_of("a", 100.5, 101.5)], LOAD, counters(web=1.03), of=GUNICORN)
    )
    assert found.cpu == pytest.approx({"web": 0.03})


def test_it_is_told_by_the_delivered_and_by_the_executed_job():
    """The warm-up's job shares in the CPU; one of three executed jobs was never delivered."""
    jobs = [
        job("w", 99, 101, phase="warmup"),
        job("a", 100, 102),
        job("x", 101, 104, "gateway_timeout", accepted=NAN),
    ]
    runs = [run_of(n, t, t + 1) for n, t in (("w", 99.1), ("a", 100.5), ("x", 102))]
    found = overhead(records(jobs, runs, LOAD, counters(web=3.06), of=GUNICORN))
    assert (found.delivered, found.executed) == (2, 3)
    assert (found.per_job, found.per_execution) == pytest.approx((0.03, 0.02))


def test_only_the_load_counts_between_samples_too():
    """A second of start-up before and of stopping after; the load begins and ends between two samples."""
    rows = cpu("web", (90, 0.0), (97, 1.0), (99, 1.2), (111, 2.4), (113, 2.6), (120, 9.0))
    found = overhead(records([job("a", 100, 102)], [run_of("a", 100.5, 101.5)], LOAD, rows, of=GUNICORN))
    assert found.cpu["web"] == pytest.approx(2.5 - 1.1 - 1.0)


def test_a_run_that_ended_after_the_drain_is_followed_to_its_end():
    """Its client had its 504; its CPU is known, so the counter is read when it ended."""
    jobs = [job("a", 100, 102), job("x", 101, 104, "gateway_timeout", accepted=NAN)]
    runs = [run_of("a", 100.5, 101.5), run_of("x", 111.5, 112.5)]
    rows = cpu("web", (98, 0.0), (112, 1.52), (112.5, 2.04), (113, 2.04))
    assert overhead(records(jobs, runs, LOAD, rows, of=GUNICORN)).cpu["web"] == pytest.approx(0.04)


def test_cut_tasks_that_nobody_read_leave_it_untold():
    """A killed run can have used up to a second: of its host nothing can be said, of the gateway it can."""
    runs = [run_of("a", 100.5, 101.5), run_of("b", 101, cut=104)]
    burnt = counters(web=2.1, gateway=0.01)
    found = overhead(records([job("a", 100, 102)], runs, LOAD, burnt, of=GUNICORN))
    assert math.isnan(found.cpu["web"])
    assert math.isnan(found.per_job)
    assert found.of("gateway") == pytest.approx(0.01)


def test_a_cut_task_that_can_have_used_next_to_nothing_does_not():
    """Cut 1 ms after its start, where 100 ms are to be explained."""
    runs = [run_of("a", 100.5, 101.5), run_of("b", 101, cut=101.001)]
    found = overhead(records([job("a", 100, 102)], runs, LOAD, counters(web=1.1), of=GUNICORN))
    assert found.cpu["web"] == pytest.approx(0.1)


@pytest.mark.parametrize(("burnt", "told"), [(0.98, 0.0), (0.5, NAN)])
def test_a_counters_coarse_steps_are_no_gain_and_a_missing_half_is_no_overhead(burnt, told):
    """20 ms short of the task's own second is rounding; half a second short: the process was not all seen."""
    found = overhead(
        records([job("a", 100, 102)], [run_of("a", 100.5, 101.5)], LOAD, counters(web=burnt), of=GUNICORN)
    )
    assert found.cpu["web"] == pytest.approx(told, nan_ok=True)


def test_without_a_journal_the_task_cannot_be_taken_off():
    """Delivered jobs whose runs nobody wrote down."""
    found = overhead(records([job("a", 100, 102)], [], LOAD, counters(web=1.1), of=GUNICORN))
    assert math.isnan(found.per_job)


def test_a_service_that_was_not_sampled_has_none():
    """External: not zero, but unknown. The same where no job was delivered."""
    assert math.isnan(overhead(records([job("a", 100, 102)])).per_job)
    nobody = overhead(records([], [], LOAD, counters(web=0.1)))
    assert math.isnan(nobody.per_job)
    assert math.isnan(nobody.per_execution)


def test_repeats_are_pooled_over_those_that_can_be_told():
    """30 ms over two jobs and 90 ms over four; a repeat with an untold part stands aside."""
    first = Overhead({"web": 0.02, "store": 0.01}, 2.0, 2, 2)
    second = Overhead({"web": 0.06, "store": 0.03}, 4.0, 4, 5)
    found = pooled([first, second, Overhead({"web": NAN, "store": 9.0}, 1.0, 1, 1)])
    assert found.cpu == pytest.approx({"web": 0.08, "store": 0.04})
    assert (found.per_job, found.delivered, found.executed) == (pytest.approx(0.02), 6, 7)
    assert math.isnan(pooled([]).per_job)
