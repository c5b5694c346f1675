"""`bench compare`: tables, Markdown, JSON, exit codes; and no damaged folder ever ends in a traceback."""

import io
import json
import random
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from synthetic import from_text

from bench import exits
from bench.compare import Wish, compare
from bench.records import FORMAT, RunFolder, RunFolderError
from bench.spec import SpecError

TWO = """
task = "spin"
input = { seconds = 0.25, gil = "held" }
deadline = "6S"
poll_interval = "1S"
repeats = 5
[[parts]]
name = "a"
shows = "load"
systems = ["queued"]
workers = [1]
rates = ["0.9C"]
window = "20s"
[[parts]]
name = "b"
shows = "load"
systems = ["queued"]
workers = [2]
rates = ["0.9C"]
window = "20s"
"""
MACHINE = {"cpu": "Fast 9000", "cores": 4, "memory": 8 * 2**30, "kernel": "6.1", "libraries": {"flask": "3"}}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Five trials each of one worker and of two."""
    return from_text(TWO, tmp_path_factory.mktemp("compare") / "run", id="first", environment=MACHINE)


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """One trial each: enough to be damaged, and read in a fraction of the time."""
    text = TWO.replace("repeats = 5\n", "").replace("20s", "6s")
    return from_text(text, tmp_path_factory.mktemp("compare") / "run", id="first", environment=MACHINE)


def changed(run: Path, folder: Path, **changes) -> Path:
    """The same run with something else in run.json."""
    shutil.copytree(run, folder)
    RunFolder(folder).write_run(RunFolder(folder).read_run() | changes)
    return folder


def told(*runs: Path, **wish) -> tuple[int, str]:
    """Exit code and output."""
    out = io.StringIO()
    code = compare(runs[0], runs[1] if len(runs) > 1 else None, Wish(**wish), Console(file=out, width=100))
    return code, out.getvalue()


def test_one_run_that_ab_made_is_compared_in_pairs(run):
    """Two workers are better than one, and it says what they are."""
    code, text = told(run)
    assert code == exits.FINE
    assert "A is queued:1, B is queued:2; 5 pairs of trials, measured side by side" in text
    (p50,) = [line for line in text.splitlines() if line.startswith("p50 ")]
    assert p50.split()[-1] == "better"
    assert "bench ab" not in text


def test_a_run_against_itself_is_the_same(run):
    """Every figure that there is; and two runs are not side by side."""
    code, text = told(run, run)
    assert code == exits.FINE
    assert "`bench ab` runs both in turns" in text
    data = json.loads(told(run, run, format="json")[1])
    verdicts = {row["verdict"] for row in data["rows"] if row["value"] is not None and row["value"] != 1.0}
    assert not verdicts & {"better", "worse"}
    assert not data["paired"]


def test_json_is_valid_whatever_was_not_reached(run, tmp_path):
    """No NaN, no Infinity: words and null."""
    nothing = tmp_path / "nothing"
    shutil.copytree(run, nothing)
    folder = RunFolder(nothing)
    for part in sorted((nothing / "jobs.parquet").iterdir()):
        jobs = folder.read("jobs")
        jobs = jobs[jobs["trial"] == part.stem]
        folder.write_part("jobs", part.stem, jobs.assign(outcome="gateway_timeout"))
    code, text = told(run, nothing, format="json", fail_on="p50>+10%")
    data = json.loads(text, parse_constant=pytest.fail)
    assert code == exits.FAILED
    assert {row["value"] for row in data["rows"] if row["metric"] == "p50"} == {"infinity"}
    assert len(data["nothing_finished"]) == 2
    assert "NOTHING FINISHED" in told(run, nothing)[1]


def test_markdown_has_a_table_for_each_point(run):
    """For a job's summary on a CI service."""
    code, text = told(run, run, format="markdown")
    assert code == exits.FINE
    assert text.count("| metric | A | B |") == 2
    assert text.splitlines()[0].startswith("## ")


def test_only_the_metrics_asked_for_and_those_with_limits_are_shown(run):
    """`--metric p50 --fail-on 'goodput<-5%'`."""
    data = json.loads(told(run, metrics=("p50",), fail_on="goodput<-5%", format="json")[1])
    assert {row["metric"] for row in data["rows"]} == {"p50", "goodput"}


def test_a_broken_limit_fails_and_says_which(run, tmp_path):
    """Exit code 1, with the figures."""
    state = RunFolder(run).read_run()
    swapped = [t | {"part": {"a": "b", "b": "a"}[t["part"]]} for t in state["trials"]]
    slower = changed(run, tmp_path / "slower", trials=swapped)
    code, text = told(slower, fail_on="p50>+10%,errors>+1pp")
    assert code == exits.FAILED
    assert "LIMIT BROKEN: p50>+10%, at 0.9C:" in text
    assert "limits held: 1 of 2" in text
    assert told(run, fail_on="p50>+10%")[0] == exits.FINE


def test_a_limit_that_cant_be_judged_passes_loudly_and_fails_when_strict(run, tmp_path):
    """With one trial a side nothing can be told."""
    state = RunFolder(run).read_run()
    single = [t for t in state["trials"] if t["repeat"] == 1]
    one = changed(run, tmp_path / "one", trials=single)
    code, text = told(one, fail_on="p50>+10%")
    assert (code, "LIMIT UNCLEAR: p50>+10%" in text) == (exits.FINE, True)
    assert "TOO FEW TRIALS" in text
    assert told(one, fail_on="p50>+10%", strict=True)[0] == exits.FAILED


