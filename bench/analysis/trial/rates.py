"""Rates over the window, the drain, and what polling costs. Pure."""

from dataclasses import dataclass

import numpy as np

from bench.analysis.tables import REQUEST_KINDS, TrialRecords
from bench.analysis.trial.ledger import Ledger

CPU_PER_POLL = 0.0018
"""Seconds of the server's CPU that one poll was measured to cost (Flask and one Redis GET)."""


@dataclass(frozen=True)
class Rates:
    """Per second of `span`; NaN where the trial has no span to speak of (a burst arrives in no time)."""

    span: float
    """Seconds: the window, or for closed users from the first job to the last result."""
    offered: float
    """Realised arrivals per second."""
    goodput: float
    """Correct results in time per second, of the window's arrivals."""
    throughput: float
    """Correct results per second that reached clients during the span, whenever they were asked for."""


def rates(records: TrialRecords, counted: Ledger) -> Rates:
    """Normalise by what really happened, not by the nominal rate."""
    nan = float("nan")
    arrivals = records.trial.load.arrivals
    if arrivals == "burst":
        return Rates(nan, nan, nan, nan)
    start, end = records.span
    span = end - start
    if span <= 0 or not counted.arrivals:
        return Rates(nan, nan, nan, nan)
    done = records.jobs.done[records.jobs.is_("ok")]
    inside = int(np.count_nonzero((done >= start) & (done <= end)))
    return Rates(span, counted.arrivals / span, counted.in_time / span, inside / span)


@dataclass(frozen=True)
class Drain:
    """How long the system took to come to rest after the last arrival."""

    seconds: float
    """From the end of the window (from the arrival of a burst) until the last job ended for its client."""
    complete: bool
    """False: cut off with jobs still open, so that `seconds` is a lower bound."""
    all_delivered: bool
    """Whether every accepted job got its result."""


def drain(records: TrialRecords) -> Drain:
    """Measure the drain of one trial; NaN seconds where nothing arrived."""
    jobs = records.jobs
    if not len(jobs):
        return Drain(float("nan"), False, False)
    last_arrival = records.window[1] if records.trial.load.arrivals != "burst" else float(jobs.arrival[-1])
    open_ = jobs.is_("unfinished")
    accepted = np.isfinite(jobs.accepted)
    return Drain(
        seconds=max(0.0, records.end - last_arrival),
        complete=not bool(open_.any()),
        all_delivered=bool((jobs.is_("ok") | ~accepted).all()),
    )


def send_delay_p99(records: TrialRecords) -> float:
    """99th percentile (the maximum below 100 jobs) of arrival → really sent, seconds: the generator's own
    lateness. NaN where nothing was sent.
    """
    delay = (records.jobs.sent - records.jobs.arrival)[records.jobs.window]
    delay = np.sort(delay[np.isfinite(delay)])
    return float(delay[int(np.ceil(0.99 * len(delay))) - 1]) if len(delay) else float("nan")


@dataclass(frozen=True)
class Polling:
    """What asking "is it ready?" costs. Zero everywhere for a system that is not polled."""

    polls: int = 0
    per_job: float = 0.0
    per_second: float = 0.0
    """Polls per second of the window."""
    box_share: float = 0.0
    """Estimated share of the box's CPU spent on polls: per second × 1.8 ms / cpus."""
    requests_per_second: float = 0.0
    """All HTTP requests per second of the window, polls included, as measured."""


def polling(records: TrialRecords) -> Polling:
    """Count polls and requests in the window (the whole trial where it has no window)."""
    start, end = records.span
    span = end - start
    sent, kind = records.requests.sent, records.requests.kind
    inside = (sent >= start) & (sent <= end)
    total = int(records.jobs.polls[records.jobs.window].sum())
    polled = int(np.count_nonzero(inside & (kind == REQUEST_KINDS.index("poll"))))
    if not len(sent) and total:  # the requests were not kept: spread the jobs' own count
        polled = total
    counted = max(1, int(np.count_nonzero(records.jobs.window)))
    per_second = polled / span if span > 0 else 0.0
    return Polling(
        polls=total,
        per_job=total / counted,
        per_second=per_second,
        box_share=per_second * CPU_PER_POLL / max(records.trial.box.cpus, 1e-9),
        requests_per_second=float(np.count_nonzero(inside)) / span if span > 0 else 0.0,
    )
