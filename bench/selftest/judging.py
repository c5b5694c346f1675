"""From a self-test's folder to what it found: truth, figures, checks, defects. Reads, and writes nothing."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.analysis.run import Result
from bench.analysis.tables import TableError, Tables, TrialRecords, split
from bench.analysis.trial.figures import Figures, figures
from bench.analysis.trial.latency import Curve, curve, response_times
from bench.records import RunFolder, RunFolderError
from bench.report.reading import tables
from bench.selftest.alike import Alike, alike
from bench.selftest.broken import DEFECTS, Defect
from bench.selftest.catalogue import Catalogue, Scenario, trial_of
from bench.selftest.checks import TIME, Check, checks
from bench.selftest.measuring import log_of
from bench.selftest.tool import Reading
from bench.selftest.truth import Truth, read_log, truth

SEND_DELAY = 0.005
"""Seconds of p99 send delay, or 2 % of the median response where that is more, up to which a trial is valid
(the validity gate's limit)."""
PAUSE = 0.02
"""Seconds for which the machine may stand still before a figure that missed is measured again."""
HELD_UP = "the generator was held up"
TOOL_SLACK = 0.002
"""Seconds by which an independent tool may differ, or 2 %: it keeps its connections, we open one a job."""


@dataclass(frozen=True)
class Effect:
    """One stall, measured rightly and wrongly. Seconds at percentile `p`."""

    p: float
    stall: float
    truth: float | None
    open: float | None
    closed: float | None
    curves: Mapping[str, Curve]
    """truth, open, closed."""

    @property
    def shown(self) -> bool:
        """Whether the stall is in the open load's percentile and not in the closed users'."""
        seen = self.truth is not None and self.open is not None and self.closed is not None
        return seen and min(self.truth or 0, self.open or 0) > self.stall / 2 > (self.closed or 0)


@dataclass(frozen=True)
class Findings:
    """All that a self-test found."""

    checks: tuple[Check, ...]
    problems: tuple[str, ...]
    """What does not add up in the records themselves."""
    noticed: Mapping[str, int]
    """Checks missed by each harness that is broken on purpose."""
    alike: Alike
    effect: Effect
    tool_name: str | None
    """The independent tool that was there."""
    reading: Reading | None
    """What it said; None where nothing that can be understood."""

    @property
    def unmet(self) -> list[str]:
        """What was missed, one line each; empty where the harness tells the truth."""
        lines = [in_words(check) for check in self.checks if not check.passed]
        lines += self.problems
        lines += [
            f"a harness with the defect {name} was not noticed: the self-test itself is at fault"
            for name, missed in self.noticed.items()
            if not missed
        ]
        if not self.alike.passed:
            lines.append(
                f"A/A: {self.alike.differing} of {self.alike.comparisons} comparisons of a load with itself "
                f"found a difference; at most {self.alike.allowed} may"
            )
        if self.tool_name and self.reading is None:
            lines.append(f"{self.tool_name} measured the same server and said nothing that can be read")
        if not self.effect.shown:
            lines.append(
                f"the stall does not show as it must at p{self.effect.p * 100:g}: truth "
                f"{shown(self.effect.truth, 's')}, open {shown(self.effect.open, 's')}, "
                f"closed {shown(self.effect.closed, 's')}"
            )
        return lines


@dataclass(frozen=True)
class Evidence:
    """What a self-test recorded, of some of its scenarios."""

    tables: Tables
    truths: Mapping[str, Truth]
    reading: Reading | None


def evidence(run: RunFolder, scenarios: Sequence[Scenario], reading: Reading | None) -> Evidence:
    """Read records and logs. Raises RunFolderError where they are damaged or missing."""
    recorded = tables(run)
    events = recorded.events
    truths = {}
    for scenario in scenarios:
        began = events[(events["trial"] == scenario.name) & (events["event"] == "load_started")]["t"]
        if not len(began):
            raise RunFolderError(f"{run.path} has no records of the scenario {scenario.name}: measure again.")
        try:
            lines = log_of(run, scenario).read_text().splitlines()
            rows = read_log(lines, scenario.name)
            truths[scenario.name] = truth(trial_of(scenario), rows, float(began.iloc[0]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunFolderError(f"{log_of(run, scenario)} can't be read: {error!r}") from None
    return Evidence(recorded, truths, reading)


def measured(found: Evidence, scenarios: Sequence[Scenario]) -> dict[str, tuple[TrialRecords, Figures]]:
    """Have the real analysis compute each scenario's figures. Raises RunFolderError."""
    try:
        bundles = split(found.tables, [trial_of(s) for s in scenarios])
    except TableError as error:
        raise RunFolderError(f"the records are damaged: {error}. Measure again.") from None
    return {name: (bundle, figures(bundle, Result("done"))) for name, bundle in bundles.items()}


def with_defect(found: Evidence, defect: Defect) -> Evidence:
    """What a harness with this defect would have recorded."""
    return replace(found, tables=replace(found.tables, jobs=defect(found.tables.jobs)))


def scenario_checks(found: Evidence, scenario: Scenario, got: Figures, plain: str) -> list[Check]:
    """All checks of one scenario, those against an independent tool among them."""
    real = found.truths[scenario.name]
    made = checks(scenario.name, got, real, times=scenario.times)
    if scenario.hold:
        late = real.percentile(0.5)
        least = scenario.behaviour.delay + scenario.hold / 2
        made.append(Check(scenario.name, HELD_UP, "count", 1, int(late is not None and late >= least), 0.0))
    if scenario.name == plain and found.reading is not None:
        made += _beside(scenario, got, found.reading)
    return made


def disturbed(scenario: Scenario, got: Figures, pause: float) -> str:
    """In words, how the machine spoiled a measurement; empty where it did not."""
    median = got.response[0.5] or 0.0
    limit = max(SEND_DELAY, TIME * median if math.isfinite(median) else 0.0)
    said = []
    if not scenario.hold and got.send_delay_p99 > limit:
        said.append(f"p99 of the send delay {got.send_delay_p99 * 1000:.0f} ms")
    if pause > PAUSE:
        said.append(f"a pause of {pause * 1000:.0f} ms")
    return ", ".join(said)


def judge(
    run: RunFolder,
    catalogue: Catalogue,
    beside: tuple[str, Reading | None] | None = None,
    broken: str | None = None,
) -> Findings:
    """Judge everything. Raises RunFolderError.

    `beside`: the independent tool and what it said. `broken`: a defect that the harness is given.
    """
    scenarios = catalogue.scenarios
    named, reading = beside or (None, None)
    whole = evidence(run, scenarios, reading)
    sound = measured(whole, scenarios)
    found = with_defect(whole, DEFECTS[broken]) if broken else whole
    results = measured(found, scenarios) if broken else sound
    made = [c for s in scenarios for c in scenario_checks(found, s, results[s.name][1], catalogue.plain)]
    return Findings(
        checks=tuple(made),
        problems=tuple(f"{name}: {p}" for name, (_, got) in results.items() for p in got.problems),
        noticed={name: _missed(whole, sound, scenarios, defect) for name, defect in DEFECTS.items()},
        alike=alike(response_times(results[catalogue.same.scenario][0]), catalogue.same),
        effect=_effect(catalogue, found, results),
        tool_name=named,
        reading=reading,
    )


def in_words(check: Check) -> str:
    """A missed check in one line."""
    off = f"{check.deviation:+.1%}" if math.isfinite(check.deviation) else "no comparison"
    allowed = f"± {check.limit:.0%} allowed" if check.limit else "must be exact"
    return (
        f"{check.scenario}: {check.figure}: truth {shown(check.truth, check.unit)}, "
        f"measured {shown(check.measured, check.unit)} ({off}; {allowed})"
    )


def shown(value: float | None, unit: str) -> str:
    """A figure with enough digits to see a deviation of a thousandth."""
    if value is None:
        return "left out"
    if math.isinf(value):
        return "not reached"
    match unit:
        case "count":
            return f"{value:,.0f}"
        case "share":
            return f"{value:.2%}"
        case "s":
            return f"{value * 1000:,.1f} ms"
        case _:
            return f"{value:.2f}{unit}"


def _missed(
    whole: Evidence,
    sound: Mapping[str, tuple[TrialRecords, Figures]],
    scenarios: Sequence[Scenario],
    defect: Defect,
) -> int:
    """How many checks notice a defect that pass without it."""
    spoiled = with_defect(whole, defect)
    ill = measured(spoiled, scenarios)
    return sum(
        before.passed and not after.passed
        for s in scenarios
        for before, after in zip(
            scenario_checks(whole, s, sound[s.name][1], ""),
            scenario_checks(spoiled, s, ill[s.name][1], ""),
            strict=True,
        )
    )


def _beside(scenario: Scenario, got: Figures, reading: Reading) -> list[Check]:
    """Ours against the tool's; the rate as seconds a job and connection, so that one limit fits all.

    What a connection waits for when the window ends is in neither's rate: two jobs' time more is allowed.
    """
    theirs = _inverse(reading.rate) * reading.connections
    ours = _inverse(got.rates.throughput) * scenario.load.size
    last = 2 * theirs / scenario.load.window
    compared = (
        ("p50", reading.median, got.response[0.5], 0.0),
        ("mean", reading.mean, got.mean_response, 0.0),
        ("time a job, from the rate", theirs, ours, last),
    )
    return [
        Check(
            scenario.name, f"{name}, by {reading.tool}", "s", said, own, max(TIME, TOOL_SLACK / said) + more
        )
        for name, said, own, more in compared
        if not math.isnan(said)
    ]


def _inverse(rate: float) -> float:
    return 1 / rate if rate > 0 else math.inf


def _effect(
    catalogue: Catalogue, found: Evidence, results: Mapping[str, tuple[TrialRecords, Figures]]
) -> Effect:
    open_, closed = catalogue.stalled
    real, p = found.truths[open_], catalogue.hidden_at
    return Effect(
        p=p,
        stall=catalogue.scenario(open_).behaviour.stall,
        truth=real.percentile(p),
        open=results[open_][1].response[p],
        closed=results[closed][1].response[p],
        curves={
            "truth": curve(np.array(real.times or ())),
            "open": curve(response_times(results[open_][0])),
            "closed": curve(response_times(results[closed][0])),
        },
    )
