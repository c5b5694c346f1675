"""What the generator writes is what the run folder takes."""

import json
from dataclasses import fields
from math import nan
from typing import get_args

import pytest

from bench.load.clients import Job, Outcome, RequestKind
from bench.load.clock import Clock
from bench.load.driver import _lines, _table
from bench.load.progress import Progress, read_progress, write_progress
from bench.load.recorder import Recorder
from bench.records import JOBS, OUTCOMES, REQUESTS, RunFolder


def test_outcomes_are_those_of_the_records():
    """The generator names them itself, because the records need pandas; they must not drift apart."""
    assert get_args(Outcome) == OUTCOMES


def test_a_job_has_the_columns_of_the_records():
    """All of them but the trial, which the harness adds."""
    names = {"job" if field.name == "id" else field.name for field in fields(Job)}
    assert names == set(JOBS.names) - {"trial"}


def recorded(folder):
    with Recorder(folder) as recorder:
        recorder.job(Job("a1", "window", 5.0, sent=5.5, accepted=6, done=7.25, outcome="ok", status=200))
        recorder.job(Job("a2", "warmup", 5.0, done=5.0, outcome="dropped", error="½ full"))
        recorder.request("a1", "run", 5.5, 1.75, 200, 12, "")
        recorder.mark(5.0, "load_started")


def test_rows_come_back_as_tables_of_the_run_folder(tmp_path):
    """What was not known is NaN, and the tables can be written as Parquet as they are."""
    recorded(tmp_path)
    jobs, requests = (
        _table(tmp_path / f"{name}.jsonl", schema, "t1")
        for name, schema in (("jobs", JOBS), ("requests", REQUESTS))
    )
    assert list(jobs.columns) == JOBS.names
    assert jobs["sent"].isna().tolist() == [False, True]
    assert jobs["outcome"].tolist() == ["ok", "dropped"]
    assert jobs["error"].tolist() == ["", "½ full"]
    run = RunFolder(tmp_path / "run")
    run.write_part("jobs", "t1", jobs)
    run.write_part("requests", "t1", requests)
    run.write_part("events", "t1", _lines(tmp_path / "marks.jsonl"))
    assert run.read("jobs")["done"].tolist() == [7.25, 5.0]
    assert run.read("requests")["kind"].tolist() == ["run"]
    assert run.read("events")["event"].tolist() == ["load_started"]
    assert set(get_args(RequestKind)) == {"run", "submit", "poll", "result"}


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path):
    """Everything before it is kept."""
    recorded(tmp_path)
    path = tmp_path / "jobs.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert _table(path, JOBS, "t1")["job"].tolist() == ["a1"]
    assert _table(tmp_path / "none.jsonl", JOBS, "t1").empty
    assert list(_table(tmp_path / "none.jsonl", JOBS, "t1").columns) == JOBS.names


def test_rows_are_readable_json_without_nan(tmp_path):
    """Any reader of JSON can follow the files while they grow."""
    recorded(tmp_path)
    for line in (tmp_path / "jobs.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    """Locust by itself, with no --records."""
    monkeypatch.chdir(tmp_path)
    recorded(None)
    assert list(tmp_path.iterdir()) == []


def test_progress_is_read_as_it_was_written(tmp_path):
    """And is the initial state while there is none."""
    path = tmp_path / "progress.json"
    assert read_progress(path) == Progress()
    progress = Progress(phase="window", elapsed=1.5, total=None, due=7, in_time=3)
    write_progress(path, progress)
    assert read_progress(path) == progress


def test_the_clock_does_not_jump_with_the_machines(monkeypatch):
    """Anchored once: setting the machine's clock changes no duration."""
    clock = Clock()
    before = clock.now()
    monkeypatch.setattr("time.time", lambda: nan)
    assert 0 <= clock.now() - before < 1
