"""`bench chaos` and `bench soak`, called wrongly."""

from pathlib import Path

import pytest

from bench.chaos import soak, storm
from bench.spec import SpecError


@pytest.mark.parametrize(
    ("wish", "line"),
    [
        (storm.Wish(system="blocking"), "--system 'blocking': choose one of as-published"),
        (storm.Wish(jobs=0), "--jobs must be from 1 to 1000000"),
        (storm.Wish(workers=0), "--workers must be from 1 to 64"),
        (storm.Wish(kinds=("kill-cat",)), "--only kill-cat: the kinds are kill-worker"),
    ],
)
def test_a_storm_that_makes_no_sense(wish: storm.Wish, line: str) -> None:
    """One line for each mistake, before anything is started."""
    with pytest.raises(SpecError) as told:
        storm.check(wish)
    assert str(told.value).startswith(line)
    assert len(str(told.value).splitlines()) == 1


def test_all_mistakes_at_once() -> None:
    """Nobody wants to hear of them one after another."""
    with pytest.raises(SpecError) as told:
        storm.check(storm.Wish(system="x", jobs=-1, workers=100))
    assert len(str(told.value).splitlines()) == 3


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    """The records of another storm are not written over."""
    (tmp_path / "jobs.jsonl").write_text("")
    for check in (lambda: storm.check(storm.Wish(output=tmp_path)),
                  lambda: soak.check(soak.Wish(output=tmp_path))):  # fmt: skip
        with pytest.raises(SpecError, match="there is something in it already"):
            check()


@pytest.mark.parametrize(
    ("wish", "line"),
    [
        (soak.Wish(minutes=0), "--minutes must be"),
        (soak.Wish(load=1.0), "--load must be from 0.01 to 0.99"),
        (soak.Wish(system="as-published"), "--system 'as-published': choose one of queued"),
    ],
)
def test_a_soak_that_makes_no_sense(wish: soak.Wish, line: str) -> None:
    """As above."""
    with pytest.raises(SpecError) as told:
        soak.check(wish)
    assert str(told.value).startswith(line)


def test_defaults_are_what_the_proof_asks_for() -> None:
    """10,000 jobs, each kind at least five times, each seam three; 200 jobs and once with --short."""
    long, short = storm.Wish().weather, storm.Wish(short=True).weather
    assert (long.jobs, long.least_kinds, long.least_seams) == (10_000, 5, 3)
    assert (short.jobs, short.least_kinds, short.least_seams) == (200, 1, 1)
    for weather in (long, short):
        assert weather.pace.stop > 2 * weather.heartbeat
        assert weather.pace.stop > weather.lease
