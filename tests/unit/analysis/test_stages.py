"""Every delivered job's response time comes apart into five parts that sum to it, or it is said so."""

import math

import numpy as np
import pytest
from by_hand import described, job, records, run_of, tables, trial
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis import analyse
from bench.analysis.trial.stages import STAGES, Stages, pooled, stages, take_apart

NAN = math.nan
BLOCKING = trial(system={"name": "gunicorn", "kind": "gunicorn"})
EXTERNAL = trial(system={"name": "theirs", "kind": "external", "url": "http://127.0.0.1:1"})


def parts(jobs, runs=(), of=None):
    """The means in milliseconds, in order."""
    found = stages(records(jobs, list(runs), of=of))
    return [round(1000 * seconds, 3) for seconds in found.parts.values()]


def test_a_queued_job_passes_five_stages():
    """Arrival 100, sent 1 ms later, accepted at 10 ms, run from 0.5 to 1.5 s, discovered at 2 s."""
    found = stages(records([job("a", 100, 102)], [run_of("a", 100.5, 101.5)]))
    assert found.parts == pytest.approx(
        {"send": 0.001, "accept": 0.009, "wait": 0.49, "service": 1.0, "discovery": 0.5}
    )
    assert (found.response, found.apart, found.longest) == (2.0, 1, ("service", 0.5))


def test_a_blocking_servers_wait_is_wait_since_nothing_was_accepted_before():
    """Its 2xx is the result: from the sending to the start the job stood in the server's backlog."""
    jobs = [job("a", 100, 102, accepted=102.0)]
    assert parts(jobs, [run_of("a", 100.5, 101.5)], BLOCKING) == [1, 0, 499, 1000, 500]


def test_accept_ends_where_a_fast_worker_has_begun():
    """The run starts 4 ms after the sending, the client reads its 202 only 9 ms after it."""
    assert parts([job("a", 100, 100.2)], [run_of("a", 100.005, 100.105)]) == [1, 4, 0, 100, 95]


def test_a_run_that_ended_before_the_202_was_read_still_adds_up():
    """A job of a millisecond: accept up to the start, the 202 in the middle of discovery."""
    assert parts([job("a", 100, 100.05)], [run_of("a", 100.003, 100.004)]) == [1, 2, 0, 1, 46]


def test_of_several_complete_runs_the_first_to_end_delivered():
    """A repeated job: the second run began earlier and ended later, its result came to nothing."""
    runs = [run_of("a", 100.2, 101.9), run_of("a", 100.5, 101.5)]
    assert parts([job("a", 100, 102)], runs) == [1, 9, 490, 1000, 500]


def test_a_client_that_asked_again_was_answered_by_its_last_attempt():
    """The first attempt's run ended after its asker had left: its end delivered nothing."""
    asked = job("j", 100.0, 102.41, sent=100.0, accepted=102.41, attempts=2)
    runs = [run_of("j", 100.5, 101.5), run_of("j.2", 101.5, 102.4)]
    assert parts([asked], runs, BLOCKING) == [0, 0, 1500, 900, 10]


def test_runs_that_were_killed_or_failed_are_part_of_the_wait():
    """Until the start of the run that delivered, whatever was tried before."""
    runs = [run_of("a", 100.1, cut=100.4), run_of("a", 100.4, 100.45, ok=False), run_of("a", 100.5, 101.5)]
    assert parts([job("a", 100, 102)], runs) == [1, 9, 490, 1000, 500]


def test_only_delivered_jobs_of_the_window_are_in_the_means():
    """Neither the warm-up's, nor those that got a 504 though their run was complete."""
    jobs = [
        job("a", 100, 102),
        job("w", 99, 109, phase="warmup"),
        job("x", 101, 104, "gateway_timeout", accepted=NAN),
    ]
    runs = [run_of("a", 100.5, 101.5), run_of("w", 99.5, 108.5), run_of("x", 101.5, 105)]
    found = stages(records(jobs, runs))
    assert (found.delivered, found.apart, found.response) == (1, 1, 2.0)


