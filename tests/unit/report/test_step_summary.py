"""The summary of a CI job: appended, never too long, never worth a failure."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bench.report.step_summary import CUT, LIMIT, VARIABLE, append, fitting


def test_it_is_appended_to_what_is_there(tmp_path: Path) -> None:
    """Other steps of the job have their own words."""
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    assert append("# Run – 3 µs", {VARIABLE: str(file)})
    assert append("# Again", {VARIABLE: str(file)})
    assert file.read_text(encoding="utf-8") == "before\n# Run – 3 µs\n# Again\n"


def test_outside_of_ci_nothing_is_written(tmp_path: Path) -> None:
    """No variable, or an empty one."""
    assert not append("# Run", {})
    assert not append("# Run", {VARIABLE: ""})


def test_a_summary_that_can_not_be_written_fails_nothing(tmp_path: Path) -> None:
    """A folder, a place that is not there, a name that can't be; and text that is not Unicode."""
    for name in (str(tmp_path), str(tmp_path / "gone" / "summary.md"), "\0"):
        assert not append("# Run", {VARIABLE: name})
    file = tmp_path / "summary.md"
    assert append("odd \ud800", {VARIABLE: str(file)})
    assert file.read_text() == "odd ?\n"


def test_never_more_than_github_takes(tmp_path: Path) -> None:
    """Of a longer file it would show nothing at all; a second summary finds no room and leaves the first."""
    file = tmp_path / "summary.md"
    assert append("a line of a long table\n" * 100_000, {VARIABLE: str(file)})
    kept = file.read_bytes()
    assert len(kept) <= LIMIT
    assert kept.decode().endswith(f"a line of a long table\n{CUT}")
    assert not append("and another\n" * 1000, {VARIABLE: str(file)})
    assert file.read_bytes() == kept


@given(st.text(max_size=300), st.integers(min_value=-5, max_value=400))
def test_what_is_kept_fits_and_is_the_beginning(text: str, room: int) -> None:
    """Whole lines, so that no character and no table row is torn."""
    content = text.encode("utf-8", "replace")
    kept = fitting(content, room)
    assert len(kept) <= max(0, room)
    if kept != content and kept:
        assert content.startswith(kept.removesuffix(CUT.encode()))
        assert kept.decode()
