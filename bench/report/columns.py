"""The columns of a trial's row, for trials.csv and for the page: one definition for both. Pure."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.analysis import Figures
from bench.analysis.trial.latency import Percentiles
from bench.analysis.trial.overhead import COMPONENTS
from bench.analysis.words import figure, percent, seconds, size

Value = str | int | float | None


@dataclass(frozen=True)
class Column:
    """One figure of a trial."""

    name: str
    """In the CSV file, with its unit."""
    label: str
    """On the page."""
    value: Callable[[Figures], Value]
    show: Callable[[float], str] | None = None
    """How a number reads on the page; None: as it is."""
    page: bool = True
    always: bool = False
    """On the page even where no trial has a value other than zero."""
    varies: bool = False
    """On the page only where trials differ in it."""

    def text(self, value: Value) -> str:
        """The value as the page shows it."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return ""
        if isinstance(value, str):
            return value
        if self.show is not None:
            return self.show(float(value))
        return f"{value:,}" if isinstance(value, int) else figure(value)


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _at(percentiles: Callable[[Figures], Percentiles], p: float) -> Callable[[Figures], Value]:
    return lambda f: percentiles(f)[p] if f.ledger.arrivals else None


def _count(name: str) -> Callable[[Figures], Value]:
    return lambda f: int(getattr(f.ledger, name))


def _grade(f: Figures) -> Value:
    return f.validity.grade if f.result.status == "done" else ""


def _reasons(f: Figures) -> Value:
    return "; ".join(f"{reason.code}: {reason.text}" for reason in f.validity.reasons)


def _waste(part: str) -> Callable[[Figures], Value]:
    return lambda f: f.waste.share(getattr(f.waste, part))


def _stage(name: str) -> Callable[[Figures], Value]:
    return lambda f: float(getattr(f.stages, name))


def _component(name: str) -> Callable[[Figures], Value]:
    return lambda f: f.overhead.of(name)


def _expected(p: float) -> Callable[[Figures], Value]:
    return lambda f: None if f.theory is None else f.theory.percentiles.get(p)


def _residual(p: float) -> Callable[[Figures], Value]:
    return lambda f: None if f.theory is None else f.theory.residual(f.response.get(p), p)


def _expected_mean(f: Figures) -> Value:
    return None if f.theory is None else f.theory.mean


def _residual_mean(f: Figures) -> Value:
    return None if f.theory is None else f.theory.residual(f.mean_response)


def _signed(share: float) -> str:
    return f"{round(100 * share):+d} %"


def _cap(name: str) -> Callable[[Figures], Value]:
    return lambda f: f.result.caps.get(name)


