"""For every reason of the validity gate a recorded trial that gives it, and its like that does not."""

from dataclasses import replace

import numpy as np
import pytest
from by_hand import NAN, WINDOW, described, event, job, records, run_of, sample, tables, trial
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis import analyse
from bench.analysis.run import Result
from bench.analysis.trial.canary import Canary, slowness
from bench.analysis.trial.figures import Figures, figures
from bench.analysis.trial.gate import speed_reason
from bench.analysis.trial.validity import Validity
from bench.load.arrivals import schedule
from bench.plan import Load


def jobs_of(plan, *, spent=0.5, late=0.001, **more):
    """The planned jobs, each sent `late` and done `spent` after it was due; both may be sequences."""
    start = 100.0 - plan.load.warmup
    due = [start + offset for offset in schedule(plan.load, plan.seed)]
    spent, late = np.broadcast_to(spent, len(due)), np.broadcast_to(late, len(due))
    return [
        job(
            f"j{n}", t, t + float(spent[n]),
            sent=t + float(late[n]), phase="warmup" if t < 100 else "window", **more,
        )
        for n, t in enumerate(due)
    ]  # fmt: skip


def judged(jobs, plan, *, status="done", **tables_) -> Figures:
    """A trial that took place, judged."""
    return figures(records(jobs, of=plan, **tables_), Result(status))


def codes(f: Figures) -> dict[str, str]:
    """The reasons against it, and what each makes of it."""
    return {r.code: r.grade for r in f.validity.reasons}


CALM = trial(load={"rate": 20.0}, capacity=100.0)
"""Two hundred jobs in ten seconds, far below capacity."""


def test_a_trial_without_a_fault_is_valid():
    """No reason is made up."""
    f = judged(jobs_of(CALM), CALM)
    assert (f.validity.grade, f.validity.reasons) == ("VALID", ())
    assert f.validity.believable


# --- arrivals


@pytest.mark.parametrize(("missing", "grade"), [(4, "VALID"), (5, "INVALID")])
def test_the_jobs_sent_are_those_of_the_schedule_within_two_percent(missing, grade):
    """Four of 200 may be missing, five may not; the text has both figures."""
    f = judged(jobs_of(CALM)[missing:], CALM)
    assert f.validity.grade == grade
    if grade == "INVALID":
        assert codes(f) == {"arrivals": "INVALID"}
        assert "195 of the 200 jobs that were due went out" in f.validity.reasons[0].text
        assert not f.validity.curable


def test_a_job_that_the_generator_dropped_was_not_sent():
    """Its row is there, its load was not."""
    jobs = jobs_of(CALM)
    dropped = [{**j, "outcome": "dropped", "sent": NAN, "accepted": NAN} for j in jobs[:10]]
    assert codes(judged([*dropped, *jobs[10:]], CALM)) == {"arrivals": "INVALID"}


def test_of_a_trial_that_was_stopped_early_only_what_was_due_counts():
    """Stopped after four seconds: the jobs of the other six are no fault."""
    early = [j for j in jobs_of(CALM) if j["arrival"] < 104.0]
    cut = [WINDOW[0], event(104.0, "cut_off", "generator")]
    assert codes(judged(early, CALM, events=cut)) == {}
    assert codes(judged(early, CALM)) == {"arrivals": "INVALID"}


def test_closed_users_have_no_schedule_but_may_not_be_dropped():
    """Their arrivals depend on the system."""
    plan = trial(shows="closed", load={"arrivals": "closed", "rate": 0.0, "size": 10, "jobs_per_user": 1})
    jobs = [job(f"u{n}", 100.0, 101.0) for n in range(10)]
    assert codes(judged(jobs, plan)) == {}
    jobs[0] |= {"outcome": "dropped", "sent": NAN}
    assert codes(judged(jobs, plan)) == {"arrivals": "INVALID"}


@given(st.integers(0, 200), st.integers(0, 200))
@settings(deadline=None, max_examples=25)
def test_who_sends_less_is_never_judged_better(a, b):
    """Monotone: of two trials the one with more jobs missing has no fewer reasons."""
    fewer, more = sorted((a, b))
    few, many = (judged(jobs_of(CALM)[n:], CALM).sending.missing for n in (fewer, more))
    assert few <= many


# --- send delay