def test_means_sum_to_the_mean_response_time_of_the_same_jobs():
    """Two jobs of 2 s and 4 s; a third without a run in the journal counts as unseen and is in no mean."""
    jobs = [job("a", 100, 102), job("b", 101, 105), job("c", 102, 110)]
    found = stages(records(jobs, [run_of("a", 100.5, 101.5), run_of("b", 103, 104)]))
    assert (found.delivered, found.apart, found.unseen, found.adrift) == (3, 2, 1, 0)
    assert sum(found.parts.values()) == pytest.approx(found.response) == 3.0


def test_without_journal_and_server_timing_nothing_is_invented():
    """No part is guessed, and a sentence says how many."""
    t, rows = trial(), {"jobs": [job("a", 100, 102)]}
    analysis = analyse(described(t), tables({"t": rows}))
    found = analysis.rows[0].stages
    assert (found.apart, found.unseen) == (0, 1)
    assert all(math.isnan(seconds) for seconds in found.parts.values())
    assert any("1 of 1 delivered job can't be taken apart" in n.text for n in analysis.notes)


@pytest.mark.parametrize(
    ("start", "end"),
    [(99.9, 101.5), (100.5, 102.1), (101.5, 100.5)],
    ids=["before it was sent", "after it was delivered", "backwards"],
)
def test_clocks_that_disagree_are_said_and_not_averaged(start, end):
    """No part is negative; the sum is off by more than 1 %, and a warning counts the job."""
    rows = {"jobs": [job("a", 100, 102)], "executions": [run_of("a", start, end)]}
    analysis = analyse(described(trial()), tables({"t": rows}))
    found = analysis.rows[0].stages
    assert (found.apart, found.adrift, found.unseen) == (0, 1, 0)
    said = [n for n in analysis.notes if "do not sum to the response time within 1 %" in n.text]
    assert [n.tone for n in said] == ["warning"]
    assert said[0].text.startswith("Of 1 of 1 delivered job")


def test_a_hair_of_clock_error_is_let_pass():
    """A result that seems to be there 5 ms of 2 s before its run's end: within the 1 %."""
    found = stages(records([job("a", 100, 102)], [run_of("a", 100.5, 102.005)]))
    assert (found.apart, found.adrift, found.discovery) == (1, 0, 0.0)


def test_an_external_services_own_word_places_wait_and_service():
    """Accepted 9 ms after the sending; it waited 0.4 s and ran 1 s: 590 ms are left for discovery."""
    jobs = [job("a", 100, 102, wait=0.4, run=1.0)]
    assert parts(jobs, of=EXTERNAL) == [1, 9, 400, 1000, 590]
    assert stages(records(jobs, of=EXTERNAL)).timed == 1


def test_what_an_external_service_counts_twice_is_taken_from_accept():
    """Its wait begins within the submission: with 5 ms left in all, accept is those 5 ms."""
    assert parts([job("a", 100, 101.406, wait=0.4, run=1.0)], of=EXTERNAL) == [1, 5, 400, 1000, 0]


def test_an_external_blocking_service_that_tells_its_run_only():
    """One exchange: all that was not the run was waiting, the way there and back included."""
    jobs = [job("a", 100, 102, accepted=102.0, run=1.0)]
    assert parts(jobs, of=EXTERNAL) == [1, 0, 999, 1000, 0]


def test_a_polled_job_whose_wait_nobody_tells_is_not_divided():
    """Between wait and discovery nothing draws the line."""
    found = stages(records([job("a", 100, 102, run=1.0)], of=EXTERNAL))
    assert (found.apart, found.unseen) == (0, 1)


def test_a_service_that_claims_more_than_the_response_took_does_not_add_up():
    """3 s of run in a response of 2 s."""
    assert stages(records([job("a", 100, 102, wait=0.0, run=3.0)], of=EXTERNAL)).adrift == 1


