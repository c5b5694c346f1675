"""The validity gate: from what was found out about a trial to VALID, SATURATED or INVALID. Pure.

Throttling of the box is no reason: it is what a CPU cap does, and it is in the table.
"""

import math

from bench.analysis.trial.canary import FACTOR, feels_speed
from bench.analysis.trial.littles_law import Audit
from bench.analysis.trial.resources import Usage
from bench.analysis.trial.sending import ENOUGH_FOR_P99, Sending
from bench.analysis.trial.steadiness import Backlog
from bench.analysis.trial.validity import Reason, Validity
from bench.analysis.words import count, figure, percent, rate, seconds, sentence
from bench.plan import Trial, Work

MISSING = 0.02
"""Share of the arrivals by which the jobs sent may differ from the schedule."""
BUSY = 0.8
"""Cores that one process of the generator may use: it has one thread that computes."""


def judge(
    trial: Trial,
    *,
    sending: Sending,
    usage: Usage,
    problems: tuple[str, ...],
    audit: Audit,
    backlog: Backlog,
    offered: float,
    drift: str = "",
) -> Validity:
    """Everything that one trial's own records say against it, the gravest first.

    `drift`: what the generator said of workers' clocks that moved while it ran; empty: nothing.
    """
    reasons = [
        _arrivals(sending),
        _delay(sending),
        _little(audit),
        _ledger(problems),
        _busy(usage.generator_cpu / trial.processes),
        _clocks(drift),
        _throttled(usage),
        _over_capacity(trial, offered),
        _growing(backlog),
    ]
    return Validity(tuple(r for r in reasons if r is not None))


def _arrivals(sending: Sending) -> Reason | None:
    if sending.missing <= MISSING:
        return None
    return Reason(
        "arrivals",
        "INVALID",
        f"{sending.sent:,} of the {count(sending.due, 'job')} that were due went out, "
        f"{percent(sending.missing)} off the schedule where {percent(MISSING)} is allowed.",
        "The system was not under the load that the chart says: offer less, let fewer jobs be in flight at "
        "once, or drive it with more generator processes.",
    )


def _delay(sending: Sending) -> Reason | None:
    if not sending.late:
        return None
    few = sending.sent < ENOUGH_FOR_P99
    which = (
        f"the second latest of {count(sending.sent, 'job')} was sent {seconds(sending.delay)} late "
        f"(the latest {seconds(sending.latest)}; of fewer than {ENOUGH_FOR_P99} jobs that alone would be p99)"
        if few and sending.sent > 1
        else f"the p99 send delay is {seconds(sending.delay)}"
    )
    return Reason(
        "send_delay",
        "INVALID",
        f"The load generator was late: {which}, where {seconds(sending.allowed)} is allowed.",
        "Latencies count from the arrival, so its lateness is in them: leave the machine alone while it "
        "measures, offer less, or give the generator a core or a machine of its own.",
        again=True,
    )


def _little(audit: Audit) -> Reason | None:
    if audit.state != "disagrees":
        return None
    return Reason(
        "littles_law",
        "INVALID",
        f"Little's law does not hold: probes saw {figure(audit.sampled)} jobs in the system, the clients' "
        f"records say λ·W = {figure(audit.recorded)}.",
        "The records have too few jobs or too many, or wrong times: a fault of the harness or of its clocks. "
        "Please report it, with the run folder.",
    )


def _ledger(problems: tuple[str, ...]) -> Reason | None:
    if not problems:
        return None
    return Reason(
        "ledger",
        "INVALID",
        f"{sentence('; '.join(problems))}: the books do not balance.",
        "Clients and servers contradict each other about which jobs there were: look whether another client "
        "used the system meanwhile.",
    )


def _busy(cores: float) -> Reason | None:
    if not cores >= BUSY:
        return None
    return Reason(
        "generator_cpu",
        "INVALID",
        f"The load generator used {figure(cores)} of a core for each of its processes, "
        f"where {figure(BUSY)} is allowed.",
        "Above that it may be what was measured: offer less, poll less often, or use more generator "
        "processes.",
        again=True,
    )


def _clocks(drift: str) -> Reason | None:
    if not drift:
        return None
    return Reason(
        "clocks",
        "INVALID",
        f"The clock of a generator's worker moved against the others' while it ran: {drift.rstrip('.')}.",
        "Its jobs' times are off by about as much: have the machines' clocks kept by NTP, and measure again.",
        again=True,
    )


def _throttled(usage: Usage) -> Reason | None:
    if not usage.generator_throttled > 0:
        return None
    return Reason(
        "generator_throttled",
        "INVALID",
        "The load generator was stopped by a CPU quota in "
        f"{count(int(usage.generator_throttled), 'period')} of its own control group.",
        "Give the harness's own container or service more CPU than the box and the generator need together.",
        again=True,
    )


def _over_capacity(trial: Trial, offered: float) -> Reason | None:
    known = trial.system.kind != "external" and trial.capacity > 0
    open_ = trial.load.arrivals in ("poisson", "constant")
    if not (known and open_ and offered > trial.capacity):
        return None
    return Reason(
        "over_capacity",
        "SATURATED",
        f"{rate(offered)} were offered to a system that can do {rate(trial.capacity)} "
        f"(ρ {offered / trial.capacity:.2f}).",
        "Its figures belong to its window: a longer one would show longer waits. Compare shares and drain "
        "times there, and percentiles below capacity.",
    )


def _growing(backlog: Backlog) -> Reason | None:
    if not backlog.growing:
        return None
    return Reason(
        "growing",
        "SATURATED",
        f"The backlog grew by {figure(backlog.slope)} ± {figure(backlog.error)} jobs/s of the "
        f"{figure(backlog.offered)} offered.",
        "It was not steady: offer less, or warm up for longer, until it is.",
    )


def speed_reason(slowness: float, work: Work) -> Reason | None:
    """What a machine that was much slower or faster than beside the neighbouring trials means for this one.

    `slowness`: see `bench.analysis.trial.canary.slowness`; NaN is no reason.
    """
    if math.isnan(slowness) or 1 / FACTOR <= slowness <= FACTOR:
        return None
    how = f"{figure(slowness)} times slower" if slowness > 1 else f"{figure(1 / slowness)} times faster"
    text = f"The machine was {how} than beside the neighbouring trials, in CPU time of a fixed loop."
    if not feels_speed(work):
        advice = f"{work.task} takes the same time at any speed; only what surrounds it does not."
        return Reason("speed", "VALID", text, advice)
    return Reason(
        "speed",
        "INVALID",
        text,
        "Its jobs took another time than those it is compared with: run it again when the machine is steady.",
        again=True,
    )
