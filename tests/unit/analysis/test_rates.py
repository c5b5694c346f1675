"""Rates go by what really happened; the drain says whether it was waited out; polling has a price."""

import math

import numpy as np
import pytest
from by_hand import event, job, records, run_of, sample, trial

from bench.analysis.trial.ledger import ledger
from bench.analysis.trial.rates import CPU_PER_POLL, drain, polling, rates, send_delay_p99
from bench.analysis.trial.resources import usage
from bench.analysis.trial.timeline import timeline
from bench.analysis.trial.waste import waste

NAN = math.nan


def test_rates_are_normalised_by_realised_arrivals():
    """Four jobs in ten seconds are 0.4/s, whatever the plan said; in time and throughput likewise."""
    jobs = [job("a", 101, 102), job("b", 102, 106), job("c", 103, 112), job("d", 104, 107, "gateway_timeout")]
    bundle = records(jobs)
    found = rates(bundle, ledger(bundle))
    assert (found.span, found.offered, found.goodput, found.throughput) == (10.0, 0.4, 0.1, 0.2)


def test_throughput_counts_what_came_back_in_the_window_whenever_it_was_asked():
    """Warm-up jobs that end in the window are work that the system did in it."""
    bundle = records([job("w", 95, 100.5, phase="warmup"), job("a", 101, 102)])
    assert rates(bundle, ledger(bundle)).throughput == 0.2


def test_a_broken_off_window_is_as_long_as_it_really_was():
    """The mark before its time shortens it."""
    events = [event(100, "window_started"), event(104, "window_ended")]
    bundle = records([job("a", 101, 102), job("b", 102, 103)], events=events)
    assert rates(bundle, ledger(bundle)).offered == 0.5


def test_a_burst_has_no_rate():
    """All arrive at once: a rate would be made up."""
    bundle = records([job("a", 100, 101)], of=trial(load={"arrivals": "burst", "window": 0.0}))
    assert math.isnan(rates(bundle, ledger(bundle)).goodput)


def test_closed_users_with_a_number_of_jobs_span_until_their_last_result():
    """Six users with one job each, the last after 20 s."""
    plan = trial(load={"arrivals": "closed", "size": 2, "jobs_per_user": 1, "window": 0.0})
    bundle = records([job("a", 100, 110), job("b", 100, 120)], events=[event(100, "window_started")], of=plan)
    assert rates(bundle, ledger(bundle)).span == 20.0


def test_the_drain_lasts_from_the_end_of_the_window_to_the_last_result():
    """And says that it was complete and delivered everything."""
    found = drain(records([job("a", 109, 116.5)]))
    assert (found.seconds, found.complete, found.all_delivered) == (6.5, True, True)


def test_a_drain_that_was_cut_off_is_a_lower_bound():
    """An unfinished job makes it incomplete."""
    found = drain(records([job("a", 109, 130, "unfinished")]))
    assert (found.seconds, found.complete, found.all_delivered) == (20.0, False, False)


def test_refused_jobs_do_not_keep_a_drain_from_being_complete():
    """Only what was accepted is owed."""
    found = drain(records([job("a", 101, 101.1, "rejected", accepted=NAN), job("b", 102, 103)]))
    assert found.all_delivered


def test_the_generators_own_lateness_is_a_figure():
    """p99 of arrival → sent."""
    jobs = [job(f"j{n}", 100 + n / 100, 105, sent=100 + n / 100 + n / 1000) for n in range(100)]
    assert send_delay_p99(records(jobs)) == pytest.approx(0.098)


def test_polls_cost_what_was_measured():
    """20 polls in 10 s on 2 vCPU: 2/s × 1.8 ms / 2."""
    requests = [
        {
            "job": "a",
            "kind": "poll",
            "sent": 100 + n / 2,
            "elapsed": 0.01,
            "status": 200,
            "bytes": 1,
            "error": "",
        }
        for n in range(20)
    ]
    requests.append({**requests[0], "kind": "submit"})
    found = polling(records([job("a", 100, 109, polls=20)], requests=requests))
    assert (found.polls, found.per_job, found.per_second) == (20, 20.0, 2.0)
    assert found.box_share == pytest.approx(2 * CPU_PER_POLL / 2)
    assert found.requests_per_second == pytest.approx(2.1)


def test_wasted_work_has_three_parts_and_the_rest_was_useful():
    """One of each: in time, late, never delivered, executed twice, cut off."""
    jobs = [
        job("good", 101, 102),
        job("late", 101, 109),
        job("gone", 101, 104, "gateway_timeout"),
        job("twice", 101, 103),
        job("cut", 101, 104, "gateway_timeout"),
    ]
    runs = [
        run_of("good", 101, 102),
        run_of("late", 107, 108),
        run_of("gone", 101, 105, cpu=2.0),
        run_of("twice", 101, 102),
        run_of("twice", 101.5, 102.5),
        run_of("cut", 101, cut=101.25),
    ]
    found = waste(records(jobs, runs))
    assert found.executed == 6.25
    assert (found.never_delivered, found.late, found.twice_or_cut) == (2.0, 1.0, 1.25)
    assert found.wasted_share == pytest.approx(4.25 / 6.25)


