"""What `bench up` makes of its options."""

from pathlib import Path

import pytest

from bench.spec import SpecError
from bench.up import Wish, resolve


def test_a_wish_becomes_a_trial() -> None:
    """Units are read as in experiment files; the box is never larger than the machine."""
    trial = resolve(Wish("queued", workers=3, deadline="6S", cpus=0.5, memory="512MiB"), Path("unused"))
    assert trial.system.workers == 3
    assert trial.gateway_timeout == pytest.approx(1.5)
    assert (trial.box.cpus, trial.box.memory) == (0.5, 512 * 2**20)


def test_the_bounded_rival_admits_what_the_deadline_allows(tmp_path: Path) -> None:
    """D times capacity: who is admitted can be served in time."""
    wish = Wish("bounded", workers=1, deadline="2s", cpus=1.0, input_file=given(tmp_path, "0.25"))
    trial = resolve(wish, Path("unused"))
    assert trial.connection_limit == 8


def given(folder: Path, text: str) -> Path:
    """A file with the input of each job."""
    path = folder / "input.json"
    path.write_text(text)
    return path


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    """Nobody likes to mend five mistakes in five tries."""
    file = given(tmp_path, "{")
    wrong = Wish("queue", workers=0, input_file=file, deadline="x", cpus=1000, memory="2", port=70000)
    with pytest.raises(SpecError) as caught:
        resolve(wrong, Path("unused"))
    lines = str(caught.value).splitlines()
    assert len(lines) == 7
    words = (
        "'queue'",
        "--workers",
        "--port",
        "--cpus",
        "--memory",
        "--deadline x: not a duration",
        "not a JSON file",
    )
    for line, word in zip(lines, words, strict=True):
        assert word in line


def test_a_function_of_the_users_needs_an_input_and_is_not_imported_here(tmp_path: Path) -> None:
    """Only its servers import it: it may be a model of gigabytes."""
    with pytest.raises(SpecError, match="--input is needed: a JSON file"):
        resolve(Wish("blocking", task="no.such:function"), Path("unused"))
    for text, value in (("1", 1), ("null", None)):
        wish = Wish("blocking", task="no.such:function", input_file=given(tmp_path, text))
        assert resolve(wish, Path("unused")).work.input == value


def test_an_input_that_the_task_refuses_is_refused_here(tmp_path: Path) -> None:
    """Before anything is started."""
    with pytest.raises(SpecError):
        resolve(Wish("blocking", task="spin", input_file=given(tmp_path, '"soon"')), Path("unused"))
