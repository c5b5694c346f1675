"""Recovery and hysteresis: golden courses, and a small simulation of clients that retry."""

import heapq
import math
from dataclasses import replace

import numpy as np
import pytest
from by_hand import described, event, job, records, run_of, trial
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.across.findings.metastability import metastability, stairs
from bench.analysis.across.shaped import climbed, pulsed
from bench.analysis.across.verdict import Groups, verdict
from bench.analysis.run import Result
from bench.analysis.trial.figures import figures
from bench.analysis.trial.metastability import HOLD, PATIENCE, hysteresis, own_backlog, recovery
from bench.analysis.trial.validity import Reason, Validity
from bench.load.arrivals import schedule
from bench.plan import Retry, Step

S, CAPACITY, DEADLINE, AFTER = 0.2, 5.0, 4.0, 1.6
PULSE = (Step(3.0, 20.0), Step(10.0, 5.0), Step(3.0, 60.0))


BINS = 8 / 3
"""Seconds: a bin holds eight jobs of the base load, at least."""
CARELESS = Retry("immediate", 4, AFTER)


def pulse_trial(steps=PULSE, kind="blocking", retry=CARELESS, **changes):
    """S = 200 ms, one server that does 5 jobs/s, D = 4 s."""
    shape = "stairs" if len(steps) > 3 else "pulse"
    load = {
        "arrivals": shape,
        "rate": steps[0].rate,
        "window": sum(s.seconds for s in steps),
        "label": shape,
        "relative": steps[0].rate / CAPACITY,
        "steps": steps,
    }
    return trial(
        shows="metastability",
        system={"name": kind, "kind": kind},
        work={"service_time": S, "cpu_time": S},
        load=load,
        deadline=DEADLINE,
        capacity=CAPACITY,
        retry=retry,
        **changes,
    )


def served(of, good=lambda t: True, attempts=lambda t: 1):
    """Records in which a job that arrives `t` seconds into the window is in time where `good(t)`."""
    jobs = [
        job(
            f"j{n}",
            100.0 + t,
            100.0 + t + (0.5 if good(t) else AFTER),
            "ok" if good(t) else "gave_up",
            attempts=attempts(t),
        )
        for n, t in enumerate(schedule(of.load, 1))
    ]
    end = 100.0 + of.load.window
    marks = [event(100.0, "window_started", "generator"), event(end, "window_ended", "generator")]
    return records(jobs, [run_of("j0", 100.0, 100.2)], marks, of=of)


def simulated(of):
    """One FIFO server that knows nothing of clients that have gone, and clients that retry at once.

    An attempt is answered when its turn is over; who has waited for `after` by then has gone, and come again.
    """
    retry, free, jobs, runs = of.retry, 0.0, {}, []
    due = [(t, n, 1) for n, t in enumerate(schedule(of.load, 1))]
    arrivals = {n: t for t, n, _ in due}
    heapq.heapify(due)
    while due:
        t, n, attempt = heapq.heappop(due)
        free = max(free, t) + S
        name = f"j{n}" if attempt == 1 else f"j{n}.{attempt}"
        runs.append(run_of(name, 100.0 + free - S, 100.0 + free))
        if free <= t + AFTER:
            jobs[n] = job(f"j{n}", 100.0 + arrivals[n], 100.0 + free, attempts=attempt)
        elif attempt < retry.attempts:
            heapq.heappush(due, (t + AFTER, n, attempt + 1))
        else:
            jobs[n] = job(f"j{n}", 100.0 + arrivals[n], 100.0 + t + AFTER, "gave_up", attempts=attempt)
    end = 100.0 + of.load.window
    marks = [event(100.0, "window_started", "generator"), event(end, "window_ended", "generator")]
    return records(list(jobs.values()), runs, marks, of=of)


# --- verdicts on made-up courses ---


def test_a_system_that_never_comes_back_is_metastable():
    """All in time before the pulse, nobody ever after it, each after four attempts."""
    found = recovery(served(pulse_trial(), lambda t: t < 20, lambda t: 1 if t < 20 else 4))
    assert (found.state, found.why) == ("metastable", "")
    assert found.before.share == 1
    assert found.tail.share == 0
    assert (found.before.attempts, found.during.attempts, found.tail.attempts) == (1, 4, 4)
    assert math.isnan(found.time)


def test_a_system_that_comes_back_says_when():
    """Down in the pulse and for twelve seconds after it: within a bin of twelve."""
    found = recovery(served(pulse_trial(), lambda t: not 20 <= t < 37))
    assert found.state == "recovered"
    assert 12 - BINS <= found.time <= 12 + BINS


def test_a_pulse_that_hurts_nobody_is_recovered_from_at_once():
    """The system never left."""
    found = recovery(served(pulse_trial()))
    assert (found.state, found.time) == ("recovered", 0.0)


