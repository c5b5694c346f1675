"""Whether, and after which pause, a client tries again. Pure: instants and chance are handed in.

Policies and limits are the ones in use: exponential back-off with full jitter (Brooker, "Exponential Backoff
And Jitter", AWS Architecture Blog, 2015; "Timeouts, retries, and backoff with jitter", Amazon Builders'
Library), and a budget that bounds retries to a share of all requests (Beyer et al., Site Reliability
Engineering, chapter 21, "Handling Overload"; Finagle's RetryBudget).
"""

import random
from collections import deque
from collections.abc import Callable

from bench.load.answers import Answer, retry_after
from bench.plan import Retry

PASSING = frozenset({0, 429, 502, 503, 504})
"""Statuses after which another attempt may go better: no answer in time or at all, or something on the way
restarts or is full."""


class Budget:
    """At most a share of all attempts of a sliding window may be retries, whoever makes them."""

    def __init__(self, share: float, window: float) -> None:
        """`window` in seconds. A share of 0: there is no limit."""
        self._share = share
        self._window = window
        self._attempts: deque[float] = deque()
        self._retries: deque[float] = deque()

    def first(self, now: float) -> None:
        """Count a first attempt, which needs nobody's leave."""
        self._attempts.append(now)

    def take(self, now: float) -> bool:
        """Count a retry where there is room for it; False where there is none, and it must not be made."""
        for instants in (self._attempts, self._retries):
            while instants and instants[0] <= now - self._window:
                instants.popleft()
        if self._share and len(self._retries) + 1 > self._share * (len(self._attempts) + 1):
            return False
        self._attempts.append(now)
        self._retries.append(now)
        return True


def backoff(retry: Retry, attempt: int) -> float:
    """Seconds of pause after the `attempt`-th attempt (from 1) failed: min(cap, base × 2^(attempt - 1))."""
    return min(retry.cap, retry.base * 2.0 ** (attempt - 1))


class Retries:
    """The retries of all clients of one load: one policy, one budget, one source of chance."""

    def __init__(self, retry: Retry, seed: int, now: Callable[[], float]) -> None:
        """`now` gives the instant at which something is asked, in seconds of any clock."""
        self.retry = retry
        self._budget = Budget(retry.budget, retry.budget_window)
        self._draw = random.Random(seed)
        self._now = now

    def first(self) -> None:
        """Count a job's first attempt."""
        self._budget.first(self._now())

    def pause(self, attempt: int, answer: Answer) -> float | None:
        """Seconds until the next attempt, given the answer to the `attempt`-th (from 1); None: there is none.

        Who backs off heeds Retry-After, and comes after it by its own pause, so that not all who were sent
        away together come back together. Who retries at once heeds nothing.
        """
        retry = self.retry
        if retry.policy == "none" or attempt >= retry.attempts or answer.status not in PASSING:
            return None
        if not self._budget.take(self._now()):
            return None
        if retry.policy == "immediate":
            return 0.0
        own = backoff(retry, attempt)
        if retry.policy == "jitter":
            own *= self._draw.random()
        return retry_after(answer.header("retry-after")) + own
