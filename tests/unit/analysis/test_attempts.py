"""Jobs that were attempted several times: one end each, and every run of the task is theirs."""

import numpy as np
import pytest
from by_hand import job, records, run_of

from bench.analysis.trial.ledger import ledger, problems
from bench.analysis.trial.waste import waste


def test_the_runs_of_all_attempts_belong_to_their_job():
    """`a.2` is the second attempt of a; a run that nobody submitted stays nobody's."""
    held = records(
        [job("a", 100.0, 103.0, attempts=2), job("b", 101.0, 102.0)],
        [
            run_of("a", 100.0, 101.0),
            run_of("a.2", 102.0, 103.0),
            run_of("b", 101.0, 102.0),
            run_of("c.2", 101.0, 102.0),
        ],
    )
    assert held.executions.job.tolist() == [0, 0, 1, -1]
    counted = ledger(held)
    assert (counted.arrivals, counted.in_time, counted.duplicated) == (2, 2, 1)
    assert counted.balanced
    assert problems(held, counted) == ("1 executions of jobs that nobody submitted",)


def test_a_job_whose_own_id_ends_like_an_attempt_is_itself():
    """An id is looked up as it is before anything is taken off it."""
    held = records([job("a", 100.0, 101.0), job("a.2", 100.5, 101.5)], [run_of("a.2", 100.5, 101.5)])
    assert held.executions.job.tolist() == [1]


def test_the_work_of_an_abandoned_attempt_is_waste():
    """The first attempt was given up, and the server went on with it: half of what was executed."""
    held = records(
        [job("a", 100.0, 102.9, attempts=2)], [run_of("a", 100.0, 101.0), run_of("a.2", 101.9, 102.9)]
    )
    found = waste(held)
    assert found.share(found.twice_or_cut) == pytest.approx(0.5)


def test_where_attempts_were_not_counted_every_job_that_was_sent_has_one():
    """Runs of before format 2."""
    held = records(
        [
            job("a", 100.0, 101.0),
            job("b", 100.0, 100.0, "dropped", sent=np.nan),
            job("c", 100.0, 101.0, attempts=4),
        ]
    )
    assert held.jobs.attempts.tolist() == [1, 0, 4]
