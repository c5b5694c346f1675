"""Theory beside measurement: near where the model is right, honest where it is not, else silent."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from by_hand import WINDOW, described, job, run_of, tables, trial
from synthetic import from_text, schedule

from bench.analysis import analyse
from bench.analysis.across.theory import lines, model_of, with_theory
from bench.analysis.queueing import ProcessorSharing
from bench.analysis.queueing.model import Model, Overhead
from bench.analysis.tables import split
from bench.analysis.trial.latency import percentile
from bench.analysis.trial.validity import Reason, Validity
from bench.plan import Box
from bench.report.columns import COLUMNS
from bench.report.reading import read

RECORDED = Path(__file__).resolve().parents[2] / "recorded" / "queued-sleep"
SWEEP = """
task = "spin"
input = { seconds = 0.25, gil = "held" }
deadline = "6S"
poll_interval = "1S"
[[parts]]
name = "load"
shows = "load"
systems = ["blocking", "gunicorn", "bounded", "as-published", "queued"]
rates = ["0.3C", "0.5C", "0.8C", "1.5C"]
window = "40s"
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A synthetic run, by another simulation than ours."""
    return read(from_text(SWEEP, tmp_path_factory.mktemp("theory") / "run"))


def residual(f, p):
    return f.theory.residual(f.response[p], p)


def test_another_simulation_of_the_same_arrivals_is_predicted(swept) -> None:
    """Threads and processes within 8 % at median and p95, the polled queue within one poll more: without the
    CPU beside the jobs, which that simulation tells of but does not take from them. Nothing is said at or
    above capacity, nor of systems without a model.
    """
    kinds = set()
    for f in swept.done:
        if f.theory is None:
            assert f.rho > 0.9 or f.trial.system.kind in ("bounded", "as_published")
            continue
        assert f.rho < 1
        kinds.add(f.trial.system.kind)
        overhead = replace(f.theory.model.overhead, cpu=0.0)
        model = replace(f.theory.model, overhead=overhead)
        ordered = np.sort(model.responses(np.array(schedule(f.trial)), f.rates.offered))
        for p in (0.5, 0.95):
            if f.response[p] is not None and math.isfinite(f.response[p]):
                expected = percentile(ordered, p)
                assert f.response[p] == pytest.approx(expected, rel=0.08, abs=1.01 * overhead.poll)
    assert kinds == {"blocking", "gunicorn", "queued"}


def test_a_recorded_run_is_predicted() -> None:
    """Real broker, real workers: median, p95 and mean within 5 %, in the finding and in the table."""
    analysis = read(RECORDED)
    columns = {c.name: c for c in COLUMNS}
    assert len(analysis.done) == 2
    for f in analysis.done:
        for name in ("residual_p50", "residual_p95", "residual_mean"):
            assert abs(columns[name].value(f)) < 0.05
        assert columns["predicted_p50_s"].value(f) == f.theory.percentiles[0.5]
        assert columns["residual_p50"].value(f) == pytest.approx(
            f.response[0.5] / columns["predicted_p50_s"].value(f) - 1
        )
    text = next(f for f in analysis.verdict.findings if f.key == "theory")
    assert (
        "queueing theory predicts the median of queued within 1 % and the p95 of queued within" in text.text
    )
    assert text.lead == ""
    assert text.text not in analysis.verdict.lead


def test_golden_figures_of_the_recorded_run() -> None:
    """What was measured as overhead and what follows from it do not change by themselves."""
    calm = next(f for f in read(RECORDED).done if f.trial.load.label == "0.5C")
    overhead = calm.theory.model.overhead
    assert (overhead.before, overhead.after) == pytest.approx((0.0124, 0.0414), abs=5e-5)
    assert (overhead.held, overhead.poll) == pytest.approx((0.00428, 0.5), abs=5e-6)
    assert calm.theory.percentiles[0.5] == pytest.approx(1.5541, abs=5e-5)
    assert calm.theory.percentiles[0.95] == pytest.approx(2.0541, abs=5e-5)


def by_hand(done=2.0, **changes):
    """Ten jobs, each alone: accepted after 10 ms, begun after 20, done 50 ms after the end of the work."""
    t = trial(load={"rate": 0.1, "window": 100.0, "label": "0.05C", "relative": 0.05}, **changes)
    jobs = [job(f"j{n}", 100 + 10 * n, 100 + 10 * n + done, polls=2) for n in range(10)]
    runs = [run_of(f"j{n}", 100.02 + 10 * n, 101.02 + 10 * n) for n in range(10)]
    return t, {"jobs": jobs, "executions": runs, "events": WINDOW}


def test_overhead_is_measured_on_jobs_that_met_nobody() -> None:
    """Before, after and acceptance, as the records have them; a polled one counts from its last poll."""
    t, rows = by_hand(done=1.06)
    analysis = analyse(described(t), tables({t.id: rows}))
    (f,) = analysis.done
    assert f.theory is not None
    overhead = f.theory.model.overhead
    assert (overhead.before, overhead.accepted, overhead.poll) == pytest.approx((0.02, 0.01, 0.5))
    assert overhead.after == pytest.approx(1.06 - 0.01 - 2 * 0.5)
    assert f.response[0.5] is not None
    assert residual(f, 0.5) == pytest.approx(1.06 / 1.56 - 1)  # ready at 1.02, seen by the third poll


def test_a_trial_that_must_not_be_believed_is_not_compared() -> None:
    """Neither is its residual told, nor is its overhead used."""
    t, rows = by_hand()
    records = split(tables({t.id: rows}), (t,))
    (good,) = analyse(described(t), tables({t.id: rows})).done
    reason = Reason("send_delay", "INVALID", "late", "again")
    bad = replace(good, validity=Validity((reason,)), theory=None)
    assert with_theory([replace(good, theory=None)], records)[0].theory is not None
    assert with_theory([bad], records)[0].theory is None


def test_models_are_those_of_the_systems() -> None:
    """Threads under a lock share one core without end; workers are slots that share the box; the gateway cuts
    off who waits for an answer, not who polls.
    """
    threads = model_of(trial(system={"name": "b", "kind": "blocking"}), Overhead())
    workers = model_of(trial(system={"name": "g", "kind": "gunicorn", "workers": 4}), Overhead())
    queue = model_of(trial(system={"workers": 4}), Overhead())
    assert (threads.slots, threads.cores_left(0.1), threads.limit) == (None, 1.0, 3.0)
    assert (workers.slots, workers.cores_left(0.1), workers.limit) == (4, 2.0, 3.0)
    assert (queue.slots, queue.limit) == (4, math.inf)
    for kind in ("bounded", "as_published", "external"):
        assert model_of(trial(system={"name": "x", "kind": kind}), Overhead()) is None
    free = model_of(trial(system={"name": "b", "kind": "blocking"}, work={"holds_gil": False}), Overhead())
    assert free.cores_left(0.1) == 2.0


def test_workers_in_boxes_of_their_own_share_nothing() -> None:
    """What the web and the broker use of their box leaves each worker its own cores, and a job its time."""
    apart = trial(system={"workers": 4}, work={"cpu_time": 0.2}, worker_box=Box(0.2, 2**27))
    model = model_of(apart, Overhead(cpu=0.3))
    assert model.utilisation(3.0) == pytest.approx(0.75)
    assert model.responses(np.zeros(4), 3.0) == pytest.approx([1.0] * 4)
    shared = model_of(trial(system={"workers": 4}), Overhead(cpu=0.3))
    assert shared.responses(np.zeros(4), 1.0) == pytest.approx([4 / 1.7] * 4)


def test_the_model_is_processor_sharing_where_threads_share_a_core() -> None:
    """S/(1 - ρ) in the long run; and who waits longer than the gateway does gets nothing."""
    random = np.random.default_rng(1)
    arrivals = np.cumsum(random.exponential(2.0, 80_000))
    model = Model(None, 1.0, 1.0, 1.0)
    times = model.responses(arrivals, 0.5)[4_000:]
    assert times.mean() == pytest.approx(ProcessorSharing(0.5, 1.0, 1).mean_response, rel=0.05)
    cut = replace(model, limit=3.0).responses(arrivals, 0.5)[4_000:]
    assert np.array_equal(np.isinf(cut), times > 3.0)


def test_a_job_on_two_cores_at_once_takes_both() -> None:
    """CPU time above the service time: the box holds half as many of them."""
    assert Model(4, 2.0, 1.0, 2.0).utilisation(0.5) == pytest.approx(0.5)
    times = Model(2, 2.0, 1.0, 2.0).responses(np.zeros(2), 0.1)
    assert times == pytest.approx([2.0, 2.0])


def test_lines_end_where_theory_does(swept) -> None:
    """Rising with the load, below capacity all along, and infinite from where the gateway cuts off."""
    (group,) = swept.groups.loads
    found = lines(group)
    assert set(found) == {"blocking", "gunicorn", "queued"}
    for label, line in found.items():
        capacity = 4.0 if label == "blocking" else 6.0
        assert list(line.rates) == sorted(line.rates)
        assert line.rates[-1] < capacity
        for p in (0.5, 0.95):
            assert len(line.seconds[p]) == len(line.rates)
            assert line.seconds[p][-1] > line.seconds[p][0] >= 0.25
    assert found["blocking"].cut
    assert not found["queued"].cut