def test_the_journal_goes_before_server_timing_and_the_two_are_compared():
    """Runs of 1 s that Server-Timing calls 0.9, 1.02 and 1.1 s: the median deviation is 2 %."""
    jobs = [job(n, 100, 102, run=r) for n, r in (("a", 0.9), ("b", 1.02), ("c", 1.1))]
    found = stages(records(jobs, [run_of(n, 100.5, 101.5) for n in "abc"]))
    assert found.service == 1.0
    assert found.timed == 0
    assert found.deviation == pytest.approx(0.02)


@pytest.mark.parametrize(("run", "tone"), [(1.01, "note"), (1.2, "warning")])
def test_the_deviation_is_reported_and_a_large_one_warned_of(run, tone):
    """1 % is a note, 20 % a warning."""
    rows = {"jobs": [job("a", 100, 102, run=run)], "executions": [run_of("a", 100.5, 101.5)]}
    notes = analyse(described(trial()), tables({"t": rows})).notes
    assert [n.tone for n in notes if "by the journal and by Server-Timing differ" in n.text] == [tone]


def test_repeats_are_pooled_by_job_so_that_parts_still_add_up():
    """One repeat with one job of 2 s, one with three of 4 s, an empty one: 3.5 s on average."""
    one = Stages(0.0, 0.0, 1.0, 1.0, 0.0, 2.0, delivered=1, apart=1)
    three = Stages(0.0, 0.0, 2.0, 1.0, 1.0, 4.0, delivered=4, apart=3, adrift=1)
    found = pooled([one, three, Stages()])
    assert (found.response, found.wait, found.discovery) == (3.5, 1.75, 0.75)
    assert (found.delivered, found.apart, found.adrift) == (5, 4, 1)
    assert sum(found.parts.values()) == found.response


gaps = st.lists(st.floats(0, 1e4), min_size=4, max_size=4)
shares = st.floats(0, 1)


@given(gaps, shares, st.booleans())
def test_any_instants_in_their_order_add_up(found, share, blocking):
    """Arrival, sending, start, end, result in this order, and a 2xx anywhere between sending and result."""
    sent, start, end, done = (100 + float(s) for s in np.cumsum(found))
    accepted = done if blocking else sent + share * (done - sent)
    bundle = records(
        [job("a", 100.0, done, sent=sent, accepted=accepted)], [run_of("a", start, end)], events=[]
    )
    apart = take_apart(bundle)
    assert (apart.parts >= 0).all()
    assert apart.known.all()
    assert apart.adds_up.all()
    assert apart.parts.sum() == pytest.approx(done - 100.0, abs=1e-9)


anywhen = st.one_of(st.floats(90, 120), st.just(NAN))


@given(st.lists(st.tuples(*[anywhen] * 5, st.floats(0, 9), st.floats(0, 9)), min_size=1, max_size=20))
def test_whatever_was_recorded_no_part_is_negative_and_what_is_averaged_adds_up(rows):
    """Instants in any order, or none: every job is taken apart within 1 %, unseen, or adrift."""
    jobs, runs = [], []
    for n, (sent, accepted, start, end, done, wait, run) in enumerate(rows):
        result = 100 if math.isnan(done) else done
        jobs.append(job(str(n), 100, result, sent=sent, accepted=accepted, wait=wait, run=run))
        if not math.isnan(start):
            runs.append(run_of(str(n), start, end))
    bundle = records(jobs, runs)
    apart, found = take_apart(bundle), stages(bundle)
    assert not (apart.parts < 0).any()
    assert found.apart + found.unseen + found.adrift == found.delivered == len(rows)
    if found.apart:
        off = abs(sum(found.parts.values()) - found.response)
        assert off <= 0.0101 * found.response + 1e-5
        assert list(found.parts) == list(STAGES)
