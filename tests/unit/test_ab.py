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


def told(wish):
    """What is wrong with it, line by line."""
    with pytest.raises(SpecError) as caught:
        experiment(wish)
    return str(caught.value).splitlines()


def test_everything_that_is_wrong_is_told_at_once():
    """A line for each slip, in the words of the user, though both parts of the experiment have it."""
    assert told(Wish("queued:0", "nobody:2", load="5", window="0s", warmup="x", deadline="later")) == [
        "queued:0: workers must be 1 or more",
        'nobody:2: not a system; write for example "queued:2". There are as-published, '
        "as-published-restarted, blocking, bounded, gunicorn, queued, queued-api.",
        '--load 5: not a rate; write for example "4/s", "90/min" or "1.2C"',
        "--window 0s: must be above 0",
        '--warmup x: not a duration; write for example "250ms", "1.5s", "2min" or "6S"',
        '--deadline later: not a duration; write for example "250ms", "1.5s", "2min" or "6S"',
    ]
    assert told(Wish("queued:2", "gunicorn:2", load="0C")) == ["--load 0C: a rate must be above 0"]
    assert told(Wish("queued:999", "queued:999")) == ["queued:999: workers must be at most 256"]


def test_threads_do_not_come_in_workers():
    """A count that would be dropped without a word is refused; 1 is what the comparison itself prints."""
    assert told(Wish("queued:2", "blocking:2")) == [
        "blocking:2: its threads do not come in workers; write blocking"
    ]
    assert {t.system.name for t in trials(Wish("queued:2", "blocking:1"))} == {"queued", "blocking"}