@pytest.mark.parametrize(
    ("late", "spent", "against"),
    [
        (0.0049, 0.2, {}),
        (0.0051, 0.2, {"send_delay": "INVALID"}),
        (0.0051, 0.3, {}),
        (0.02, 0.9, {"send_delay": "INVALID"}),
    ],
)
def test_the_generator_may_be_late_by_5_ms_or_2_percent_of_the_median_response(late, spent, against):
    """Whichever is more; another attempt may be free of it."""
    delays = np.full(200, 0.001)
    delays[:3] = late  # the third latest of 200 is the 99th percentile
    f = judged(jobs_of(CALM, late=delays, spent=spent), CALM)
    assert codes(f) == against
    assert f.validity.curable is bool(against)


def test_a_single_late_job_of_few_is_no_percentile():
    """Below 100 jobs the second latest is judged, and the text says so."""
    plan = trial(load={"rate": 6.0}, capacity=100.0)
    once, twice = np.full(60, 0.001), np.full(60, 0.001)
    once[0], twice[:2] = 0.5, 0.5
    assert codes(judged(jobs_of(plan, late=once), plan)) == {}
    f = judged(jobs_of(plan, late=twice), plan)
    assert codes(f) == {"send_delay": "INVALID"}
    assert "the second latest of 60 jobs was sent 500 ms late" in f.validity.reasons[0].text


def test_where_most_got_no_result_the_time_until_they_were_told_takes_its_place():
    """An infinite median would allow any delay."""
    failed = {"outcome": "gateway_timeout", "accepted": NAN, "status": 504}
    assert codes(judged(jobs_of(CALM, late=0.03, spent=1.0, **failed), CALM)) == {"send_delay": "INVALID"}
    assert codes(judged(jobs_of(CALM, late=0.03, spent=2.0, **failed), CALM)) == {}


@given(st.floats(0, 0.1), st.floats(0, 0.1), st.floats(0.1, 10.0))
@settings(deadline=None, max_examples=25)
def test_who_sends_later_is_never_judged_better(a, b, spent):
    """Monotone in the delay, whatever the response time."""
    sooner, later = sorted((a, b))
    first, second = (judged(jobs_of(CALM, late=d, spent=spent), CALM).sending.late for d in (sooner, later))
    assert second or not first


# --- the generator's CPU


def cpu(cores, *, throttled=(0, 0)):
    """Samples of a generator that used so many cores."""
    at = [(t, t - 99.0) for t in np.arange(99.0, 112.0)]
    rows = [sample(t, "generator", "cpu", cores * spent) for t, spent in at]
    return rows + [sample(t, "generator", "throttled_periods", throttled[0 if t < 105 else 1]) for t, _ in at]


@pytest.mark.parametrize(
    ("processes", "resources", "against"),
    [
        (1, cpu(0.79), set()),
        (1, cpu(0.81), {"generator_cpu"}),
        (2, cpu(1.5), set()),
        (2, cpu(1.7), {"generator_cpu"}),
        (1, cpu(0.1, throttled=(7, 7)), set()),
        (1, cpu(0.1, throttled=(7, 8)), {"generator_throttled"}),
    ],
)
def test_the_generator_has_cpu_to_spare_and_is_not_throttled(processes, resources, against):
    """Under 80 % of a core for each process; throttled before the window is none of its business."""
    f = judged(jobs_of(CALM), replace(CALM, processes=processes), resources=resources)
    assert set(codes(f)) == against
    assert f.validity.curable is bool(against)


def test_throttling_of_the_box_is_recorded_and_never_a_reason():
    """It is what a CPU cap does."""
    throttled = [sample(t, "box", "throttled", (t - 99) * 3.0) for t in np.arange(99.0, 112.0)]
    f = judged(jobs_of(CALM), CALM, resources=throttled)
    assert f.usage.throttled > 30
    assert f.validity.grade == "VALID"


# --- clocks


@pytest.mark.parametrize(("mark", "against"), [("clock", set()), ("clock_drifted", {"clocks"})])
def test_clocks_that_ran_apart_are_a_reason(mark, against):
    """The records of a worker whose clock moved are off by as much; one that was only looked at is fine."""
    told = event(112.0, mark, "generator") | {"detail": "w1: +7.10 ms, known to 0.10 ms, after the load"}
    f = judged(jobs_of(CALM), CALM, events=[*WINDOW, told])
    assert set(codes(f)) == against
    assert all("w1: +7.10 ms" in r.text for r in f.validity.reasons)


