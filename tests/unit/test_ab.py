"""`bench ab` is an experiment of two parts that differ in nothing but their system."""

import pytest
from synthetic import SYSTEMS, work_of

from bench.ab import Wish, experiment
from bench.expand import expand
from bench.plan import Box
from bench.spec import SpecError


def trials(wish):
    """The plan, as the harness would make it."""
    wanted = experiment(wish)
    works = {p.name: work_of("spin", {"seconds": 0.1, "gil": "held"}) for p in wanted.parts}
    return expand(wanted, works, SYSTEMS, Box(2.0, 2**31))


def test_pairs_are_interleaved_and_meet_the_same_arrivals():
    """Each pair is done before the next one begins, its two in either order, with one seed for both."""
    plan = trials(Wish("queued:2", "gunicorn:4", pairs=20, seed=3))
    pairs = [plan[n : n + 2] for n in range(0, 40, 2)]
    assert [t.repeat for pair in pairs for t in pair] == [n for n in range(1, 21) for _ in range(2)]
    assert all({t.part for t in pair} == {"a", "b"} for pair in pairs)
    assert {pair[0].part for pair in pairs} == {"a", "b"}
    assert all(len({(t.seed, t.load) for t in pair}) == 1 for pair in pairs)
    assert len({pair[0].seed for pair in pairs}) == 20


def test_one_system_may_stand_on_both_sides():
    """With other worker counts, or as it is: a thing against itself."""
    assert {t.system.workers for t in trials(Wish("queued:1", "queued:4"))} == {1, 4}
    assert len({t.id for t in trials(Wish("queued:2", "queued:2"))}) == 10


def test_the_load_is_relative_to_what_a_can_sustain():
    """0.5C with one worker of 100-ms jobs: 5 jobs/s for both."""
    assert {t.load.rate for t in trials(Wish("queued:1", "queued:4", load="0.5C"))} == {5.0}


def test_an_experiment_file_lends_systems_task_and_box(tmp_path):
    """Its parts are replaced; what is said on the command line goes first."""
    (tmp_path / "my.toml").write_text(
        'task = "sleep"\ninput = {seconds = 0.1}\ndeadline = "2s"\nbox = {cpus = 1}\n[systems.low]\n'
        'kind = "queued"\nworker_nice = 5\n[[parts]]\nname = "x"\nshows = "load"\nsystems = ["low"]\n'
        'rates = ["1C"]\nwindow = "9s"\n'
    )
    found = experiment(Wish("low:1", "queued", experiment=str(tmp_path / "my.toml"), deadline="3s"))
    assert (found.task, found.input, found.box.cpus) == ("sleep", {"seconds": 0.1}, 1)
    assert str(found.deadline) == "3s"
    assert [(p.name, p.systems, p.workers) for p in found.parts] == [
        ("a", ["low"], [1]),
        ("b", ["queued"], [2]),
    ]


def test_everything_that_is_wrong_is_told_at_once():
    """Two slips, two lines."""
    with pytest.raises(SpecError) as caught:
        experiment(Wish("queued:2", "gunicorn:2", window="soon", deadline="later"))
    assert len(str(caught.value).splitlines()) >= 2
