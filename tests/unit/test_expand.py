"""An experiment becomes trials: everything relative resolved, order seeded, schedules shared."""

import json

import pytest

from bench import spec
from bench.expand import capacity, default_cpus, drain_limit, expand, expected_seconds, jobs_offered
from bench.plan import Box, Load, Retry, Step, Trial, Work
from bench.request import systems
from bench.units import Duration

SPIN = Work("spin", {"seconds": 0.25}, service_time=0.25, cpu_time=0.25)
SLEEP = Work("sleep", {"seconds": 0.25}, service_time=0.25, cpu_time=0.0, holds_gil=False)
BOX = Box(cpus=1.5, memory=2**31)


def trials(name: str = "standard", **change) -> list[Trial]:
    """Expand a built-in experiment with S = 250 ms in a 1.5-vCPU box."""
    experiment = spec.load(name).model_copy(update=change)
    works = {p.name: SLEEP if (p.task or experiment.task) == "sleep" else SPIN for p in experiment.parts}
    return expand(experiment, works, systems(experiment, None), BOX)


@pytest.mark.parametrize(
    ("kind", "workers", "work", "jobs_per_second"),
    [
        ("queued", 1, SPIN, 4),
        ("queued", 2, SPIN, 6),  # the box's 1.5 CPUs, not two workers
        ("queued", 4, SPIN, 6),
        ("queued", 4, SLEEP, 16),  # waiting needs no CPU
        ("blocking", 4, SPIN, 4),  # threads under one GIL
    ],
)
def test_capacity_is_the_tightest_of_workers_cpu_and_gil(kind, workers, work, jobs_per_second):
    """The definitions of the vocabulary, by hand."""
    assert capacity(kind, workers, work, cpus=1.5) == pytest.approx(jobs_per_second)


def test_threads_that_release_the_gil_use_the_whole_box():
    """Real models do."""
    released = Work("spin", None, service_time=0.25, cpu_time=0.25, holds_gil=False)
    assert capacity("blocking", 1, released, cpus=1.5) == pytest.approx(6)


def test_every_system_meets_the_same_schedule():
    """Same load and repeat, same seed and rate: that is what makes the comparison one."""
    met: dict[tuple, set] = {}
    for t in trials():
        met.setdefault((t.part, t.load.label, t.repeat), set()).add((t.seed, t.load))
    assert all(len(schedules) == 1 for schedules in met.values())


def test_repeats_meet_different_schedules_and_are_interleaved():
    """All of repeat 1 comes before any of repeat 2, so that a slow hour hits every system alike."""
    order = trials(repeats=3)
    assert [t.repeat for t in order] == sorted(t.repeat for t in order)
    assert len({t.seed for t in order if t.load.label == "0.5C" and t.work == SPIN}) == 3


def test_the_order_is_shuffled_by_the_seed_alone():
    """The stored seed repeats the run; another seed gives another order of the same trials."""

    def names(ts):
        return [t.id.split("-", 1)[1] for t in ts]

    assert names(trials()) == names(trials()) != names(trials(seed=12))
    assert sorted(names(trials())) == sorted(names(trials(seed=12)))


def test_relative_times_and_rates_are_resolved():
    """6 S is 1.5 s and 1.2 C is 7.2 jobs/s; 60 jobs at that rate take 8.3 s."""
    one = next(
        t for t in trials() if t.system.name == "queued" and t.part == "load" and t.load.label == "1.2C"
    )
    assert (one.deadline, one.gateway_timeout, one.poll_interval) == (1.5, 1.5, 0.25)
    assert one.load.rate == pytest.approx(7.2)
    assert one.load.window == pytest.approx(60 / 7.2)


@pytest.mark.parametrize(
    ("written", "seconds"), [(Duration(0.05), 0.05), (Duration(0.1, True), 0.1), (Duration(2, True), 0.5)]
)
def test_a_poll_interval_in_seconds_is_taken_as_it_is(written: Duration, seconds: float):
    """Only one in multiples of S has a floor: who writes 50 ms means it."""
    assert {t.poll_interval for t in trials(poll_interval=written)} == {seconds}


def test_the_bounded_rival_admits_what_can_be_done_within_the_deadline():
    """D × capacity = 1.5 s × 6/s: the ninth job admitted is answered just in time."""
    assert {t.connection_limit for t in trials() if t.system.name == "bounded"} == {9}
    assert {t.connection_limit for t in trials() if t.system.name != "bounded"} == {0}


def test_a_threaded_server_is_not_repeated_for_every_worker_count():
    """It has no workers."""
    threaded = [t for t in trials() if t.system.kind == "blocking"]
    assert {t.system.workers for t in threaded} == {2}


def test_trials_survive_json():
    """run.json holds them for --resume and for the report."""
    for t in (*trials("quick"), *trials("metastability")):
        assert Trial.from_json(json.loads(json.dumps(t.to_json()))) == t


