"""What really happened, from the server's own log and the planned arrivals.

Independent of `bench.analysis` on purpose: nothing here is shared with what it is to judge. Pure.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.load.arrivals import phase_of, schedule
from bench.plan import Load, Trial


@dataclass(frozen=True)
class Truth:
    """One load on one server. Times in seconds, rates per second."""

    counts: Mapping[str, int]
    """By the names of `bench.analysis.trial.ledger.Ledger`."""
    times: tuple[float, ...] | None
    """From the planned arrival to the answer, sorted, infinity where no result came; None for closed users,
    whose jobs are not planned."""
    rates: Mapping[str, float] | None
    """offered, goodput, throughput; None where the load has no window that is known in advance."""
    at_work: float = math.nan
    """Mean number of jobs at the server over the window."""

    @property
    def timeout_share(self) -> float:
        """Share of the arrivals without a correct result in time."""
        arrivals = self.counts["arrivals"]
        return (arrivals - self.counts["in_time"]) / arrivals if arrivals else math.nan

    @property
    def mean(self) -> float:
        """Of the times of delivered jobs; NaN where none was or is known."""
        delivered = [t for t in self.times or () if t < math.inf]
        return math.fsum(delivered) / len(delivered) if delivered else math.nan

    def percentile(self, p: float) -> float | None:
        """The least time that at least the share p does not exceed; None where fewer than 3 are beyond it.

        Counted, not computed: for every value how many are at or below it (the definition of the inverse
        of the empirical distribution function, Hyndman & Fan 1996, type 1).
        """
        times = self.times or ()
        if round(len(times) * (1 - p), 6) < 3:
            return None
        needed = round(len(times) * p, 6)
        return next(value for n, value in enumerate(times, start=1) if n >= needed)


@dataclass(frozen=True)
class _Seen:
    """What the log says of one job."""

    did: str
    received: float
    result: float
    """When its result was sent, infinity where it never was."""


def read_log(lines: Iterable[str], load: str) -> list[dict[str, Any]]:
    """The exchanges of one load."""
    rows = (json.loads(line) for line in lines)
    return [row for row in rows if row.get("load") == load and row["id"]]


def truth(trial: Trial, rows: Sequence[Mapping[str, Any]], started: float) -> Truth:
    """Join plan and log. `started`: Unix time at which the load began.

    Jobs reach the server in the order in which they are due, so the n-th that it received is the n-th that
    was planned; planned ones beyond those received were never sent.
    """
    seen = _jobs(rows)
    load, deadline = trial.load, trial.deadline
    if load.arrivals == "closed":
        counts = _counts([(s, s.received) for s in seen], 0, deadline)
        spent = math.fsum(s.result - s.received for s in seen if _right(s))
        return Truth(counts, None, None, spent / load.window)
    due = schedule(load, trial.seed)
    met = [(s, started + d) for s, d in zip(seen, due, strict=False) if phase_of(load, d) == "window"]
    unsent = sum(phase_of(load, d) == "window" for d in due[len(seen) :])
    times = [s.result - arrival if _right(s) else math.inf for s, arrival in met]
    return Truth(
        _counts(met, unsent, deadline),
        tuple(sorted(times + [math.inf] * unsent)),
        _rates(load, started, seen, len(met) + unsent, sum(t <= deadline for t in times)),
    )


def _jobs(rows: Sequence[Mapping[str, Any]]) -> list[_Seen]:
    """One entry a job, in the order in which they were received."""
    results = {row["id"]: row["answered"] for row in reversed(rows) if row["what"] == "result"}
    seen = [
        _Seen(
            row["did"],
            row["received"],
            row["answered"] if row["what"] == "run" else results.get(row["id"], math.inf),
        )
        for row in rows
        if row["what"] in ("run", "submit")
    ]
    return sorted(seen, key=lambda s: s.received)


def _right(seen: _Seen) -> bool:
    return seen.did in ("serve", "slow", "twice") and seen.result < math.inf


def _counts(met: Sequence[tuple[_Seen, float]], unsent: int, deadline: float) -> dict[str, int]:
    spent = [s.result - arrival for s, arrival in met if _right(s)]

    def did(*deeds: str) -> int:
        return sum(s.did in deeds for s, _ in met)

    return {
        "arrivals": len(met) + unsent,
        "in_time": sum(t <= deadline for t in spent),
        "late": sum(t > deadline for t in spent),
        "rejected": did("503"),
        "gateway_timeout": did("504"),
        "gave_up": 0,  # no script makes a client wait for longer than it does
        "error": did("close"),
        "wrong": did("wrong"),
        "dropped": unsent,
        "lost": did("lose"),
        "unfinished": sum(s.did in ("serve", "slow", "twice") and not _right(s) for s, _ in met),
        "duplicated": did("twice"),
    }


def _rates(
    load: Load, started: float, seen: Sequence[_Seen], arrivals: int, in_time: int
) -> dict[str, float] | None:
    if load.arrivals == "burst":
        return None
    begin = started + load.warmup
    inside = sum(_right(s) and begin <= s.result <= begin + load.window for s in seen)
    return {
        "offered": arrivals / load.window,
        "goodput": in_time / load.window,
        "throughput": inside / load.window,
    }