# --- the ledger


def test_books_that_do_not_balance_are_a_reason():
    """An execution of a job that nobody submitted."""
    good = [run_of(j["job"], j["arrival"], j["done"]) for j in jobs_of(CALM)]
    assert codes(judged(jobs_of(CALM), CALM, executions=good)) == {}
    f = judged(jobs_of(CALM), CALM, executions=[*good, run_of("stranger", 101, 102)])
    assert codes(f) == {"ledger": "INVALID"}
    assert "1 executions of jobs that nobody submitted" in f.validity.reasons[0].text


# --- saturation


def test_more_than_can_be_done_is_saturated_and_still_believed():
    """ρ above 1: its figures belong to its window."""
    f = judged(jobs_of(CALM), replace(CALM, capacity=19.0))
    assert codes(f) == {"over_capacity": "SATURATED"}
    assert (f.validity.grade, f.validity.believable) == ("SATURATED", True)
    assert "20 jobs/s were offered to a system that can do 19 jobs/s" in f.validity.reasons[0].text


def growing_by(rate):
    """Spent times with which the jobs in flight grow by `rate` a second from one."""
    due = np.array(schedule(CALM.load, CALM.seed))
    return 1.0 + due * rate / (CALM.load.rate - rate)


def test_a_backlog_that_grows_is_saturated_though_the_capacity_was_thought_enough():
    """Eight more jobs in flight each second; the text says so, the advice too."""
    f = judged(jobs_of(CALM, spent=growing_by(8.0), late=0.0), CALM)
    assert codes(f) == {"growing": "SATURATED"}
    assert f.backlog.slope == pytest.approx(8.0, rel=0.25)
    assert "jobs/s of the 20 offered" in f.validity.reasons[0].text
    steady = judged(jobs_of(CALM, spent=growing_by(0.0), late=0.0), CALM)
    assert codes(steady) == {}


def test_a_busy_queue_that_is_steady_is_not_called_growing():
    """Forty seeds of two servers at ρ 0.9: long excursions that a naive regression takes for trends."""
    called = 0
    for seed in range(40):
        plan = trial(load={"rate": 30.0}, capacity=100.0, seed=seed)
        due, draw = schedule(plan.load, seed), np.random.default_rng(seed)
        free, spent = [0.0, 0.0], []
        for t in due:
            free.sort()
            free[0] = max(t, free[0]) + draw.exponential(0.9 * 2 / 30)
            spent.append(free[0] - t)
        called += judged(jobs_of(plan, spent=spent, late=0.0), plan).backlog.growing
    assert called <= 2


@pytest.mark.parametrize("shows", ["burst", "closed", "memory"])
def test_bursts_closed_users_and_memory_failures_are_not_asked_for_steadiness(shows):
    """They are not meant to be steady."""
    arrivals = "closed" if shows == "closed" else "burst"
    plan = trial(shows=shows, load={"arrivals": arrivals, "rate": 0.0, "size": 50, "jobs_per_user": 1})
    f = judged([job(f"b{n}", 100.0, 101.0 + n) for n in range(50)], plan)
    assert codes(f) == {}
    assert np.isnan(f.backlog.slope)


# --- all together


def test_invalid_outweighs_saturated():
    """The gravest reason names the trial; both are told."""
    f = judged(jobs_of(CALM, late=0.5, spent=0.6), replace(CALM, capacity=10.0))
    assert list(codes(f)) == ["send_delay", "over_capacity"]
    assert f.validity.grade == "INVALID"


def test_a_reason_that_another_attempt_can_not_cure_speaks_against_one():
    """Books that do not balance once will not the next time."""
    f = judged(jobs_of(CALM, late=0.5)[20:], CALM)
    assert set(codes(f)) == {"arrivals", "send_delay"}
    assert not f.validity.curable
    assert not Validity().curable


def test_a_trial_that_did_not_take_place_is_not_judged():
    """It failed, which is told elsewhere."""
    assert judged([], CALM, status="failed").validity == Validity()
    assert codes(judged([], CALM)) == {"arrivals": "INVALID"}