def test_ids_are_unique_and_safe_as_file_names():
    """Every trial has a folder of its own."""
    ids = [t.id for t in trials()]
    assert len(set(ids)) == len(ids)
    assert all(set(i) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.C") for i in ids)


def test_the_drain_outlasts_twice_the_backlog_even_on_a_machine_half_as_fast():
    """10 s at twice the capacity of 6/s leave 60 jobs at best, 90 at half speed: 30 s of work, twice."""
    assert drain_limit(Load("poisson", rate=12, window=10), 6, 1.5) == pytest.approx(1.5 + 60 + 10)
    assert drain_limit(Load("poisson", rate=3, window=10), 6, 1.5) == pytest.approx(1.5 + 10)
    assert drain_limit(Load("burst", size=20), 6, 1.5) == pytest.approx(1.5 + 2 * 20 / 3 + 10)


def test_quick_fits_into_five_minutes_standard_into_fifteen_and_metastability_into_eleven():
    """By the same estimate that the ETA uses, with half a minute for boot, calibration and charts."""
    assert sum(map(expected_seconds, trials("quick"))) < 300 - 30
    assert sum(map(expected_seconds, trials("standard"))) < 900 - 30
    assert sum(map(expected_seconds, trials("metastability"))) < 660


def test_rates_of_its_own_capacity_load_every_system_alike():
    """Threads under one GIL do less than processes; each meets the base load that it can carry itself."""
    found = {t.system.kind: t for t in trials("metastability") if t.load.arrivals == "pulse"}
    assert (found["blocking"].capacity, found["gunicorn"].capacity) == (4, 8)
    for t in found.values():
        assert [s.rate / t.capacity for s in t.load.steps] == pytest.approx([0.5, 2, 0.5])
        assert [s.seconds / t.work.service_time for s in t.load.steps] == pytest.approx([50, 25, 190])
        assert t.load.window == pytest.approx(sum(s.seconds for s in t.load.steps))
    assert found["queued"].system.max_wait == pytest.approx(10 * 0.25)


def test_stairs_come_down_as_they_went_up():
    """Every load but the top is offered twice: that is what hysteresis is read from."""
    stairs = next(t for t in trials("metastability") if t.load.arrivals == "stairs")
    rates = [s.rate for s in stairs.load.steps]
    assert rates == rates[::-1]
    assert len(rates) == 7
    assert len(set(rates)) == 4


def test_retry_policies_are_resolved_to_seconds():
    """S is known when the trial is made, and the generator knows nothing of it."""
    found = {t.retry.policy: t.retry for t in trials("metastability")}
    assert found["immediate"] == Retry("immediate", attempts=4, after=2.0)
    assert found["jitter"] == Retry("jitter", attempts=4, after=2.0, base=1.0, cap=8.0, budget=0.1)
    assert found["jitter"].longest == pytest.approx(4 * 2 + 3 * 8)


def test_a_bounded_server_admits_what_is_done_before_its_clients_are_gone():
    """A time-out of 2 s at 8 jobs/s: what takes 1 s, for abandoned work goes on beside what is admitted."""
    bounded = next(t for t in trials("metastability") if t.system.kind == "bounded")
    assert bounded.connection_limit == 8


def test_a_client_that_gives_up_after_the_deadline_is_refused():
    """Its retries could bring nothing in time, and the figures would say that retries are useless."""
    with pytest.raises(spec.SpecError, match=r"careless: retries.after .* shorter than the deadline"):
        trials("metastability", deadline=Duration(8, True))


def test_a_trial_of_an_old_run_has_no_retries_and_no_steps():
    """A run.json that was written before there were any is still read."""
    old = trials("quick")[0].to_json()
    del old["retry"], old["load"]["steps"], old["system"]["max_wait"]
    assert Trial.from_json(old) == trials("quick")[0]


def test_a_pulse_is_drained_like_the_backlog_that_it_leaves():
    """5 s at 12/s on a system that does 6, or 3 on a bad day: 45 jobs; an idle phase before does not help."""
    pulse = Load("pulse", rate=1, window=25, steps=(Step(1, 20), Step(12, 5)))
    assert jobs_offered(pulse) == 80
    assert drain_limit(pulse, 6, 1.5) == pytest.approx(1.5 + 2 * 45 / 3 + 10)


def test_workers_in_boxes_of_their_own_share_nothing():
    """Each does its part of a core's work, however many there are; the box holds the rest of the system."""
    work = Work("spin", {"seconds": 0.2}, service_time=0.2, cpu_time=0.2)
    fifth = Box(0.2, 2**27)
    assert [capacity("queued", n, work, 0.7, fifth) for n in (1, 4, 8)] == pytest.approx([1, 4, 8])
    assert capacity("gunicorn", 8, work, 0.7, fifth) == pytest.approx(3.5)
    assert capacity("queued", 3, work, 0.7, Box(2.0, 2**27)) == pytest.approx(15), "a job uses one core"
    waits = Work("sleep", {"seconds": 0.2}, service_time=0.2, cpu_time=0.001)
    assert capacity("queued", 2, waits, 0.7, fifth) == pytest.approx(10)


def test_a_trial_with_boxes_of_workers_own_survives_json():
    """And knows how long a job takes there."""
    scale = spec.load("scale")
    work = Work("spin", {"seconds": 0.2}, service_time=0.2, cpu_time=0.2)
    trials = expand(scale, {p.name: work for p in scale.parts}, systems(scale, None), Box(0.7, 2**30))
    assert [Trial.from_json(json.loads(json.dumps(t.to_json()))) for t in trials] == trials
    assert {t.service_time for t in trials} == {1.0}
    assert {t.cores for t in trials} == {0.2 * n for n in (1, 2, 3, 4, 6, 8)}
    assert [t.load.rate for t in trials] == pytest.approx([7.2] * 6)


@pytest.mark.parametrize(("cores", "cpus"), [(1, 0.5), (2, 1.5), (3, 2), (64, 2)])
def test_the_box_leaves_room_for_the_generator(cores, cpus):
    """Two cores can't hold a 2-vCPU box and an honest generator."""
    assert default_cpus(cores) == cpus
