"""Experiment files are checked strictly, all errors at once, each with its line."""

import pytest

from bench import spec

GOOD = """\
task = "spin"
deadline = "6S"

[box]
memory = "2GiB"

[[parts]]
name = "load"
shows = "load"
systems = ["blocking", "queued"]
rates = ["0.5C"]
window = "10s"
"""


def errors(text: str) -> list[str]:
    """Return the lines that reading this text complains with."""
    with pytest.raises(spec.SpecError) as caught:
        spec.parse(text, "my.toml")
    return str(caught.value).splitlines()


NAMES = ["blog", "ci", "failure", "full", "metastability", "overtime", "quick", "scale", "standard"]


@pytest.mark.parametrize("name", spec.built_in_names())
def test_every_built_in_experiment_is_valid(name):
    """And survives the way through run.json that --resume depends on."""
    experiment = spec.load(name)
    assert spec.Experiment.model_validate(experiment.model_dump(mode="json")) == experiment


def test_the_built_in_experiments_are_those_of_the_documentation():
    """The README and docs/containers.md name these."""
    assert spec.built_in_names() == [
        "blog",
        "ci",
        "failure",
        "full",
        "metastability",
        "overtime",
        "quick",
        "scale",
        "standard",
    ]


def test_all_errors_come_at_once_each_with_its_line():
    """One reading is enough to mend a file: unknown keys, units, values and contradictions together."""
    text = (
        GOOD.replace('deadline = "6S"', 'deadline = "6"\nspeed = 3')
        .replace('memory = "2GiB"', 'memory = "2gb"')
        .replace('"queued"]', '"quewed"]')
        .replace('window = "10s"', 'window = "10s"\njobs = 60')
    )
    found = errors(text)
    assert [line.split(":")[1] for line in found] == ["2", "3", "6", "8", "11"]
    for line, words in zip(
        found,
        ["not a duration", "speed: unknown key", "not a size", "either window or jobs", "no system 'quewed'"],
        strict=True,
    ):
        assert line.startswith("my.toml:")
        assert words in line


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('rates = ["0.5C"]\n', "", "needs rates"),
        ('rates = ["0.5C"]', 'rates = ["0C"]', "above 0"),
        ('rates = ["0.5C"]', "rates = [3]", "not a rate"),
        ('window = "10s"', 'window = "0s"', "above 0"),
        ('window = "10s"\n', "", "either window or jobs"),
        ('shows = "load"', 'shows = "lod"', "shows"),
        ('systems = ["blocking", "queued"]', "systems = []", "systems"),
        ('name = "load"', 'name = "Load It"', "name"),
        ('task = "spin"\n', "", "task: missing"),
        ("[box]", "[box]\ncpus = -1", "greater than 0"),
        ("[box]", '[systems.queued]\nkind = "queued"\n[box]', "hides the built-in"),
        ('window = "10s"', 'window = "10s"\nworkers = [0]', "greater than or equal to 1"),
        ('rates = ["0.5C"]', 'arrivals = "burst"\nsizes = [5]', "a burst has neither"),
        ('rates = ["0.5C"]\nwindow = "10s"', 'arrivals = "closed"\nsizes = [5]', "window or jobs_per_user"),
    ],
)
def test_contradictions_and_impossible_values_are_refused(old, new, words):
    """Each would otherwise be a run of the wrong thing, or a traceback an hour later."""
    assert old in GOOD
    assert words in "\n".join(errors(GOOD.replace(old, new)))


def test_two_parts_of_one_name_are_refused():
    """Trials are found by their part's name."""
    assert "two parts" in "\n".join(errors(GOOD + GOOD[GOOD.index("[[parts]]") :]))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('memory = "2GiB"', "memory = -1", "at least 64 MiB"),
        ('memory = "2GiB"', "memory = true", "not a size"),
        ('memory = "2GiB"', 'memory = "0B"', "at least 64 MiB"),
        ('task = "spin"', 'task = "spin"\ninput = 2026-01-01', "can't be sent as JSON"),
        ('task = "spin"', 'task = "spin"\ninput = { seconds = nan }', "can't be sent as JSON"),
        ('name = "load"\n', "", "name: missing"),
    ],
)
def test_values_that_would_go_wrong_later_are_refused_at_once(old, new, words):
    """A memory of -1 lifts the cap on some kernels; a date can't be sent to a server."""
    assert words in "\n".join(errors(GOOD.replace(old, new)))


def test_two_parts_without_a_name_are_two_lines_and_no_traceback():
    """Both lines are named."""
    part = GOOD[GOOD.index("[[parts]]") :].replace('name = "load"\n', "")
    found = errors(GOOD[: GOOD.index("[[parts]]")] + part + part)
    assert sum("name: missing" in line for line in found) == 2


def test_text_that_is_no_toml_says_where():
    """tomllib's own message has line and column."""
    assert "line 1" in errors("task = = 3")[0]


def test_a_name_that_is_no_experiment_lists_the_built_in_ones(tmp_path):
    """A typo in the name is the most common error."""
    with pytest.raises(
        spec.SpecError, match=r"blog, ci, failure, full, metastability, overtime, quick, scale, standard"
    ):
        spec.load(str(tmp_path / "quik"))


def test_the_generator_may_have_several_processes():
    """One where nothing is said; a number that makes no sense is refused with its line."""
    assert spec.parse(GOOD, "my.toml").generator.processes == 1
    more = GOOD.replace("[box]", "[generator]\nprocesses = 4\n\n[box]")
    assert spec.parse(more, "my.toml").generator.processes == 4
    (said,) = errors(more.replace("processes = 4", "processes = 0"))
    assert said.startswith("my.toml:5: generator.processes: ")