def test_every_reason_comes_with_its_figures_and_with_advice():
    """Nobody is left alone with a word."""
    bad = judged(
        jobs_of(CALM, late=0.5)[20:],
        replace(CALM, capacity=10.0),
        resources=cpu(0.95, throttled=(0, 4)),
        executions=[run_of("stranger", 101, 102)],
    )
    assert len(bad.validity.reasons) >= 6
    for reason in bad.validity.reasons:
        assert len(reason.advice) > 30
        assert reason.text.endswith(".")
        assert any(c.isdigit() for c in reason.text), reason


# --- the machine's speed, for which all trials are needed


def paced(loops, task="caption", cpu_time=1.0, one_without=False):
    """A run of trials one after another, with the canary's loop of each."""
    plans = [
        trial(id=f"{n:03d}", load={"rate": 20.0}, capacity=100.0, work={"task": task, "cpu_time": cpu_time})
        for n in range(len(loops))
    ]
    rows = {}
    for n, (plan, loop) in enumerate(zip(plans, loops, strict=True)):
        shift = 1000.0 * n
        moved = [
            {**j, **{k: j[k] + shift for k in ("arrival", "sent", "accepted", "done")}} for j in jobs_of(plan)
        ]
        rows[plan.id] = {
            "jobs": moved,
            "events": [{**e, "t": e["t"] + shift} for e in WINDOW],
            "resources": [sample(100 + shift + t, "canary", "loop", loop) for t in range(10)],
        }
    return {f.trial.id: f for f in analyse(described(*plans), tables(rows)).rows}


def test_a_machine_twice_as_slow_as_beside_the_neighbours_makes_a_trial_invalid():
    """Factor 2.1 does, 1.9 does not; the neighbours are not blamed for the odd one between them."""
    rows = paced([0.003, 0.003, 0.0063, 0.003, 0.003])
    assert {t: codes(f) for t, f in rows.items() if codes(f)} == {"002": {"speed": "INVALID"}}
    assert rows["002"].validity.curable
    assert "2.1 times slower" in rows["002"].validity.reasons[0].text
    assert not any(codes(f) for f in paced([0.003, 0.003, 0.0057, 0.003, 0.003]).values())


def test_twice_as_fast_is_another_machine_as_well():
    """Its jobs took another time than those it is compared with."""
    assert codes(paced([0.006, 0.006, 0.0028, 0.006, 0.006])["002"]) == {"speed": "INVALID"}


@pytest.mark.parametrize(("task", "cpu_time"), [("spin", 1.0), ("sleep", 0.001)])
def test_work_that_takes_as_long_at_any_speed_is_only_annotated(task, cpu_time):
    """`spin` burns CPU time, waiting waits: the reason is told, the trial stays valid."""
    found = paced([0.003, 0.003, 0.009, 0.003, 0.003], task, cpu_time)["002"]
    assert codes(found) == {"speed": "VALID"}
    assert found.validity.grade == "VALID"


def test_a_machine_that_changes_for_good_is_no_fault_of_the_trials_beside_the_change():
    """A step, not an outlier: the drift of the calibration tells of it."""
    assert not any(codes(f) for f in paced([0.003] * 3 + [0.008] * 3).values())


def test_without_a_neighbour_there_is_nothing_to_compare_with():
    """A run of one trial, and one that was not sampled."""
    assert codes(paced([0.003])["000"]) == {}
    assert codes(paced([0.0, 0.003])["001"]) == {}


def test_the_schedule_is_the_one_that_the_generator_uses():
    """A fraction of a job is no missing one: rounding is the generator's."""
    for rate in (0.95, 3.3, 7.77):
        for arrivals in ("poisson", "constant"):
            plan = trial(load={"rate": rate, "arrivals": arrivals, "warmup": 1.3}, capacity=100.0)
            assert judged(jobs_of(plan), plan).sending.missing == 0
    assert schedule(Load("burst", size=4), 1) == [0.0] * 4


def test_a_slow_trial_does_not_make_its_neighbours_look_fast():
    """Two of four were measured on a slow machine: of these one is found, and none of the others rejected."""
    loops = [1.0, 3.0, 1.0, 3.0]
    slow = slowness([Canary(loop, float(t)) for t, loop in enumerate(loops)])
    work = replace(CALM.work, task="factorial")
    assert [speed_reason(s, work) is not None for s in slow] == [False, True, False, False]
