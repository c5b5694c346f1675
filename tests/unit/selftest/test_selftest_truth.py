"""The truth is computed by hand-sized rules; here it is held against hands."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.trial.latency import percentile
from bench.plan import Load
from bench.selftest.behaviour import Behaviour
from bench.selftest.catalogue import Scenario, trial_of
from bench.selftest.truth import Truth, read_log, truth

ONE_A_SECOND = Scenario("s", "", Behaviour(), Load("constant", rate=1.0, window=4.0), deadline=2.0)
"""Due at 0.5, 1.5, 2.5 and 3.5 s."""


def row(name, received, answered, did="serve", what="run"):
    return {"id": name, "load": "s", "what": what, "did": did, "received": received, "answered": answered}


def of(*rows, scenario=ONE_A_SECOND, started=100.0) -> Truth:
    return truth(trial_of(scenario), rows, started)


def test_times_count_from_the_plan():
    """The second job was received a second late: its time has that second in it."""
    found = of(row("a", 100.5, 101), row("b", 102.5, 103), row("c", 102.6, 103.5), row("d", 103.5, 104.5))
    assert found.times == pytest.approx((0.5, 1.0, 1.0, 1.5))
    assert found.mean == pytest.approx(1.0)
    assert found.rates == {"offered": 1.0, "goodput": 1.0, "throughput": 0.75}


def test_every_end_is_counted_once():
    """Late, refused, failed, wrong: by what the server says it did."""
    found = of(
        row("a", 100.5, 103.5), row("b", 101.5, 101.6, "503"), row("c", 102.5, 103, "504"),
        row("d", 103.5, 104, "wrong"),
    )  # fmt: skip
    kept = {name: n for name, n in found.counts.items() if n}
    assert kept == {"arrivals": 4, "late": 1, "rejected": 1, "gateway_timeout": 1, "wrong": 1}
    assert found.timeout_share == 1.0
    assert found.times == (3.0, math.inf, math.inf, math.inf)


def test_what_was_never_sent_is_known_from_the_plan():
    """Two of four reached the server."""
    found = of(row("a", 100.5, 101), row("b", 101.5, 102))
    assert (found.counts["arrivals"], found.counts["dropped"], found.times.count(math.inf)) == (4, 2, 2)


def test_a_queued_job_ends_with_its_result():
    """Not with the 202; one without a result is lost where the server lied, else unfinished."""
    found = of(
        row("a", 100.5, 100.5, what="submit"), row("a", 101, 101.25, what="result"),
        row("b", 101.5, 101.5, "lose", what="submit"),
        row("c", 102.5, 102.5, what="submit"),
        row("d", 103.5, 103.5, "twice", what="submit"), row("d", 104, 104, "twice", what="result"),
    )  # fmt: skip
    assert found.times[:2] == pytest.approx((0.5, 0.75))
    assert (found.counts["lost"], found.counts["unfinished"], found.counts["duplicated"]) == (1, 1, 1)


def test_the_warm_up_does_not_count():
    """The first two of four."""
    warming = replace(ONE_A_SECOND, load=Load("constant", rate=1.0, warmup=2.0, window=2.0))
    rows = [row(str(n), 100.5 + n, 100.6 + n) for n in range(4)]
    found = of(*rows, scenario=warming)
    assert found.counts["arrivals"] == 2
    assert found.times == pytest.approx((0.1, 0.1))


def test_closed_users_have_no_plan():
    """Counts, and how many were at the server on average; no times to hold anything against."""
    closed = replace(ONE_A_SECOND, load=Load("closed", size=2, window=4.0))
    found = of(row("a", 100, 102), row("b", 100, 104), row("c", 102, 104), scenario=closed)
    assert (found.times, found.rates, found.counts["arrivals"], found.at_work) == (None, None, 3, 2.0)


@settings(deadline=None)
@given(st.lists(st.floats(0.001, 1e3) | st.just(math.inf), max_size=400), st.sampled_from([0.5, 0.9, 0.99]))
def test_two_ways_to_a_percentile_agree(times, p):
    """Counting, as here, and ranking, as the analysis does, come to the same, or to nothing."""
    ordered = sorted(times)
    assert Truth({}, tuple(ordered), None).percentile(p) == percentile(np.array(ordered), p)


def test_the_log_tells_loads_apart():
    """Two loads on one server; what names no job, and the stall's own line, are nobody's."""
    lines = ['{"what": "stall", "from": 1, "to": 2}', '{"load": "a", "id": "1"}', '{"load": "b", "id": "2"}',
             '{"load": "a", "id": ""}']  # fmt: skip
    assert [r["id"] for r in read_log(lines, "a")] == ["1"]
