"""The response time of every delivered job, taken apart: send delay, accept, wait, service, discovery. Pure.

The instants of a job are its arrival, its sending, its acceptance (the 2xx), the start and the end of the
execution that delivered it, and the result in the client's hand. The journal places the execution; without
one, the service's own Server-Timing does (W3C Server Timing: durations in ms, here already in seconds).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from bench.analysis.tables import Flags, Floats, TrialRecords

STAGES = ("send", "accept", "wait", "service", "discovery")
"""In the order in which a job passes through them."""
TOLERANCE = 0.01
"""Parts whose sum differs from the response time by more than this share of it do not add up."""
CLOCK = 2e-6
"""Seconds that rounding alone can make of it: Unix time in a float64 has steps of 0.24 µs."""


@dataclass(frozen=True)
class Apart:
    """The window's delivered jobs, one row each, in order of arrival."""

    parts: Floats
    """Seconds in each of STAGES, shape (jobs, 5), none negative; NaN all along where nothing shows them."""
    response: Floats
    """Arrival → result, seconds."""
    timed: Flags
    """True where Server-Timing placed the execution, not the journal."""
    deviation: Floats
    """Server-Timing's service over the journal's, minus one, where both are known; else NaN."""

    @property
    def known(self) -> Flags:
        """Where wait and service are shown by something."""
        flags: Flags = np.isfinite(self.response + self.parts.sum(axis=1))
        return flags

    @property
    def adds_up(self) -> Flags:
        """Where the parts sum to the response time within TOLERANCE.

        Instants in their order always do. Where they are not (clocks that disagree, an execution that was not
        the job's), the stage that would be negative is 0, and the sum shows it.
        """
        off = np.abs(self.parts.sum(axis=1) - self.response)
        flags: Flags = off <= TOLERANCE * self.response + CLOCK
        return flags


@dataclass(frozen=True)
class Stages:
    """Mean seconds over the delivered jobs whose parts add up; NaN where there is none.

    Means, because they are additive: the five sum to `response`. Medians would not.
    """

    send: float = np.nan
    """Arrival → really sent: the generator's own lateness."""
    accept: float = np.nan
    """Sent → 2xx, or → start of the run where a fast worker had begun before the client read its 2xx. Nothing
    where one exchange is answered with the result: there the wait in the server is wait."""
    wait: float = np.nan
    """→ start of the execution that delivered, earlier attempts that failed or were cut included."""
    service: float = np.nan
    """The run itself."""
    discovery: float = np.nan
    """End of the run → the client has the result: stored, asked for, sent back."""
    response: float = np.nan
    """Mean response time of the same jobs."""
    delivered: int = 0
    """Jobs of the window with a verified result."""
    apart: int = 0
    """Of these, the jobs that the means are over."""
    unseen: int = 0
    """Of these, jobs of which neither journal nor Server-Timing shows the execution."""
    adrift: int = 0
    """Of these, jobs whose parts do not sum to the response time within 1 %."""
    timed: int = 0
    """Of the jobs taken apart, those that Server-Timing placed."""
    deviation: float = np.nan
    """Median over the jobs of Server-Timing's service over the journal's, minus one; NaN without both."""

    @property
    def parts(self) -> dict[str, float]:
        """Mean seconds by stage, in order."""
        return {name: float(getattr(self, name)) for name in STAGES}

    @property
    def longest(self) -> tuple[str, float]:
        """The stage that takes most of the mean response time, and its share; NaN where nothing is known."""
        parts = self.parts
        name = max(STAGES, key=lambda stage: parts[stage])
        return name, parts[name] / self.response if self.response > 0 else float("nan")


def stages(records: TrialRecords) -> Stages:
    """Means over one trial."""
    jobs = take_apart(records)
    good = jobs.known & jobs.adds_up
    both = jobs.deviation[np.isfinite(jobs.deviation)]
    found = Stages(
        delivered=len(jobs.response),
        apart=int(np.count_nonzero(good)),
        unseen=int(np.count_nonzero(~jobs.known)),
        adrift=int(np.count_nonzero(jobs.known & ~jobs.adds_up)),
        timed=int(np.count_nonzero(jobs.timed & good)),
        deviation=float(np.median(both)) if len(both) else np.nan,
    )
    if not found.apart:
        return found
    return _with_means(found, jobs.parts[good].mean(axis=0), float(jobs.response[good].mean()))


