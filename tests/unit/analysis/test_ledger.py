"""Every job that arrived has exactly one end, and each end is called by its right name."""

import pytest
from by_hand import WINDOW, event, job, records, run_of, trial
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.trial.ledger import FATES, fates, ledger, problems
from bench.records import OUTCOMES


def counts(**wanted: int) -> dict[str, int]:
    return {fate: wanted.get(fate, 0) for fate in FATES}


def told(found) -> dict[str, int]:
    return {fate: getattr(found, fate) for fate in FATES}


def test_a_result_exactly_at_the_deadline_is_in_time_and_a_moment_later_is_late():
    """D = 3 s is the last instant that counts."""
    found = ledger(records([job("a", 100, 103.0), job("b", 100, 103.001)]))
    assert told(found) == counts(in_time=1, late=1)
    assert (found.delivered, found.timeout_share) == (2, 0.5)


def test_every_way_to_fail_has_a_column_of_its_own():
    """The timeout rate can be split by cause."""
    ways = ("rejected", "gateway_timeout", "gave_up", "error", "wrong", "dropped")
    found = ledger(records([job(w, 101, 102, w) for w in ways]))
    assert told(found) == counts(**dict.fromkeys(ways, 1))
    assert (found.failed, found.never, found.delivered, found.timeout_share) == (4, 5, 0, 1.0)


def test_the_warm_up_does_not_count():
    """Only arrivals of the window stand in the books."""
    found = ledger(records([job("a", 99, 99.5, phase="warmup"), job("b", 101, 102)]))
    assert (found.arrivals, found.in_time) == (1, 1)


def test_a_job_whose_result_never_reached_the_client_is_lost():
    """Executed to its end long before the cut-off, while the system was busy with others to the very end."""
    jobs = [job("a", 101, 130, "unfinished"), job("b", 102, 130, "unfinished"), job("c", 102, 129.9)]
    runs = [run_of("a", 101, 102), run_of("b", 129, cut=130), run_of("c", 120, 129.5)]
    assert told(ledger(records(jobs, runs))) == counts(lost=1, unfinished=1, late=1)


def test_a_job_that_an_idle_system_never_took_up_is_lost():
    """A dead consumer: jobs were accepted, nothing runs any more, and the drain was waited out."""
    jobs = [job("a", 101, 102.5), job("b", 102, 130, "unfinished"), job("c", 103, 130, "unfinished")]
    runs = [run_of("a", 101, 102), run_of("b", 102, cut=104)]
    assert told(ledger(records(jobs, runs))) == counts(in_time=1, lost=2)


def test_a_job_still_waiting_in_a_busy_system_is_unfinished_not_lost():
    """The cut-off came too early to know."""
    jobs = [job("a", 101, 130, "unfinished"), job("b", 102, 130, "unfinished")]
    assert told(ledger(records(jobs, [run_of("a", 129.5, cut=130)]))) == counts(unfinished=2)


def test_a_result_between_two_polls_is_unfinished_not_lost():
    """The client had no chance to see it before the cut-off."""
    jobs = [job("a", 101, 130, "unfinished")]
    assert told(ledger(records(jobs, [run_of("a", 128, 129.6)]))) == counts(unfinished=1)


def test_a_job_never_accepted_can_not_be_lost():
    """Nobody promised anything."""
    jobs = [job("a", 101, 130, "unfinished", accepted=float("nan")), job("b", 101, 102)]
    assert told(ledger(records(jobs, [run_of("b", 101, 102)]))) == counts(unfinished=1, in_time=1)


@pytest.mark.parametrize(("cut_off", "fate"), [(113.0, "unfinished"), (130.0, "lost")])
def test_without_a_journal_a_drain_of_twice_the_backlogs_work_decides(cut_off, fate):
    """A service behind a URL keeps no journal; 8 open jobs at 2 a second need 2 × 4 s."""
    jobs = [job(f"j{n}", 109, cut_off, "unfinished") for n in range(8)]
    assert told(ledger(records(jobs))) == counts(**{fate: 8})


def test_a_job_executed_twice_is_counted_once_and_marked():
    """Duplicates cut across the fates: the ledger still sums."""
    found = ledger(records([job("a", 101, 104)], [run_of("a", 101, cut=102), run_of("a", 102, 103)]))
    assert (found.arrivals, found.in_time, found.duplicated) == (1, 1, 1)


def test_the_system_waits_for_the_slowest_job_before_it_counts_as_idle():
    """Twice S is the grace: a 20-s job may leave a gap of 30 s."""
    slow = trial(work={"service_time": 20.0, "cpu_time": 20.0})
    jobs = [job("a", 101, 150, "unfinished")]
    assert told(ledger(records(jobs, [run_of("a", 101, cut=125)], of=slow))) == counts(unfinished=1)


def test_what_does_not_add_up_is_said():
    """Strange executions and results from nowhere are problems of the records, not of the system."""
    bundle = records([job("a", 101, 102), job("b", 101, 102)], [run_of("a", 101, 102), run_of("x", 101, 102)])
    found = problems(bundle, ledger(bundle))
    assert [p.split(" ", 1)[1] for p in found] == [
        "executions of jobs that nobody submitted",
        "results without an execution in the journal",
    ]


def test_a_job_id_recorded_twice_is_said_and_does_not_break_the_report():
    """Two rows for one id: counted, and told."""
    bundle = records([job("a", 101, 102), job("a", 101, 102)], [run_of("a", 101, 102)])
    assert "1 job ids were recorded twice" in problems(bundle, ledger(bundle))


def test_readiness_probes_are_nobodys_jobs():
    """They appear in the journal and in no ledger."""
    bundle = records([job("a", 101, 102)], [run_of("a", 101, 102), run_of("probe-1", 90, 91)])
    assert problems(bundle, ledger(bundle)) == ()


JOB = st.builds(
    lambda arrival, spent, outcome, accepted, phase: (arrival, spent, outcome, accepted, phase),
    st.floats(100, 110),
    st.floats(0, 30),
    st.sampled_from(OUTCOMES),
    st.booleans(),
    st.sampled_from(("window", "window", "warmup")),
)
RUN = st.tuples(
    st.integers(0, 11), st.floats(100, 140), st.floats(0, 5), st.sampled_from(("ended", "cut", "open"))
)


@settings(max_examples=40, deadline=None)
@given(st.lists(JOB, max_size=12), st.lists(RUN, max_size=12))
def test_whatever_happened_the_ledger_sums_to_the_arrivals(jobs, runs):
    """Each job has one fate and only one."""
    bundle = records(
        [
            job(f"j{n}", a, a + s, o, phase=p, accepted=a if ok else float("nan"))
            for n, (a, s, o, ok, p) in enumerate(jobs)
        ],
        [
            run_of(f"j{n}", start, start + took if how == "ended" else float("nan"),
                   cut=start + took if how == "cut" else float("nan"))
            for n, start, took, how in runs
            if n < len(jobs)
        ],
        [*WINDOW, event(111, "drained")],
    )  # fmt: skip
    found = ledger(bundle)
    assert found.balanced
    assert found.arrivals == sum(1 for *_, phase in jobs if phase == "window")
    assert sum(flags.astype(int) for flags in fates(bundle).values()).tolist() == [1] * len(jobs)
    assert found.lost + found.unfinished == sum(
        1 for *_, o, _, p in jobs if o == "unfinished" and p == "window"
    )