@pytest.mark.parametrize(
    ("steps", "good", "why"),
    [
        (PULSE, lambda t: False, "was not carried before"),
        (PULSE, lambda t: 5 < t < 20, "was not carried before"),
        ((Step(0.2, 20.0), *PULSE[1:]), lambda t: True, "too little arrived before"),
        ((*PULSE[:2], Step(3.0, 15.0)), lambda t: t < 20, "too short"),
        (PULSE, lambda t: t < 20 or (t > 25 and round(t * 100) % 10 < 7), "neither back nor below half"),
        (PULSE, lambda t: t < 20 or t > 83, "metastable"),
    ],
)
def test_what_cannot_be_told_is_not_told(steps, good, why):
    """Each is one condition short of a verdict. Not so the last: two good seconds at the end say nothing."""
    found = recovery(served(pulse_trial(steps), good))
    if why == "metastable":
        assert found.state == why
    else:
        assert found.state == "can't tell"
        assert why in found.why


def test_a_long_backlog_of_its_own_is_not_called_metastable():
    """60 s at twice the capacity leave 300 jobs, which take 150 s at what a base of 3/s leaves: a system that
    is still down after 100 s has not been given its time.
    """
    steps = (Step(3.0, 20.0), Step(10.0, 60.0), Step(3.0, 100.0))
    slow = served(pulse_trial(steps), lambda t: t < 20)
    assert own_backlog(slow) == pytest.approx(150)
    assert recovery(slow).state == "can't tell"


@settings(deadline=None, max_examples=30)
@given(st.floats(0, 60), st.floats(0.0, 60))
def test_whatever_the_course_the_verdict_is_consistent(down_from, length):
    """Recovered has a time within what followed; metastable has next to nothing at the end."""
    end = 25 + length
    found = recovery(served(pulse_trial(), lambda t: not 25 - min(down_from, 5) <= t < end))
    assert found.before.share == 1
    if found.state == "recovered":
        assert 0 <= found.time <= 60 - HOLD * S
        assert abs(found.time - length) <= 2 * BINS or length < BINS
    elif found.state == "metastable":
        assert length > PATIENCE * S
    assert float(found.course.goodput.sum()) <= float(found.course.offered.sum())


def test_the_course_counts_every_job_once():
    """Bins times their length are the arrivals."""
    held = served(pulse_trial(), lambda t: t < 20)
    course = recovery(held).course
    assert float(course.offered @ np.diff(course.edges)) == pytest.approx(len(held.jobs))
    assert {0, 20, 25, 85} <= set(course.edges), "no bin is half pulse"


def test_a_trial_without_a_pulse_has_no_recovery():
    """A programming error, said as one."""
    with pytest.raises(ValueError, match="no pulse"):
        recovery(records([]))
    with pytest.raises(ValueError, match="no stairs"):
        hysteresis(records([]))


# --- the same from a simulation: not the verdict is put in, but what clients do ---


def test_four_attempts_at_once_keep_a_server_down_that_carried_the_load():
    """4 × 0.6 of capacity: 2.4 times as much as it can do, long after the pulse."""
    found = recovery(simulated(pulse_trial()))
    assert found.state == "metastable"
    assert found.before.share == 1
    assert found.tail.attempts == 4
    assert found.executed > 4


def test_without_retries_the_same_server_comes_back():
    """0.6 of capacity and no more: the 25 jobs of the pulse's excess take 12.5 s, chance some more."""
    found = recovery(simulated(pulse_trial(retry=Retry("none", 1, AFTER))))
    assert found.state == "recovered"
    assert found.time <= 25


# --- hysteresis ---

CLIMB = tuple(Step(rate, 10.0) for rate in (2.0, 3.0, 6.0, 3.0, 2.0))


def test_a_system_that_stays_down_has_a_gap():
    """All at 2 and 3/s going up, nothing from the top on: what is missing is all that was carried before."""
    found = hysteresis(served(pulse_trial(CLIMB), lambda t: t < 20))
    assert [s.goodput for s in found.up] == [2, 3, 0]
    assert [s.goodput for s in found.down] == [0, 0, 0]
    assert [s.rate for s in found.down] == [2, 3, 6]
    assert found.gap == pytest.approx((2.5 * 1 + 1.5 * 3) / (2.5 * 1 + 4.5 * 3))


def test_a_system_without_memory_of_its_overload_has_none():
    """The same goodput at the same load, whichever way it came."""
    assert hysteresis(served(pulse_trial(CLIMB))).gap == 0
    assert hysteresis(simulated(pulse_trial(CLIMB))).gap > 0.3