def test_runs_of_different_machines_are_refused_with_what_differs(run, tmp_path):
    """Unless told to; then the differences are listed beside the table."""
    other = changed(run, tmp_path / "other", id="second", environment=MACHINE | {"cores": 2}, seed=9)
    with pytest.raises(SpecError, match="cores: 4 in A, 2 in B"):
        told(run, other)
    code, text = told(run, other, different_machines=True)
    assert code == exits.FINE
    assert "different machine: cores: 4 in A, 2 in B" in text
    assert "different experiment: seed: " in text


def test_nothing_to_compare_is_an_invalid_measurement(run, tmp_path):
    """Other systems, or no trial that took place: exit code 3."""
    state = RunFolder(run).read_run()
    failed = {k: r | {"status": "failed", "reason": "no luck"} for k, r in state["results"].items()}
    code, text = told(run, changed(run, tmp_path / "failed", results=failed))
    assert (code, "NOTHING TO COMPARE" in text) == (exits.INVALID, True)
    assert told(changed(run, tmp_path / "again", results=failed))[0] == exits.INVALID


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"format": "pdf"}, "--format pdf: choose from table, markdown, json"),
        ({"fail_on": "p95>slow"}, "--fail-on: 'p95>slow' is not a limit"),
        ({"fail_on": ""}, "--fail-on: '' is not a limit"),
        ({"fail_on": "speed>+5%"}, "--fail-on: .*no metric speed"),
        ({"metrics": ("speed",)}, "--metric: there is no metric speed"),
        ({"margin": "five"}, "--margin: 'five' is not a margin"),
    ],
)
def test_bad_usage_is_told_before_anything_is_read(tmp_path, wish, words):
    """In one line."""
    with pytest.raises(SpecError, match=words):
        told(tmp_path / "nowhere", **wish)


def test_a_run_that_ab_did_not_make_needs_a_second_one(run, tmp_path):
    """Which of its systems would be A?"""
    state = RunFolder(run).read_run()
    trials = [t | {"part": "load"} for t in state["trials"]]
    with pytest.raises(SpecError, match="not made by `bench ab`"):
        told(changed(run, tmp_path / "other", trials=trials))
    with pytest.raises(SpecError, match="no trials"):
        told(changed(run, tmp_path / "empty", trials=[], results={}))


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"format": 1}', f'{{"format": {FORMAT + 1}}}'])
def test_what_is_no_run_of_this_version_is_refused_on_either_side(short, tmp_path, content):
    """Missing, empty, foreign, later."""
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    for sides in ((short, tmp_path), (tmp_path, short)):
        with pytest.raises(RunFolderError) as caught:
            told(*sides)
        assert "\n" not in str(caught.value)


JUNK = [
    None,
    True,
    0,
    -1,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    [],
    [1],
    ["a"],
    {},
    {"a": 1},
    [[]],
    "2",
]


def places(node, path=()):
    """Every place in a JSON value."""
    yield path
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        yield from places(value, (*path, key))


def spoil_json(run: Path, rng: random.Random) -> None:
    """Put something strange into, or take something out of, one place of run.json."""
    data = json.loads((run / "run.json").read_text())
    *above, last = rng.choice(list(places(data))[1:])
    node = data
    for key in above:
        node = node[key]
    if rng.random() < 0.2:
        del node[last]
    else:
        node[last] = rng.choice(JUNK)
    (run / "run.json").write_text(json.dumps(data))


def cut_json(run: Path, rng: random.Random) -> None:
    """A disk was full."""
    whole = (run / "run.json").read_bytes()
    (run / "run.json").write_bytes(whole[: rng.randrange(len(whole))])


def cut_part(run: Path, rng: random.Random) -> None:
    """The same, of a table."""
    part = rng.choice(sorted(run.rglob("*.parquet/*.parquet")))
    whole = part.read_bytes()
    part.write_bytes(whole[: rng.randrange(len(whole))])


def spoil_part(run: Path, rng: random.Random) -> None:
    """Bytes changed on the way."""
    part = rng.choice(sorted(run.rglob("*.parquet/*.parquet")))
    whole = bytearray(part.read_bytes())
    for _ in range(rng.choice([1, 3, 20])):
        whole[rng.randrange(len(whole))] = rng.randrange(256)
    part.write_bytes(whole)


def swap_parts(run: Path, rng: random.Random) -> None:
    """Two files under one another's name."""
    one, other = rng.sample(sorted(run.rglob("*.parquet/*.parquet")), 2)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


@pytest.mark.parametrize("spoil", [spoil_json, cut_json, cut_part, spoil_part, swap_parts])
def test_a_damaged_run_is_compared_or_refused_in_one_line(short, tmp_path, spoil):
    """Whatever happened to it; four seeded accidents each."""
    for seed in range(4):
        damaged = tmp_path / str(seed)
        shutil.copytree(short, damaged)
        spoil(damaged, random.Random(seed))
        message = ""
        try:
            told(short, damaged, different_machines=True, fail_on="p50>+10%")
        except RunFolderError as error:
            message = str(error)
        assert "\n" not in message


@pytest.mark.parametrize("other", ["requests", "executions", "events", "resources"])
def test_a_part_of_another_table_is_refused(short, tmp_path, other):
    """And not read as a table of nothing."""
    damaged = tmp_path / "run"
    shutil.copytree(short, damaged)
    part = sorted((damaged / "jobs.parquet").iterdir())[0]
    shutil.copy(damaged / f"{other}.parquet" / part.name, part)
    with pytest.raises(RunFolderError, match=r"jobs.parquet is damaged: .* has no "):
        told(short, damaged)
