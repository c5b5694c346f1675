"""Lines for a terminal, and for those who read a pipe: whole, and wrapped once."""

import io

import pytest
from rich.console import Console
from rich.table import Table
from small_trial import small_trial

from bench.console import terminal
from bench.progress import Progress, fitted
from bench.sweep import Result


def test_a_line_that_changes_in_place_is_cut_before_its_eta() -> None:
    """How long it still takes is what is looked for; a second line would jump."""
    line = "trial 3 of 40  load: as-published-restarted × 2 at 0.8C  12 in time  ETA 1:23"
    assert fitted(line, 100) == line
    short = fitted(line, 60)
    assert len(short) == 60
    assert short.startswith("trial 3 of 40  load: as-published-restarted")
    assert short.endswith("…  ETA 1:23")
    assert fitted("bringing everything up", 10) == "bringing …"


def test_a_line_that_stays_is_never_broken() -> None:
    """`grep ETA` finds all of it in the log of a CI."""
    out = io.StringIO()
    progress = Progress(Console(file=out, width=40))
    progress.trial_started(small_trial("queued"), 1, 4, 23.0)
    progress.trial_ended(
        small_trial("queued"), Result("failed", "the gateway did not come up in twenty seconds")
    )
    (line,) = out.getvalue().splitlines()
    assert line.startswith("trial 1 of 4")
    assert "ETA 0:23" in line


def test_what_is_no_terminal_gets_whole_lines_as_they_stand(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets and colons are the user's own; a table keeps its columns."""
    console = terminal()
    said = f"task a:x: [bold] {'word ' * 40}end"
    console.print(said)
    table = Table("claim", "in words")
    table.add_row("01-[red]", "word " * 40)
    console.print(table)
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == said
    assert len(rest) > 4
    assert "01-[red]" in "".join(rest)
    assert max(map(len, rest)) <= console.width


def test_a_terminal_gets_text_wrapped_to_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """By words, once."""

    class Screen(io.StringIO):
        def isatty(self) -> bool:
            """It is one."""
            return True

    screen = Screen()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("COLUMNS", "40")
    terminal().print("word " * 20)
    lines = screen.getvalue().splitlines()
    assert len(lines) == 3
    assert all(set(line.split()) == {"word"} for line in lines)