def pooled(each: Iterable[Stages]) -> Stages:
    """Repeats as one: means over all their jobs, so that the parts still sum to the response time."""
    held = list(each)
    shown = [s for s in held if s.apart]
    deviations = [s.deviation for s in held if np.isfinite(s.deviation)]
    found = Stages(
        delivered=sum(s.delivered for s in held),
        apart=sum(s.apart for s in held),
        unseen=sum(s.unseen for s in held),
        adrift=sum(s.adrift for s in held),
        timed=sum(s.timed for s in held),
        deviation=float(np.median(deviations)) if deviations else np.nan,
    )
    if not shown:
        return found
    weights = [s.apart for s in shown]
    means = np.average([list(s.parts.values()) for s in shown], axis=0, weights=weights)
    return _with_means(found, means, float(np.average([s.response for s in shown], weights=weights)))


def _with_means(found: Stages, means: Floats, response: float) -> Stages:
    send, accept, wait, service, discovery = (float(mean) for mean in means)
    return replace(
        found, send=send, accept=accept, wait=wait, service=service, discovery=discovery, response=response
    )


def take_apart(records: TrialRecords) -> Apart:
    """Take every delivered job of the window apart."""
    jobs = records.jobs
    rows = np.flatnonzero(jobs.window & jobs.is_("ok"))
    arrival, sent, done = jobs.arrival[rows], jobs.sent[rows], jobs.done[rows]
    accepted, run = jobs.accepted[rows], jobs.run[rows]
    start, end = (instants[rows] for instants in delivering(records))
    # Answered with the result itself: there is no acceptance apart from it.
    accepted = np.where(accepted < done - CLOCK, accepted, np.nan)
    journalled = np.isfinite(end)
    parts = np.where(
        journalled[:, None],
        _by_journal(sent, accepted, start, end, done),
        _by_timing(sent, accepted, jobs.wait[rows], run, done),
    )
    parts = np.column_stack([sent - arrival, parts])
    parts[~np.isfinite(parts).all(axis=1)] = np.nan
    service = end - start
    both = (service > 0) & np.isfinite(run)
    deviation = np.full(len(rows), np.nan)
    deviation[both] = run[both] / service[both] - 1
    return Apart(np.clip(parts, 0.0, None), done - arrival, ~journalled & np.isfinite(run), deviation)


def delivering(records: TrialRecords) -> tuple[Floats, Floats]:
    """Start and end of the execution that delivered each job, by the journal. NaN where none was complete.

    Of several complete ones it is the first to end, since its result was there first; but where a client
    asked again and was answered with the result itself, the last before its answer: the others' askers had
    left.
    """
    jobs, runs = records.jobs, records.executions
    start, end = np.full(len(jobs), np.nan), np.full(len(jobs), np.nan)
    whole = np.flatnonzero((runs.job >= 0) & np.isfinite(runs.end) & runs.ok)
    whole = whole[np.argsort(runs.end[whole], kind="stable")]
    again = (jobs.attempts > 1) & ~(jobs.accepted < jobs.done - CLOCK)
    late = whole[again[runs.job[whole]] & (runs.end[whole] <= jobs.done[runs.job[whole]] + CLOCK)][::-1]
    for chosen in (whole, late):
        owner, first = np.unique(runs.job[chosen], return_index=True)
        start[owner], end[owner] = runs.start[chosen[first]], runs.end[chosen[first]]
    return start, end


def _by_journal(sent: Floats, accepted: Floats, start: Floats, end: Floats, done: Floats) -> Floats:
    """Accept, wait, service, discovery from instants; `accepted` NaN: one exchange."""
    left = np.where(np.isfinite(accepted), np.fmin(accepted, start), sent)
    return np.column_stack([left - sent, start - left, end - start, done - end])


def _by_timing(sent: Floats, accepted: Floats, wait: Floats, run: Floats, done: Floats) -> Floats:
    """Accept, wait, service, discovery from what the service says that it spent.

    Its durations have no place on our clock: what is left of the response time is accept, as long as the
    client saw it last, then discovery. Of one exchange without a `wait` all the rest is wait: its network
    time is in it. A polled job without one can't be taken apart: its wait and discovery run into each other.
    """
    polled = np.isfinite(accepted)
    rest = done - sent - run
    waited = np.where(polled | np.isfinite(wait), wait, rest)
    rest = rest - waited
    accept = np.where(polled, np.minimum(accepted - sent, np.maximum(rest, 0.0)), 0.0)
    return np.column_stack([accept, waited, run, rest - accept])
