"""The jobs of a storm and the function that they are."""

from pathlib import Path

import pytest

from bench.chaos.stream import Mix, orders
from bench.chaos.work import OnPurpose, answer, given, run


def test_the_stream_spans_the_storm_evenly() -> None:
    """Each job in its own slot, so that none of the storm is without jobs."""
    made = orders(3, 1000, 50.0, Mix())
    assert all(n * 0.05 - 1e-3 <= o.at <= (n + 1) * 0.05 + 1e-3 for n, o in enumerate(made))
    assert made == orders(3, 1000, 50.0, Mix())
    assert made != orders(4, 1000, 50.0, Mix())


def test_shares_are_kept() -> None:
    """Of failing, keyless and repeating users."""
    made = orders(1, 10_000, 50.0, Mix(keyless=0.1, fails=0.2, push=0.25, repeats=0.5))
    assert 0.08 < sum(not o.keyed for o in made) / len(made) < 0.12
    assert 0.17 < sum(o.fails for o in made) / len(made) < 0.23
    assert not any(o.repeats and not o.keyed for o in made), "without a key a repeat is another job"


def test_a_failing_job_fails_once(tmp_path: Path) -> None:
    """Its second attempt gives the right answer, so every job can be done."""
    value = given(5, 0.0, str(tmp_path / "marker"))
    with pytest.raises(OnPurpose):
        run(value)
    assert run(value) == answer(5) == run(value)


def test_answers_differ() -> None:
    """A result given to the wrong job is seen."""
    assert len({answer(n) for n in range(1000)}) == 1000
