"""The reliability page and the summary, from a folder alone."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from test_chaos_audit import STRIKE, job, ran

from bench.chaos.audit import Least, audit, timeline
from bench.records import RunFolderError
from bench.report import reliability


def folder_of(path: Path, **findings: Any) -> Path:
    """A folder as a storm leaves it, with one lost job."""
    least = Least({"kill-web": 1}, {"after-store": 1}, near=0.0)
    rows = [job(1), job(15), job(2, done=None, state="<b>queued", right=None)]
    found = audit(rows, [ran(1, 11, 11.2)], [STRIKE], least)
    storm = {
        "system": "queued", "seed": 1, "short": True, "workers": 2, "span": 30.0, "seconds": 40.0,
        "settings": {"QUEUED_LEASE": "3"}, "store_config": "appendfsync always", "least": asdict(least),
        "timeline": timeline(rows, [STRIKE]), "keys": 3, "restarts": 1,
        "findings": {**found.to_json(), "ok": found.ok, **findings},
    }  # fmt: skip
    data = {
        "format": 1,
        "id": path.name,
        "started": "2026-01-01T00:00:00+00:00",
        "command": "bench chaos --short",
        "environment": {"python": "3.11", "libraries": {"pika": "1"}},
        "storm": storm,
    }
    (path / "chaos.json").write_text(json.dumps(data))
    return path


def test_the_page_says_what_was_lost(tmp_path: Path) -> None:
    """First, in words; with its evidence; and nothing of a job can be mistaken for markup."""
    text = reliability.build(folder_of(tmp_path)).read_text()
    assert "3 jobs were accepted while 1 strike and 0 deaths" in text
    assert 'role="alert">1 job accepted and lost' in text
    assert "too few hits of a seam: after-store 0 of 1" in text
    assert "&lt;b&gt;queued" in text
    assert "<b>queued" not in text


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    """It can be sent by mail: no script, style sheet or picture of another host."""
    text = reliability.build(folder_of(tmp_path)).read_text()
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)


def test_the_course_of_the_storm_is_drawn(tmp_path: Path) -> None:
    """With a mark for each strike that says what it was."""
    text = reliability.build(folder_of(tmp_path)).read_text()
    assert "<title>kill-web</title>" in text
    assert 'aria-label="Jobs accepted and ended in each second' in text


def test_summary_and_terminal_say_the_same(tmp_path: Path) -> None:
    """For a CI log and for a person."""
    reliability.build(folder_of(tmp_path))
    summary, shown = (tmp_path / "summary.md").read_text(), reliability.terminal(tmp_path)
    for words in ("1 job accepted and lost", "kill-web", "after-store"):
        assert words in summary
        assert words in shown


def test_a_soak_draws_its_series(tmp_path: Path) -> None:
    """A line for each process, and an alarm for what grows."""
    table = {
        "title": "Memory", "how": "", "head": ["of", "verdict"], "rows": [["web 1", "GROWS"]], "alarm": [0],
        "charts": [[[0, 1.0], [10, 2.0]]],
    }  # fmt: skip
    soak = {"system": "queued", "lead": "It grows.", "unmet": ["memory of web 1 grows"], "tables": [table]}
    data = {"format": 1, "id": "x", "started": "s", "environment": {}, "soak": soak}
    (tmp_path / "chaos.json").write_text(json.dumps(data))
    text = reliability.build(tmp_path).read_text()
    assert "<polyline" in text
    assert 'class="failed"' in text


@pytest.mark.parametrize("content", ["", "[]", '{"format": 99}'])
def test_a_damaged_folder_is_one_line(tmp_path: Path, content: str) -> None:
    """Not a traceback."""
    (tmp_path / "chaos.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"chaos\.json"):
        reliability.build(tmp_path)
