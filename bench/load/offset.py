"""How far another machine's clock is ahead of ours, from questions and answers that carry the time. Pure.

As NTP does it (Mills et al., RFC 5905, section 8): with the instants of asking and of the answer by our
clock, and of hearing and of saying by the other's, the offset is half of what the way there seems to have
taken longer than the way back. It is wrong by half of what the ways differ, so by half the round trip at
most; of many exchanges the one with the least round trip says most (section 10, the clock filter).
"""

from collections.abc import Iterable
from dataclasses import dataclass

LEAST_LIMIT = 0.005
"""Seconds."""
SHARE_OF_DEADLINE = 0.02


@dataclass(frozen=True)
class Exchange:
    """One question and its answer. Seconds: `asked` and `answered` by our clock, the others by theirs."""

    asked: float
    heard: float
    said: float
    answered: float

    @property
    def ahead(self) -> float:
        """How far their clock seems to be ahead of ours."""
        return ((self.heard - self.asked) + (self.said - self.answered)) / 2

    @property
    def round_trip(self) -> float:
        """Seconds on the way, there and back."""
        return max(0.0, (self.answered - self.asked) - (self.said - self.heard))


@dataclass(frozen=True)
class Offset:
    """What is known of another clock. Seconds."""

    ahead: float
    uncertainty: float

    @property
    def correction(self) -> float:
        """What to take from their instants to have them in our time.

        Nothing, where the offset can't be told from none: the clocks of two processes of one machine are one
        clock, and correcting it by what was measured would only put the error of the measurement in.
        """
        return 0.0 if abs(self.ahead) <= self.uncertainty else self.ahead


def best(exchanges: Iterable[Exchange]) -> Offset:
    """The offset by the quickest exchange, known to half its round trip. Raises ValueError without any."""
    quickest = min(exchanges, key=lambda exchange: exchange.round_trip)
    return Offset(quickest.ahead, quickest.round_trip / 2)


def moved(before: Offset, after: Offset) -> float:
    """Seconds by which two clocks have certainly drifted apart; 0 when both measurements fit one offset."""
    return max(0.0, abs(after.ahead - before.ahead) - before.uncertainty - after.uncertainty)


def limit(deadline: float) -> float:
    """Seconds by which the clocks of a load may be uncertain: max(5 ms, 2 % of the deadline).

    Response times are taken by one clock each, so an offset moves no percentile; it moves jobs against one
    another and against what the servers wrote down, and there this much is not seen.
    """
    return max(LEAST_LIMIT, SHARE_OF_DEADLINE * deadline)
