"""Slots that share cores, job by job: against the formulas at its borders, against a plain step-by-step
reckoning, and against what must hold of any service.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.queueing import MDc, MMc, ProcessorSharing
from bench.analysis.queueing.limited_sharing import Service, serve
from bench.analysis.queueing.simulation import fifo_starts

JOBS = st.lists(st.tuples(st.floats(0, 3), st.floats(0, 4), st.floats(0, 2)), min_size=1, max_size=40)
SERVICES = st.builds(Service, st.none() | st.integers(1, 5), st.floats(0.2, 6))


def split(jobs):
    gaps, computing, pausing = (np.array(column) for column in zip(*jobs, strict=True))
    return np.cumsum(gaps), computing, pausing


def plainly(arrivals, computing, pausing, service):
    """The same by looking at every job at every event: slow, and with nothing clever in it."""
    count = len(arrivals)
    slots = count if service.slots is None else service.slots
    ends, now, came = [math.nan] * count, 0.0, 0
    waiting, inside = [], {}
    while came < count or inside:
        work = [j for j, (pause, _) in inside.items() if pause <= 0]
        speed = min(1.0, service.cores / len(work)) if work else 1.0
        steps = [pause if pause > 0 else left / speed for pause, left in inside.values()]
        step = min([*steps, arrivals[came] - now if came < count else math.inf])
        now += step
        for j, (pause, left) in list(inside.items()):
            inside[j] = (pause - step, left) if pause > 0 else (0.0, left - step * speed)
            if inside[j][0] < 1e-12:
                inside[j] = (0.0, inside[j][1])
        for j in [j for j, (pause, left) in inside.items() if pause <= 0 and left <= 1e-12]:
            ends[j] = now
            del inside[j]
        while came < count and arrivals[came] <= now + 1e-12:
            waiting.append(came)
            came += 1
        while waiting and len(inside) < slots:
            j = waiting.pop(0)
            inside[j] = (pausing[j], computing[j])
    return ends


@settings(deadline=None, max_examples=50)
@given(JOBS, SERVICES)
def test_it_is_what_a_plain_reckoning_gives(jobs, service) -> None:
    """Each job's end, whatever the slots, the cores, and how jobs divide into pause and work."""
    arrivals, computing, pausing = split(jobs)
    served = serve(arrivals, computing, pausing, service)
    assert served.ends == pytest.approx(plainly(arrivals, computing, pausing, service), abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(JOBS, SERVICES)
def test_work_is_conserved(jobs, service) -> None:
    """Nobody begins early, out of turn or beyond the slots; no job is faster than alone; the cores never do
    more than they can, and a busy core is not left idle: work done by any job's end is bounded both ways.
    """
    arrivals, computing, pausing = split(jobs)
    served = serve(arrivals, computing, pausing, service)
    assert np.all(served.starts >= arrivals - 1e-9)
    assert np.all(np.diff(served.starts) >= -1e-9)
    assert np.all(served.ends - served.starts >= computing + pausing - 1e-6)
    last = served.ends.max()
    assert computing.sum() <= service.cores * (last - arrivals[0]) + 1e-6
    if service.slots is not None:
        for start in served.starts:
            inside = np.count_nonzero((served.starts <= start) & (served.ends > start + 1e-9))
            assert inside <= service.slots


@settings(deadline=None, max_examples=50)
@given(JOBS, st.floats(0.2, 1.0))
def test_the_backlog_of_one_core_does_not_depend_on_how_it_is_shared(jobs, cores) -> None:
    """One slot or all at once: as long as the core works whenever there is work, it is done with all at the
    same instant (jobs that do not pause).
    """
    arrivals, computing, _ = split(jobs)
    none = np.zeros(len(arrivals))
    ends = [serve(arrivals, computing, none, Service(slots, cores)).ends.max() for slots in (1, 2, None)]
    assert ends[1:] == pytest.approx([ends[0], ends[0]], rel=1e-9, abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(JOBS, st.integers(1, 4), st.floats(0.3, 4), st.floats(1.01, 3))
def test_more_cores_never_harm_jobs_that_all_pause_alike(jobs, slots, cores, more) -> None:
    """Faster for every job, with the same slots and no pauses."""
    arrivals, computing, _ = split(jobs)
    none = np.zeros(len(arrivals))
    few = serve(arrivals, computing, none, Service(slots, cores)).ends
    many = serve(arrivals, computing, none, Service(slots, cores * more)).ends
    assert np.all(np.sort(many) <= np.sort(few) + 1e-6)


@settings(deadline=None, max_examples=50)
@given(JOBS, st.integers(1, 5), st.floats(0, 3))
def test_with_a_core_for_each_it_is_the_plain_queue(jobs, slots, spare) -> None:
    """The same as `fifo_starts`, pauses included."""
    arrivals, computing, pausing = split(jobs)
    served = serve(arrivals, computing, pausing, Service(slots, slots + spare))
    assert served.starts == pytest.approx(fifo_starts(arrivals, computing + pausing, slots), abs=1e-6)


def test_long_runs_agree_with_the_formulas() -> None:
    """M/M/3, M/D/3 and processor sharing at 80 %, within what chance allows; for the latter the mean does not
    depend on the distribution, and a job of twice the size takes twice as long.
    """
    random = np.random.default_rng(3)
    count = 100_000
    arrivals, none, later = np.cumsum(random.exponential(1.0, count)), np.zeros(count), slice(5_000, None)
    for model, work in (
        (MMc(1.0, 2.4, 3), random.exponential(2.4, count)),
        (MDc(1.0, 2.4, 3), np.full(count, 2.4)),
    ):
        times = serve(arrivals, work, none, Service(3, 3.0)).ends - arrivals
        assert times[later].mean() == pytest.approx(model.mean_response, rel=0.05)
    sharing = ProcessorSharing(1.0, 0.8, 1)
    for sizes in (np.full(count, 0.8), random.exponential(0.8, count), random.choice([0.4, 1.2], count)):
        times = (serve(arrivals, sizes, none, Service(None, 1.0)).ends - arrivals)[later]
        assert times.mean() == pytest.approx(sharing.mean_response, rel=0.1)
        for size in {0.4, 1.2} & set(sizes[:50]):
            of_size = times[sizes[later] == size]
            assert of_size.mean() == pytest.approx(sharing.response_of(size), rel=0.1)
    two = serve(arrivals, np.full(count, 1.6), none, Service(None, 2.0)).ends - arrivals
    assert two[later].mean() == pytest.approx(ProcessorSharing(1.0, 1.6, 2).mean_response, rel=0.1)


def test_scarce_cores_under_exponential_work_are_a_known_chain() -> None:
    """Two slots on 1.5 cores: a birth-death chain with rates μ, 1.5·μ, 1.5·μ, …; its mean by Little's law."""
    rate, cores = 1.2, 1.5
    random = np.random.default_rng(5)
    count = 200_000
    arrivals, work = np.cumsum(random.exponential(1 / rate, count)), random.exponential(1.0, count)
    times = serve(arrivals, work, np.zeros(count), Service(2, cores)).ends - arrivals
    weights, states = [1.0], range(1, 400)
    for n in states:
        weights.append(weights[-1] * rate / min(n, cores))
    inside = sum(n * weights[n] for n in states) / sum(weights)
    assert times[10_000:].mean() == pytest.approx(inside / rate, rel=0.05)


def test_a_box_of_one_and_a_half_cores_by_hand() -> None:
    """Two workers, three jobs of a second at once: the pair runs at 0.75, the third alone at full speed."""
    served = serve(np.zeros(3), np.ones(3), np.zeros(3), Service(2, 1.5))
    assert served.starts == pytest.approx([0.0, 0.0, 4 / 3])
    assert served.ends == pytest.approx([4 / 3, 4 / 3, 7 / 3])
    waits = serve(np.zeros(3), np.zeros(3), np.ones(3), Service(2, 0.1))
    assert waits.ends == pytest.approx([1.0, 1.0, 2.0])


@pytest.mark.parametrize(
    ("arrivals", "work", "service", "why"),
    [
        ([0.0], [1.0], Service(0, 1.0), "a slot at least"),
        ([0.0], [1.0], Service(1, 0.0), "some core at least"),
        ([1.0, 0.0], [1.0, 1.0], Service(1, 1.0), "in order"),
        ([0.0], [1.0, 1.0], Service(1, 1.0), "do not match"),
    ],
)
def test_what_can_be_no_service_is_refused(arrivals, work, service, why) -> None:
    """With what was wrong."""
    with pytest.raises(ValueError, match=why):
        serve(np.array(arrivals), np.array(work), np.zeros(len(work)), service)


def test_no_jobs_are_served_at_once() -> None:
    """An empty schedule is no error."""
    assert len(serve(np.zeros(0), np.zeros(0), np.zeros(0), Service(None, 1.0)).ends) == 0
