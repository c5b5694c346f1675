"""What is known of the generator's limit: found, kept for this machine, held against what trials ask for."""

import json
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bench import exits, generator_limit
from bench.analysis.trial.generator import Limit, notes_on
from bench.load.overhead import Overhead
from bench.plan import Box, Load, System, Trial, Work
from bench.selftest import generator
from bench.selftest.edge import edge

ONE = Limit("blocking", 1, rate=420, fails=480, cpu_per_job=0.002, in_flight=2000)
TWO = replace(ONE, processes=2, rate=800, fails=900)
POLLED = replace(ONE, way="polled", rate=150, fails=170)
KNOWN = [ONE, TWO, POLLED]


def trial(rate, processes=1, kind="gunicorn"):
    return Trial(
        id="1",
        part="load",
        shows="load",
        system=System("s", kind),
        work=Work("spin", None, service_time=0.1, cpu_time=0.1),
        load=Load("poisson", rate=rate, label="2C"),
        box=Box(1, 1),
        deadline=1,
        gateway_timeout=1,
        poll_interval=1,
        drain_limit=1,
        repeat=1,
        seed=1,
        capacity=1,
        processes=processes,
    )


# --- the search ---


@given(st.floats(15, 10_000))
def test_the_edge_is_found_to_ten_percent(truth):
    """Wherever it lies, in few looks."""
    looks = []

    def holds(number):
        looks.append(number)
        return number <= truth

    found = edge(holds, first=100, least=10, most=20_000)
    assert found.holds <= truth < found.fails <= 1.2 * found.holds
    assert len(looks) <= 13


def test_an_edge_out_of_sight_is_told():
    """0 for what was never seen."""
    assert edge(lambda _: True, 100, 10, 1000).fails == 0
    assert edge(lambda _: False, 100, 10, 1000).holds == 0


# --- the self-test ---


def machine(limits):
    """A rung on a machine that keeps up with so many jobs/s by so many processes, each a core full."""

    def rung(way, rate, processes):
        able = limits[way, processes]
        late = 0.002 if rate <= able else 0.2
        return Overhead("blocking", processes, rate, 400, processes / able, 0.001, late, 0.003)

    return rung


def test_the_self_test_finds_and_keeps_what_the_machine_can_do(tmp_path):
    """For both ways of asking and each number of processes; `bench run` reads it."""
    rung = machine({("blocking", 1): 430, ("blocking", 2): 810, ("polled", 1): 160, ("polled", 2): inf})
    with (tmp_path / "said").open("w") as said:
        console = Console(file=said, width=120)
        assert generator.run(console, tmp_path / "reports", processes=(1, 2), rung=rung) == exits.FINE
    found = generator_limit.read(tmp_path / "reports")
    assert [(limit.way, limit.processes) for limit in found] == [
        ("blocking", 1),
        ("blocking", 2),
        ("polled", 1),
        ("polled", 2),
    ]
    assert found[0].rate <= 430 < found[0].fails <= 1.2 * found[0].rate
    assert found[3].fails == 0
    told = (tmp_path / "said").read_text()
    assert "generator-limit.json" in told
    assert "2.33 ms" in told  # of a core, 430 times a second


def test_a_machine_that_is_too_busy_is_told_and_nothing_is_kept(tmp_path):
    """Late with most of a core unused: exit code 3, the measurement is not to be believed."""

    def rung(way, rate, processes):
        return Overhead("blocking", processes, rate, 400, 0.0005, 0.001, 0.2, 0.003)

    with (tmp_path / "said").open("w") as said:
        assert generator.run(Console(file=said), tmp_path, processes=(1,), rung=rung) == exits.INVALID
    assert "200 ms late (p99) while the generator used 5% of a core" in (tmp_path / "said").read_text()
    assert generator_limit.read(tmp_path) == []


def test_a_generator_that_never_keeps_up_has_no_limit():
    """Not even with a core for itself at a dozen jobs a second."""
    with pytest.raises(generator.Disturbed, match="Not even"):
        generator.find(machine({("blocking", 1): 1e-3}), "blocking", 1)


def test_a_rung_that_failed_is_tried_again():
    """A neighbour's burst of work is not the generator's limit: the less, the less CPU it got to use."""
    tries = []

    def rung(way, rate, processes):
        tries.append(rate)
        held_up = rate < 430 and tries.count(rate) < 5
        used = 0.05 if held_up else rate / 430
        late = 0.2 if rate > 430 or held_up else 0.002
        return Overhead("blocking", processes, rate, 400, used / rate, 0.001, late, 0.003)

    found = generator.find(rung, "blocking", 1)
    assert found.rate <= 430 < found.fails
    assert {tries.count(rate) for rate in tries if rate < 430} == {5}
    assert {tries.count(rate) for rate in tries if rate > 430} == {2}


def test_late_means_late_beside_the_response():
    """5 ms, or 2 % of the median response where that is more."""
    seen = Overhead("blocking", 1, 100, 400, 0.001, 0.001, delay_p99=0.008, response_p50=0.1)
    assert not seen.kept_up
    assert replace(seen, response_p50=0.5).kept_up
    assert replace(seen, delay_p99=0.005).kept_up


def test_the_numbers_of_processes_to_try():
    """Doubled up to the cores, and all of them."""
    assert generator.counts(1) == [1]
    assert generator.counts(2) == [1, 2]
    assert generator.counts(6) == [1, 2, 4, 6]


# --- held against what trials ask for ---


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (trial(400), ""),
        (trial(600), "keeps up with 420 jobs/s; load at 2C asks for 600: use --generator-processes 2."),
        (trial(900), "use a lower rate, or workers on other machines."),
        (trial(900, processes=2), "with 2 processes keeps up with 800 jobs/s"),
        (trial(200, kind="queued"), "keeps up with 150 jobs/s"),
        (trial(5000, processes=3), ""),
    ],
    ids=["enough", "another process", "too much", "of two", "polls cost more", "unknown"],
)
def test_a_trial_that_asks_too_much_is_noted(asked, says):
    """With what to do about it; nothing is said where nothing is known."""
    notes = notes_on([asked, asked], KNOWN)
    assert len(notes) == bool(says)
    assert says in "".join(notes)


def test_a_burst_and_users_have_no_rate_to_hold_against_it():
    """The limit says nothing of them."""
    closed = replace(trial(0), load=Load("closed", size=5000))
    assert notes_on([closed], KNOWN) == []


# --- the file ---


def test_what_was_kept_is_read(tmp_path):
    """On the machine that it was measured on."""
    generator_limit.write(tmp_path / "reports", KNOWN, "2030-01-01T00:00:00+00:00")
    assert generator_limit.read(tmp_path / "reports") == KNOWN


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept["machine"].update(cpu="another"),
        lambda kept: kept.update(format=2),
        lambda kept: kept.pop("limits"),
        lambda kept: kept["limits"][0].update(speed=1),
    ],
    ids=["another machine", "a later format", "damaged", "a field too many"],
)
def test_what_does_not_fit_is_not_known(tmp_path, change):
    """No guess, and no traceback."""
    path = generator_limit.write(tmp_path, KNOWN, "now")
    kept = json.loads(path.read_text())
    change(kept)
    path.write_text(json.dumps(kept))
    assert generator_limit.read(tmp_path) == []


def test_nothing_is_known_where_nothing_was_measured(tmp_path):
    """Nor from a file that is no JSON."""
    assert generator_limit.read(tmp_path) == []
    (tmp_path / generator_limit.FILE).write_text("{")
    assert generator_limit.read(tmp_path) == []
