"""What the command line says to those who mistype: one line on stderr that names what they wrote."""

import sys

import pytest

from bench import cli, exits
from bench.reproduce.claim import built_in


def said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a call."""
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nope", "nope: no such command (bench --help)"),
        ("repotr x", "repotr: no such command; did you mean 'report'? (bench --help)"),
        ("report", "run_folder is needed (bench report --help)"),
        ("plan", "--rate is needed (bench plan --help)"),
        ("run quick --seed x", "--seed x: not a whole number (bench run --help)"),
        ("run quick --seed -1", "--seed -1: must be 0 or more (bench run --help)"),
        ("run quick --seed", "--seed: its value is missing (bench run --help)"),
        ("run quick --again -1", "--again -1: must be 0 or more (bench run --help)"),
        ("run --quik", "--quik: no such option; did you mean --junit? (bench run --help)"),
        ("ab a b --pairs 0", "--pairs 0: must be 1 or more (bench ab --help)"),
        ("soak --minutes long", "--minutes long: not a number (bench soak --help)"),
        ("doctor foo", "foo: more than is asked for (bench doctor --help)"),
        ("run quick --resume x", "give an experiment or --resume, not both: the run knows what it measures"),
        ("up queued --deadline 0s", "--deadline 0s: must be above 0"),
        ("run quick --task a:x", "task a:x: importing a failed: ModuleNotFoundError: No module named 'a'"),
    ],
)
def test_a_slip_is_one_line_that_names_what_was_written(monkeypatch, capsys, line, words):
    """Exit code 2, as it was written, with no emoji in the place of `:x:`."""
    assert said(monkeypatch, capsys, *line.split()) == (exits.USAGE, "", f"bench: {words}\n")


def test_without_any_word_it_says_what_there_is(monkeypatch, capsys):
    """The verbs, on stdout."""
    code, out, err = said(monkeypatch, capsys)
    assert (code, err) == (exits.FINE, "")
    assert all(verb in out for verb in cli.VERBS)


def test_the_names_that_only_takes_are_whole_on_eighty_columns(monkeypatch, capsys):
    """`bench reproduce --list` is where they are copied from; who claimed it is shown where there is room."""
    names = [claim.id for claim in built_in()]
    for columns, sourced in (("80", False), ("160", True)):
        monkeypatch.setenv("COLUMNS", columns)
        code, out, _ = said(monkeypatch, capsys, "reproduce", "--list")
        assert code == exits.FINE
        assert all(f" {name} " in out for name in names)
        assert ("source" in out.splitlines()[1]) is sourced
