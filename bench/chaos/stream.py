"""Which jobs come when, and how their users behave: seeded and pure."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Order:
    """One job as its user means it."""

    number: int
    at: float
    """Seconds after the storm's beginning."""
    spend: float
    """Seconds the job takes."""
    keyed: bool
    """Whether its submission carries an Idempotency-Key, so that it may be repeated without harm."""
    fails: bool
    """Whether its first attempt fails on purpose."""
    push: bool
    """Whether its user asks by long-poll."""
    repeats: bool
    """Whether its user submits it once more, with the same key, when it has long ended."""


@dataclass(frozen=True)
class Mix:
    """Shares of the jobs, from 0 to 1."""

    keyless: float = 0.1
    fails: float = 0.1
    push: float = 0.5
    repeats: float = 0.05
    spend: tuple[float, float] = (0.005, 0.025)
    """Seconds of the shortest and of the longest job."""


def orders(seed: int, jobs: int, span: float, mix: Mix) -> list[Order]:
    """So many jobs, evenly over `span` seconds but for their place within their slot."""
    rng = random.Random(f"stream {seed}")
    slot = span / max(1, jobs)
    made = []
    for number in range(jobs):
        keyed = rng.random() >= mix.keyless
        made.append(
            Order(
                number=number,
                at=round((number + rng.random()) * slot, 4),
                spend=round(rng.uniform(*mix.spend), 4),
                keyed=keyed,
                fails=rng.random() < mix.fails,
                push=rng.random() < mix.push,
                repeats=keyed and rng.random() < mix.repeats,
            )
        )
    return made
