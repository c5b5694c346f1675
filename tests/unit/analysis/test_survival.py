"""Jobs that were cut off count as "at least so long", where that is allowed; failed ones never end."""

import math

import numpy as np
import pytest
from by_hand import described, job, records, run_of, trial
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.across.notes import notes
from bench.analysis.run import Result
from bench.analysis.trial.figures import figures
from bench.analysis.trial.survival import NotIndependent, kaplan_meier, response


def test_the_published_example():
    """Remission of leukaemia under 6-MP, weeks (Freireich and others, Blood 21, 1963; the estimates as in
    Kalbfleisch & Prentice, The Statistical Analysis of Failure Time Data, and many a textbook since).
    """
    times = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    censored = [0, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1]
    found = kaplan_meier(np.array(times, float), np.array(censored, bool))
    assert list(found.times) == [6, 7, 10, 13, 16, 22, 23]
    assert found.remaining == pytest.approx([0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], abs=5e-4)
    assert found.percentile(0.5) == 23
    assert found.percentile(0.9) == math.inf


@settings(deadline=None)
@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=50), st.sampled_from([0.25, 0.5, 0.9]))
def test_with_nothing_cut_off_it_is_the_plain_percentile(values, p):
    """Kaplan and Meier's estimate is the empirical distribution then."""
    found = kaplan_meier(np.array(values), np.zeros(len(values), bool))
    ordered = np.sort(values)
    assert found.percentile(p) == ordered[max(0, math.ceil(len(ordered) * p - 1e-9) - 1)]


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 100), st.booleans()), min_size=1, max_size=50))
def test_what_is_cut_off_never_makes_it_faster_than_its_bound(pairs):
    """Never below taking the bound for the end, never above taking it for never."""
    times, cut = np.array([t for t, _ in pairs]), np.array([c for _, c in pairs])
    found = kaplan_meier(times, cut).percentile(0.5)
    nobody = np.zeros(len(times), bool)
    assert kaplan_meier(times, nobody).percentile(0.5) <= found
    assert found <= kaplan_meier(np.where(cut, np.inf, times), nobody).percentile(0.5)


def steady(extra=(), **changes):
    """Ten jobs of 1 to 10 s at 1 job/s; capacity 2."""
    jobs = [job(f"j{n}", 100 + n, 100 + n + n + 1.0) for n in range(10)]
    runs = [run_of(j["job"], j["arrival"], j["done"]) for j in jobs]
    return records(jobs + list(extra), runs, of=trial(**changes))


def test_failed_jobs_never_end_and_unfinished_ones_are_cut_off():
    """Of twelve jobs one failed, one was still running at the cut-off after 11 s."""
    failed = job("f", 101.0, 101.1, "error")
    open_ = job("u", 108.0, 119.0, "unfinished")
    runs = [run_of("u", 118.0, cut=119.0)]
    jobs = [job(f"j{n}", 100 + n, 100 + n + n + 1.0) for n in range(10)]
    held = records(
        [*jobs, failed, open_], [*runs, *(run_of(j["job"], j["arrival"], j["done"]) for j in jobs)]
    )
    found = response(held)
    assert found.percentile(10 / 12) == 10.0
    assert found.percentile(11 / 12) == math.inf


@pytest.mark.parametrize(
    "changes",
    [
        {"capacity": 1.0},
        {"load": {"arrivals": "burst", "rate": 0.0, "size": 10}},
        {"system": {"name": "external", "kind": "external", "url": "x"}},
    ],
)
def test_it_is_refused_where_the_cut_off_goes_with_the_times(changes):
    """At capacity, in a burst, and where nobody knows the capacity."""
    with pytest.raises(NotIndependent, match="t: "):
        response(steady(**changes))


def test_the_page_notes_it():
    """What p95 would be, beside what it is."""
    jobs = [job(f"j{n}", 100 + n / 10, 101 + n / 10) for n in range(76)]
    late = [job(f"u{n}", 107.6 + n / 10, 110.0, "unfinished") for n in range(4)]
    runs = [run_of(j["job"], j["arrival"], j["done"]) for j in jobs] + [run_of("u0", 109.0, cut=110.0)]
    plan = trial(capacity=10.0)
    found = figures(records(jobs + late, runs, of=plan), Result("done"))
    assert found.ledger.unfinished == 4
    (said,) = [n.text for n in notes(described(plan), [found]) if "Kaplan-Meier" in n.text]
    assert "4 jobs unfinished" in said
    assert "p95 is 1 s" in said
