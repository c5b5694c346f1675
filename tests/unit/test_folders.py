"""Where a call may write is known before anything runs; what an interruption leaves is of use, or gone."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from test_command_line import said

from bench import exits, folders
from bench.chaos import ladder, soak, storm
from bench.interrupt import Interrupted

NOWHERE = "/proc/queuebench"
"""Root may write there as far as permissions tell, but nobody can."""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run quick --json {no}/x.json", "--json {no}/x.json: its folder can't be made"),
        ("run quick --reports {no}", "--reports {no}: can't be made"),
        ("run quick --reports {file}", "--reports {file}: is not a folder"),
        ("run quick --markdown {file}/a/x", "--markdown {file}/a/x: its folder can't be made ({file} is"),
        ("report . --junit {no}/x.xml", "--junit {no}/x.xml: its folder can't be made"),
        ("ab queued gunicorn --reports {no}", "--reports {no}: can't be made"),
        ("find queued --slo p95<2s --reports {no}", "--reports {no}: can't be made"),
        ("chaos --output {no}", "--output {no}: can't be made"),
        ("chaos --ladder --output {file}", "--output {file}: is not a folder"),
        ("soak --output {no}", "--output {no}: can't be made"),
        ("reproduce --output {no}", "--output {no}: can't be made"),
        ("selftest --output {no}", "--output {no}: can't be made"),
        ("up queued --logs {no}", "--logs {no}: can't be made"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_told_before_anything_runs(tmp_path, monkeypatch, capsys, line, words):
    """One line with the option, exit code 2, and nothing is left of the trying."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    names = {"no": NOWHERE, "file": tmp_path / "file"}
    code, out, err = said(monkeypatch, capsys, *line.format(**names).split())
    assert (code, out, err.count("\n")) == (exits.USAGE, "", 1)
    assert err.startswith(f"bench: {words.format(**names)}")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_trying_leaves_what_is_there_as_it_is(tmp_path: Path) -> None:
    """Folders above that do not exist yet are none of its business afterwards either."""
    (tmp_path / "old.json").write_text("kept")
    assert folders.file_trouble(tmp_path / "old.json") is None
    assert folders.trouble(tmp_path / "a" / "b" / "c") is None
    assert folders.file_trouble(Path("/dev/null")) is None
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
    assert (tmp_path / "old.json").read_text() == "kept"


def stopped(*_: object, **__: object) -> None:
    """Ctrl-C."""
    raise Interrupted


@pytest.mark.parametrize(
    ("module", "name", "wish"),
    [
        (storm, "storm", storm.Wish),
        (ladder, "_climb", ladder.Wish),
        (soak, "_soak", soak.Wish),
    ],
)
def test_interrupted_before_anything_was_measured_no_folder_is_left(
    tmp_path, monkeypatch, module, name, wish
):
    """A folder of logs is of no use to anybody."""
    monkeypatch.setattr(module, name, stopped)
    out = io.StringIO()
    assert module.run(wish(output=tmp_path / "out"), Console(file=out, soft_wrap=True)) == exits.INTERRUPTED
    assert out.getvalue().endswith("interrupted; everything that was started has been ended\n")
    assert list(tmp_path.iterdir()) == []


def test_interrupted_later_it_says_where_the_records_lie(tmp_path, monkeypatch):
    """The samples of a soak, and that nothing goes on from there."""

    def soaked(wish, folder, show, samples):
        samples.append((1.0, {("memory", "web 1"): 3.0}))
        raise Interrupted

    monkeypatch.setattr(soak, "_soak", soaked)
    out, folder = io.StringIO(), tmp_path / "out"
    assert soak.run(soak.Wish(output=folder), Console(file=out, soft_wrap=True)) == exits.INTERRUPTED
    lies = f"What was recorded lies in {folder}; it can't be continued: begin again.\n"
    assert out.getvalue().endswith(lies)
    assert "memory: web 1" in (folder / "samples.jsonl").read_text()
