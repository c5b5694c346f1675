"""The run folder: what is written comes back, and what is wrong says so in one line."""

import json

import pyarrow.parquet as pq
import pytest

from bench.records import FORMAT, SCHEMAS, RunFolder, RunFolderError


@pytest.fixture
def run(tmp_path):
    """A run folder with nothing in it yet."""
    return RunFolder(tmp_path / "run")


def job(trial: str, name: str) -> dict:
    """One row of the jobs table."""
    row = dict.fromkeys(SCHEMAS["jobs"].names, 1.0)
    texts = {"trial": trial, "job": name, "phase": "window", "outcome": "ok", "error": ""}
    return row | texts | {"status": 200, "polls": 3, "attempts": 1}


def test_parts_of_several_trials_read_as_one_table(run):
    """The report sees one table, however many trials were run or interrupted."""
    run.write_part("jobs", "001", [job("001", "a"), job("001", "b")])
    run.write_part("jobs", "002", [job("002", "c")])
    assert list(run.read("jobs")["job"]) == ["a", "b", "c"]


def test_writing_a_trial_again_replaces_it(run):
    """A trial that is run again after an interruption does not count twice."""
    run.write_part("jobs", "001", [job("001", "a"), job("001", "b")])
    run.write_part("jobs", "001", [job("001", "c")])
    assert list(run.read("jobs")["job"]) == ["c"]


def test_a_table_that_was_never_written_is_empty_with_its_columns(run):
    """The report of an empty run needs no special case."""
    assert list(run.read("executions").columns) == SCHEMAS["executions"].names


def test_a_part_of_an_older_format_is_read_beside_a_new_one(run):
    """Runs made before attempts were counted can still be reported; what they did not record is null."""
    run.write_part("jobs", "001", [job("001", "a")])
    part = run.path / "jobs.parquet" / "001.parquet"
    old = pq.read_table(part)
    pq.write_table(old.drop_columns(["attempts"]), part)
    run.write_part("jobs", "002", [job("002", "b") | {"attempts": 3}])
    for columns in (None, ("trial", "job", "attempts")):
        found = run.read("jobs", columns)
        assert list(found["job"]) == ["a", "b"]
        assert found["attempts"].isna().tolist() == [True, False]
        assert found["attempts"][1] == 3


def test_a_damaged_part_is_one_clear_line(run):
    """A truncated file after a full disk."""
    run.write_part("jobs", "001", [job("001", "a")])
    part = run.path / "jobs.parquet" / "001.parquet"
    part.write_bytes(part.read_bytes()[:40])
    with pytest.raises(RunFolderError, match=r"damaged.*Run the experiment again"):
        run.read("jobs")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no run.json"),
        ("{", "can't be read"),
        ("[]", "not a run description"),
        ('{"format": "x"}', "not a run description"),
        (json.dumps({"format": FORMAT + 1}), "later Queuebench"),
    ],
)
def test_a_foreign_damaged_or_later_run_is_refused(run, content, words):
    """Each with what is wrong, in one line."""
    run.path.mkdir()
    if content is not None:
        run.run_json.write_text(content)
    with pytest.raises(RunFolderError, match=words):
        run.read_run()


def test_run_json_is_written_whole_or_not_at_all(run):
    """A reader never meets half a file, and no half file stays."""
    run.write_run({"trials": []})
    run.write_run({"trials": [1]})
    assert run.read_run() == {"format": FORMAT, "trials": [1]}
    assert [p.name for p in run.path.iterdir()] == ["run.json"]
