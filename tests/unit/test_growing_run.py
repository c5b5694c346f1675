"""A run that is read as it grows: what a search stands on."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.records import RunFolderError
from bench.report.reading import Growing, read

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
