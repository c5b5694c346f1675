"""A run read as it grows, which a search stands on; one that can't be read; and what a reader does next."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.records import RunFolderError
from bench.report import build
from bench.report.reading import Growing, read
from bench.report.summary import markdown, terminal

RECORDED = Path(__file__).resolve().parent.parent / "recorded" / "queued-sleep"


def test_the_last_trial_read_says_what_the_whole_run_says_of_it():
    """The models beside it apart, which need the whole run."""
    growing, whole = Growing(RECORDED), read(RECORDED).rows
    grown = [growing.add(f.trial.id) for f in whole]
    assert repr(replace(grown[-1], theory=whole[-1].theory)) == repr(whole[-1])  # NaN equals NaN so
    assert [f.ledger for f in grown] == [f.ledger for f in whole]


def test_a_damaged_trial_is_one_line(tmp_path):
    """As everywhere else."""
    (tmp_path / "run.json").write_text((RECORDED / "run.json").read_text())
    (tmp_path / "jobs.parquet").mkdir()
    trial = read(RECORDED).rows[0].trial.id
    (tmp_path / "jobs.parquet" / f"{trial}.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(RunFolderError, match="is damaged"):
        Growing(tmp_path).add(trial)


def test_a_committed_run_without_raw_records_is_not_rebuilt(tmp_path):
    """Its page would become an empty one; what is there stays as it is."""
    (tmp_path / "run.json").write_text((RECORDED / "run.json").read_text())
    (tmp_path / "index.html").write_text("the page")
    with pytest.raises(RunFolderError, match="no raw records"):
        build(tmp_path)
    assert (tmp_path / "index.html").read_text() == "the page"


def test_a_run_says_how_to_go_on_to_a_rate_of_ones_own():
    """In the summary and on the terminal."""
    analysis = read(RECORDED)
    command = "bench plan reports/queued-sleep --rate 4/s --slo 'p95<2s'"
    assert f"`{command}`" in markdown(analysis)
    assert command in terminal(analysis)