COLUMNS = (
    Column("trial", "trial", lambda f: f.trial.id, always=True),
    Column("status", "status", lambda f: f.result.status, varies=True),
    Column("validity", "validity", _grade, always=True),
    Column("reasons", "reasons", _reasons, page=False),
    Column("part", "part", lambda f: f.trial.part),
    Column("system", "system", lambda f: f.trial.system.name, always=True),
    Column("kind", "kind", lambda f: f.trial.system.kind, page=False),
    Column("workers", "workers", lambda f: f.trial.system.workers, _whole),
    Column("task", "task", lambda f: f.trial.work.task, varies=True),
    Column("load", "load", lambda f: f.trial.load.label, always=True),
    Column("repeat", "repeat", lambda f: f.trial.repeat, _whole, varies=True),
    Column("service_time_s", "S", lambda f: f.trial.work.service_time, seconds, varies=True),
    Column("deadline_s", "D", lambda f: f.trial.deadline, seconds, varies=True),
    Column("capacity_per_s", "capacity, jobs/s", lambda f: f.capacity),
    Column("window_s", "window", lambda f: f.rates.span, seconds),
    Column("offered_per_s", "offered λ, jobs/s", lambda f: f.rates.offered, always=True),
    Column("utilisation", "ρ", lambda f: f.rho),
    Column("arrivals", "arrivals", _count("arrivals"), always=True),
    Column("in_time", "in time", _count("in_time"), always=True),
    Column("late", "late", _count("late"), always=True),
    Column("rejected", "rejected", _count("rejected"), always=True),
    Column("failed", "failed", lambda f: f.ledger.failed, page=False),
    Column("gateway_timeout", "504", _count("gateway_timeout"), always=True),
    Column("gave_up", "gave up", _count("gave_up"), always=True),
    Column("error", "error", _count("error"), always=True),
    Column("wrong", "wrong", _count("wrong"), always=True),
    Column("dropped", "not sent", _count("dropped"), always=True),
    Column("lost", "lost", _count("lost"), always=True),
    Column("unfinished", "unfinished", _count("unfinished"), always=True),
    Column("duplicated", "run twice", _count("duplicated"), always=True),
    Column("accepted", "accepted", _count("accepted"), page=False),
    Column("balanced", "books", lambda f: "balanced" if not f.problems else "; ".join(f.problems)),
    Column("delivered_share", "delivered", lambda f: f.ledger.share(f.ledger.delivered), percent, page=False),
    Column("timeout_share", "no result in time", lambda f: f.ledger.timeout_share, percent),
    Column("response_p50_s", "p50", _at(lambda f: f.response, 0.5), seconds),
    Column("response_p90_s", "p90", _at(lambda f: f.response, 0.9), seconds),
    Column("response_p95_s", "p95", _at(lambda f: f.response, 0.95), seconds),
    Column("response_p99_s", "p99", _at(lambda f: f.response, 0.99), seconds),
    Column("response_mean_of_delivered_s", "mean", lambda f: f.mean_response, seconds, page=False),
    Column("slowest_delivered_s", "slowest", lambda f: f.slowest_delivered, seconds, page=False),
    Column("makespan_s", "makespan", lambda f: f.makespan, seconds, page=False),
    Column("predicted_p50_s", "p50 by theory", _expected(0.5), seconds, page=False),
    Column("predicted_p95_s", "p95 by theory", _expected(0.95), seconds, page=False),
    Column("predicted_mean_s", "mean by theory", _expected_mean, seconds, page=False),
    Column("residual_p50", "p50 over theory", _residual(0.5), _signed),
    Column("residual_p95", "p95 over theory", _residual(0.95), _signed),
    Column("residual_mean", "mean over theory", _residual_mean, _signed, page=False),
    Column("accept_p50_s", "accept p50", _at(lambda f: f.accept, 0.5), seconds),
    Column("accept_p90_s", "accept p90", _at(lambda f: f.accept, 0.9), seconds, page=False),
    Column("accept_p95_s", "accept p95", _at(lambda f: f.accept, 0.95), seconds),
    Column("send_delay_mean_s", "send delay, mean", _stage("send"), seconds),
    Column("accept_mean_s", "accept, mean", _stage("accept"), seconds),
    Column("wait_mean_s", "wait, mean", _stage("wait"), seconds),
    Column("service_mean_s", "service, mean", _stage("service"), seconds),
    Column("discovery_mean_s", "discovery, mean", _stage("discovery"), seconds),
    Column("taken_apart", "taken apart", lambda f: f.stages.apart, page=False),
    Column("parts_unknown", "parts unknown", lambda f: f.stages.unseen, _whole),
    Column("parts_do_not_add_up", "parts do not add up", lambda f: f.stages.adrift, _whole),
    Column("server_timing_deviation", "Server-Timing off by", lambda f: f.stages.deviation, page=False),
    Column("goodput_per_s", "goodput, jobs/s", lambda f: f.rates.goodput),
    Column("throughput_per_s", "throughput, jobs/s", lambda f: f.rates.throughput),
    Column("ideal_per_s", "ideal, jobs/s", lambda f: f.ideal, page=False),
    Column("task_seconds_executed", "task seconds executed", lambda f: f.waste.executed, page=False),
    Column("wasted_share", "wasted", lambda f: f.waste.wasted_share, percent, page=False),
    Column("wasted_never_delivered", "wasted: never delivered", _waste("never_delivered"), percent),
    Column("wasted_late", "wasted: late", _waste("late"), percent),
    Column("wasted_twice_or_cut", "wasted: twice or cut off", _waste("twice_or_cut"), percent),
    Column(
        "overhead_cpu_per_delivered_s",
        "CPU besides task, a delivered job",
        lambda f: f.overhead.per_job,
        seconds,
    ),
    Column(
        "overhead_cpu_per_executed_s",
        "CPU besides task, an executed job",
        lambda f: f.overhead.per_execution,
        page=False,
    ),
    *(
        Column(
            f"overhead_{component}_per_delivered_s", f"of it {component}", _component(component), page=False
        )
        for component in COMPONENTS
    ),
    Column("drain_s", "drain", lambda f: f.drain.seconds, seconds),
    Column("drained", "drained", lambda f: "yes" if f.drain.complete else "cut off", page=False),
    Column("attempts_per_job", "attempts a job", lambda f: f.attempts, varies=True),
    Column("polls_per_job", "polls a job", lambda f: f.polling.per_job),
    Column("polls_per_s", "polls/s", lambda f: f.polling.per_second),
    Column("polling_share_of_box_estimate", "polling, of the box", lambda f: f.polling.box_share, percent),
    Column("requests_per_s", "requests/s", lambda f: f.polling.requests_per_second),
    Column("cpu_cores", "CPU, cores", lambda f: f.usage.cpu),
    Column("web_cpu_cores", "of it web", lambda f: f.usage.web_cpu),
    Column("memory_peak_bytes", "memory peak", lambda f: f.usage.memory_peak, size),
    Column("throttled_s", "throttled", lambda f: f.usage.throttled, seconds),
    Column("oom_kills", "OOM kills", lambda f: f.usage.oom_kills, _whole),
    Column("deaths", "deaths", lambda f: f.usage.deaths, _whole),
    Column("restarts", "restarts", lambda f: f.usage.restarts, _whole),
    Column("send_delay_p99_s", "send delay p99", lambda f: f.send_delay_p99, seconds),
    Column("littles_law", "Little's law", lambda f: f.littles_law.state),
    Column("little_probed_jobs", "L, probed", lambda f: f.littles_law.sampled),
    Column("little_recorded_jobs", "λ·W, recorded", lambda f: f.littles_law.recorded),
    Column("backlog_slope_per_s", "backlog grows, jobs/s", lambda f: f.backlog.slope),
    Column("backlog_slope_error_per_s", "±", lambda f: f.backlog.error, page=False),
    Column("canary_loop_s", "canary, CPU", lambda f: f.canary.loop, seconds, page=False),
    Column("attempts", "attempts", lambda f: f.result.attempts, _whole, varies=True),
    Column(
        "generator_throttled_periods",
        "generator throttled",
        lambda f: f.usage.generator_throttled,
        page=False,
    ),
    Column("generator_cpu_cores", "generator CPU, cores", lambda f: f.usage.generator_cpu),
    Column("cpus_in_force", "vCPU in force", _cap("cpus"), page=False),
    Column("memory_in_force_bytes", "memory in force", _cap("memory"), page=False),
    Column("reason", "reason", lambda f: f.result.reason, page=False),
)


FIRST = ("system", "workers", "part", "load", "validity", "offered_per_s")
"""What the page's rows begin with; then the ledger, then everything else, the trial's id last."""


def for_page(rows: Iterable[Figures]) -> list[Column]:
    """The columns that say something in this run, in the page's order."""
    held = list(rows)
    shown = [c for c in COLUMNS if c.page and _worth_showing(c, held)]
    ledger = [c for c in shown if c.always and c.name not in (*FIRST, "trial")]
    rest = [c for c in shown if c not in ledger and c.name not in (*FIRST, "trial")]
    by_name = {c.name: c for c in shown}
    return [by_name[n] for n in FIRST if n in by_name] + ledger + rest + [by_name["trial"]]


def _worth_showing(column: Column, rows: Sequence[Figures]) -> bool:
    if column.always:
        return True
    values = {column.value(f) for f in rows}
    return len(values) > 1 if column.varies else any(_says_something(v) for v in values)


def _says_something(value: Value) -> bool:
    return value not in (None, "", 0) and not (isinstance(value, float) and math.isnan(value))


def took_place(f: Figures) -> bool:
    """Whether the trial has figures at all."""
    return f.result.status == "done" or f.ledger.arrivals > 0