def test_what_was_down_from_the_start_has_no_gap_to_speak_of():
    """Nothing in time on either way is no proof of a system without hysteresis."""
    held = served(pulse_trial(CLIMB), lambda t: False)
    assert math.isnan(hysteresis(held).gap)
    assert "did not carry the lowest stair" in stairs(climbed(*analysed(held))).text


# --- groups and words ---


def analysed(*held):
    """Figures and bundles of these trials' records, which have no journal to balance with."""
    bundles = {h.trial.id: h for h in held}
    return [replace(figures(h, Result(status="done")), validity=Validity()) for h in held], bundles


def test_the_finding_names_who_stays_down_and_who_comes_back():
    """With the load, and C being each system's own."""
    stuck = simulated(pulse_trial(id="a"))
    back = served(pulse_trial(id="b", kind="queued"), lambda t: not 20 <= t < 33)
    found = metastability(pulsed(*analysed(back, stuck)))
    assert found is not None
    assert found.lead.startswith("A pulse of 5 s at 2 × capacity on a base of 0.6 ×, then 60 s of the base")
    assert "blocking (retries at once) stays down" in found.lead
    assert "queued (retries at once) is back after" in found.lead
    assert "blocking (retries at once): metastable; before the pulse 100 % were in time" in found.text


def test_the_verdict_of_a_run_tells_of_pulses_and_stairs():
    """They pass the gate with their believable repeats, like everything else on the page."""
    done, bundles = analysed(simulated(pulse_trial(id="a")), simulated(pulse_trial(CLIMB, id="b")))
    nothing = dict.fromkeys(("loads", "workers", "bursts", "memory", "closed", "service_time"), ())
    groups = Groups(**nothing, pulses=pulsed(done, bundles), stairs=climbed(done, bundles))
    told = verdict(described(*(f.trial for f in done)), done, groups, {})
    assert {f.key for f in told.findings} >= {"metastability", "hysteresis"}
    assert "stays down" in told.lead


def test_a_repeat_that_must_not_be_believed_has_no_say():
    """Two that came to the same are a verdict; the third was measured on a machine that stood still."""
    held = [simulated(replace(pulse_trial(id=f"r{n}"), repeat=n)) for n in (1, 2, 3)]
    done, bundles = analysed(*held)
    late = Validity((Reason("send_delay", "INVALID", "The generator was late.", "again"),))
    (found,) = pulsed([replace(done[0], validity=late), *done[1:]], bundles)
    assert found.state == "metastable"
    assert len(found.recoveries) == 2


def test_pulses_that_differ_share_no_figures():
    """The sentence must not say of one system what was done to another."""
    longer = (PULSE[0], Step(10.0, 6.0), PULSE[2])
    both = pulsed(*analysed(served(pulse_trial(id="a")), served(pulse_trial(longer, "gunicorn", id="b"))))
    assert metastability(both).lead.startswith("A pulse of load, then the base load again: ")


def test_repeats_that_do_not_agree_are_said_not_to():
    """One of two came back: no verdict."""
    a = served(pulse_trial(id="a"), lambda t: t < 20)
    b = served(replace(pulse_trial(id="b"), repeat=2))
    (found,) = pulsed(*analysed(a, b))
    assert (found.state, found.why) == ("can't tell", "the repeats do not agree")
    said = "it can't be told of blocking (retries at once): the repeats do not agree."
    assert metastability([found]).lead.endswith(said)
    assert (
        "can't tell in 2 repeats; 100 % in time before the pulse, 0 % after it" in metastability([found]).text
    )


def test_a_trial_that_may_not_be_believed_has_no_verdict():
    """A generator that was late would pass for a system that is down."""
    done, bundles = analysed(simulated(pulse_trial()))
    late = Validity((Reason("send_delay", "INVALID", "The generator sent late.", ""),))
    unbelievable = [replace(done[0], validity=late)]
    (found,) = pulsed(unbelievable, bundles)
    assert (found.state, found.why) == ("can't tell", "The generator sent late")
    assert climbed(unbelievable, bundles) == ()


def test_policies_are_told_apart_and_stairs_have_their_words():
    """Two kinds of clients of one system are two series; a gap is said in per cent."""
    careful = Retry("jitter", 4, AFTER, 0.2, 2.0, 0.1)
    two = pulsed(*analysed(served(pulse_trial(id="a")), served(pulse_trial(id="b", retry=careful))))
    assert [t.series.label for t in two] == [
        "blocking (retries at once)",
        "blocking (back-off with jitter, budget 10 %)",
    ]
    up_and_down = climbed(*analysed(simulated(pulse_trial(CLIMB))))
    assert "of the offer less on the way down than on the way up" in stairs(up_and_down).text
    assert stairs(()) is None
    assert metastability(()) is None