def test_cpu_bound_work_is_weighed_in_cpu_seconds_and_waiting_work_in_wall_time():
    """Processor sharing stretches wall time, not work."""
    jobs, runs = [job("a", 101, 105, "gateway_timeout")], [run_of("a", 101, 109, cpu=1.0)]
    assert waste(records(jobs, runs)).never_delivered == 1.0
    sleeping = trial(work={"cpu_time": 0.001})
    assert waste(records(jobs, runs, of=sleeping)).never_delivered == 8.0


def test_what_was_killed_counts_up_to_the_kill_and_no_more_than_one_job():
    """Nobody read its CPU clock: at most its wall time, at most S."""
    jobs = [job("a", 101, 105, "error"), job("b", 101, 105, "error")]
    runs = [run_of("a", 101, cut=101.4), run_of("b", 101, cut=109)]
    assert waste(records(jobs, runs)).twice_or_cut == pytest.approx(1.4)


def test_threads_that_were_cut_off_weigh_no_more_than_the_cpu_that_was_burnt():
    """Twenty threads under one GIL each ran for 1.5 s of wall time and together burnt 1.5 s of CPU."""
    jobs = [job(f"j{n}", 100.0, 101.5, "gateway_timeout", accepted=NAN) for n in range(20)]
    runs = [run_of(f"j{n}", 100.0, cut=101.5) for n in range(20)]
    burnt = [sample(100.0, "web", "cpu", 2.0), sample(101.5, "web", "cpu", 3.5)]
    assert waste(records(jobs, runs, resources=burnt)).twice_or_cut == pytest.approx(1.5)
    unsampled = waste(records(jobs, runs, of=trial(system={"kind": "blocking"})))
    assert unsampled.twice_or_cut == pytest.approx(1.5), "one core, for as long as it lasted"


def test_polls_of_closed_users_are_spread_over_all_the_time_they_took():
    """With so many jobs a user the window ends as soon as the last user has begun."""
    closed = trial(load={"arrivals": "closed", "rate": 0.0, "size": 2, "jobs_per_user": 1, "window": 0.0})
    marks = [event(100.0, "window_started", "generator"), event(100.1, "window_ended", "generator")]
    poll = {"job": "a", "kind": "poll", "elapsed": 0.01, "status": 200, "bytes": 1, "error": ""}
    asked = [{**poll, "sent": 100.0 + n} for n in range(1, 5)]
    found = polling(records([job("a", 100.0, 105.0, polls=4)], events=marks, requests=asked, of=closed))
    assert found.per_second == pytest.approx(0.8)


def test_the_boxs_own_counters_come_first_and_the_sum_of_its_processes_second():
    """The generator and the gateway stand outside the box."""
    own = [sample(100.0 + t, "box", "cpu", 1.5 * t) for t in range(11)]
    parts = [
        sample(100.0 + t, s, "cpu", c * t) for t in range(11) for s, c in (("web", 0.2), ("worker", 0.7))
    ]
    outside = [sample(100.0 + t, s, "cpu", 5.0 * t) for t in range(11) for s in ("generator", "gateway")]
    jobs = [job("a", 101, 102)]
    found = usage(records(jobs, resources=own + parts + outside))
    assert (found.cpu, found.web_cpu, found.generator_cpu) == pytest.approx((1.5, 0.2, 5.0))
    assert usage(records(jobs, resources=parts + outside)).cpu == pytest.approx(0.9)


def test_memory_kills_are_seen_by_event_or_by_the_boxs_counter():
    """Whichever shows more."""
    counter = [sample(100, "box", "oom_kills", 3), sample(105, "box", "oom_kills", 5)]
    assert usage(records([job("a", 101, 102)], resources=counter)).oom_kills == 2
    events = [event(103, "oom_kill"), event(103, "died"), event(104, "restarted")]
    found = usage(records([job("a", 101, 102)], events=events))
    assert (found.oom_kills, found.deaths, found.restarts) == (1, 1, 1)


def test_a_timeline_counts_who_waits_and_marks_what_died():
    """In flight rises at arrivals and falls at ends; a death within a kill is the kill's."""
    events = [event(100, "load_started"), event(103, "oom_kill"), event(103.1, "died"), event(106, "died")]
    found = timeline(records([job("a", 100, 104), job("b", 102, 103)], events=events))
    assert (found.in_flight.value.max(), found.in_flight.value[-1]) == (2, 0)
    assert (found.kills, found.deaths) == ((3.0,), (6.0,))


def test_a_long_timeline_is_thinned():
    """A chart can not show a hundred thousand steps."""
    jobs = [job(f"j{n}", 100 + n / 500, 100.1 + n / 500) for n in range(5000)]
    found = timeline(records(jobs))
    assert len(found.in_flight.t) < 300
    assert np.isfinite(found.in_flight.value).all()
