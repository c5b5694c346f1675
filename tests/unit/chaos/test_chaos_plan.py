"""The plan of a storm: what is struck, how often, when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.chaos.plan import KINDS, ROLES, SEAMS, Kind, Pace, plan

PACE = Pace(gap=5.0, broker=8.0, stop=12.0, cut=6.0, lead=2.0, tail=4.0)


def test_the_same_seed_gives_the_same_storm() -> None:
    """So that a storm that lost a job can be had again."""
    one = plan(7, PACE, rounds=5, seam_rounds=3, workers=2)
    assert one == plan(7, PACE, rounds=5, seam_rounds=3, workers=2)
    assert one != plan(8, PACE, rounds=5, seam_rounds=3, workers=2)


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(0, 4), st.integers(1, 5))
def test_everything_is_struck_as_often_as_asked(seed: int, rounds: int, seams: int, workers: int) -> None:
    """Each kind and each seam, whatever the seed; in order; with room before the first and after the last."""
    made = plan(seed, PACE, rounds=rounds, seam_rounds=seams, workers=workers)
    for kind in KINDS:
        assert sum(s.kind is kind for s in made.strikes) == rounds
    for seam in SEAMS:
        assert sum(s.seam == seam for s in made.strikes) == seams
    times = [s.at for s in made.strikes]
    assert times == sorted(times)
    assert times[0] >= PACE.lead
    assert made.span >= max(s.at + s.lasts for s in made.strikes) + PACE.tail - 1e-3
    assert all(0 <= s.worker < workers for s in made.strikes)


@given(st.integers(0, 10_000))
def test_a_pair_strikes_two_different_parts(seed: int) -> None:
    """Twice the same process at once would be one strike."""
    made = plan(seed, PACE, rounds=5, seam_rounds=0, workers=2)
    pairs = [s.parts for s in made.strikes if s.kind is Kind.PAIR]
    assert all(len(p) == 2 and ROLES[p[0]] != ROLES[p[1]] for p in pairs)
    assert len(set(pairs)) == len(pairs)


@given(st.integers(0, 10_000))
def test_what_lasts_lasts_and_the_rest_does_not(seed: int) -> None:
    """A stopped worker hangs for the time asked for, a killed one is gone at once."""
    for s in plan(seed, PACE, rounds=2, seam_rounds=1, workers=2).strikes:
        expected = max(
            (PACE.stop if p is Kind.STOP_WORKER else PACE.cut for p in s.parts if not p.startswith("kill")),
            default=0.0,
        )
        assert s.lasts == expected


def test_one_round_kills_the_broker_once() -> None:
    """Its boot takes longer than the rest of a short storm: the pair leaves it alone."""
    for seed in range(50):
        made = plan(seed, PACE, rounds=1, seam_rounds=1, workers=2)
        assert sum(Kind.KILL_BROKER in s.parts for s in made.strikes) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_alone(kind: Kind) -> None:
    """`--only kill-web`: nothing else happens."""
    made = plan(1, PACE, rounds=2, seam_rounds=3, workers=2, kinds=(kind,), seams=())
    assert [s.kind for s in made.strikes] == [kind] * 2


def test_nothing_at_all() -> None:
    """A storm without strikes is calm, not an error."""
    made = plan(1, PACE, rounds=2, seam_rounds=3, workers=2, kinds=(), seams=())
    assert (made.strikes, made.span) == ((), PACE.lead + PACE.tail)
