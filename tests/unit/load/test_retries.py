"""Retry policies: when a client tries again, and when it must not. Pure."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load.answers import Answer
from bench.load.retries import PASSING, Budget, Retries, backoff
from bench.plan import Retry

retries = st.builds(
    Retry,
    policy=st.sampled_from(["backoff", "jitter"]),
    attempts=st.integers(2, 12),
    base=st.floats(0.001, 10),
    cap=st.floats(0.001, 100),
)


def answer(status: int = 503, **headers: str) -> Answer:
    """What came back; status 0: nothing."""
    return Answer(0.0, 1.0, status, {k.replace("_", "-"): v for k, v in headers.items()})


def asked(retry: Retry, attempt: int, got: Answer, seed: int = 1) -> float | None:
    """The pause of a client that made its first attempt and is at this one."""
    one = Retries(retry, seed, lambda: 0.0)
    one.first()
    return one.pause(attempt, got)


@given(retries, st.integers(1, 11))
def test_backoff_doubles_from_base_and_never_exceeds_its_cap(retry, attempt):
    """The formula of the AWS Architecture Blog: min(cap, base × 2^n)."""
    pause = backoff(retry, attempt)
    assert 0 < pause <= retry.cap
    assert pause <= backoff(retry, attempt + 1)
    if pause < retry.cap:
        assert pause == pytest.approx(retry.base * 2 ** (attempt - 1))


@given(retries, st.integers(1, 11), st.integers(0, 2**32))
def test_jitter_lies_between_nothing_and_the_full_pause(retry, attempt, seed):
    """Full jitter: uniform between 0 and what back-off without jitter would wait."""
    pause = asked(retry, attempt, answer(), seed)
    if attempt >= retry.attempts:
        assert pause is None
    elif retry.policy == "jitter":
        assert 0 <= pause <= backoff(retry, attempt)
    else:
        assert pause == backoff(retry, attempt)


def test_jitter_spreads_clients_over_the_whole_pause():
    """Who failed together must not come back together."""
    one = Retries(Retry("jitter", attempts=2, base=8, cap=8), 3, lambda: 0.0)
    pauses = [one.pause(1, answer()) for _ in range(400)]
    assert min(pauses) < 1
    assert max(pauses) > 7
    assert 3 < sum(pauses) / len(pauses) < 5


@pytest.mark.parametrize("policy", ["backoff", "jitter"])
def test_the_polite_heed_retry_after_and_come_later_still(policy):
    """Earlier is not allowed, and all at that very second would be the next rush."""
    retry = Retry(policy, attempts=3, base=2, cap=2)
    pause = asked(retry, 1, answer(503, retry_after="7"))
    assert 7 <= pause <= 9


def test_the_careless_heed_nothing():
    """They are the storm."""
    assert asked(Retry("immediate", attempts=3), 1, answer(503, retry_after="7")) == 0.0


@pytest.mark.parametrize("status", [200, 202, 400, 404, 409, 422, 500])
def test_what_would_fail_again_is_not_tried_again(status):
    """A 500 or a 4xx other than 429 is an answer."""
    assert asked(Retry("immediate", attempts=9), 1, answer(status)) is None


@pytest.mark.parametrize("status", sorted(PASSING))
def test_what_may_pass_is_tried_until_the_attempts_are_used_up(status):
    """429, 502, 503, 504, and no answer at all."""
    retry = Retry("immediate", attempts=3)
    assert [asked(retry, n, answer(status)) for n in (1, 2, 3)] == [0.0, 0.0, None]


def test_without_a_policy_the_first_failure_is_the_end():
    """Which is what every other experiment measures."""
    assert asked(Retry(), 1, answer(0)) is None


steps = st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=200)


@given(steps, st.sampled_from([0.05, 0.1, 0.25, 0.5]), st.floats(0.5, 10))
def test_a_budget_is_never_exceeded_and_never_wasted(steps, share, window):
    """Whenever a retry is let through, retries are at most their share of the window's attempts, itself
    included; one that is refused would have been too many.
    """
    budget, now = Budget(share, window), 0.0
    made: list[tuple[float, bool]] = []
    for ahead, retry in steps:
        now += ahead
        if not retry:
            budget.first(now)
            made.append((now, False))
            continue
        recent = [r for t, r in made if t > now - window]
        fits = sum(recent) + 1 <= share * (len(recent) + 1)
        assert budget.take(now) is fits
        if fits:
            made.append((now, True))


def test_a_budget_is_shared_by_all_clients_of_the_load():
    """A hundred clients whose first attempts all fail get 10 % of all attempts as retries, not a hundred."""
    one = Retries(Retry("immediate", attempts=9, budget=0.1), 1, lambda: 0.0)
    for _ in range(100):
        one.first()
    allowed = sum(one.pause(1, answer()) is not None for _ in range(100))
    assert allowed == 11  # 11 of 111
    assert allowed <= 0.1 * (100 + allowed)


def test_what_left_the_window_makes_no_room():
    """An hour of quiet traffic long ago does not pay for a storm now."""
    budget = Budget(0.1, window=10)
    for _ in range(1000):
        budget.first(0.0)
    assert budget.take(9.0)
    assert not budget.take(20.0)


def test_the_same_seed_gives_the_same_pauses():
    """A repeat of a trial differs in what the system does, not in what its clients draw."""
    retry = Retry("jitter", attempts=9, base=1, cap=60)
    draws = [[asked(retry, n, answer(), seed) for n in range(1, 9)] for seed in (5, 5, 6)]
    assert draws[0] == draws[1] != draws[2]
    assert random.Random(5).random() == pytest.approx(draws[0][0])
