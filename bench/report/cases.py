"""A run as a list of cases: one for each trial, one for each objective. Pure."""

from collections.abc import Sequence

from bench.analysis import Analysis, Figures
from bench.analysis.across.objectives import Check
from bench.analysis.words import count
from bench.report.junit import Case, Outcome
from bench.report.objective_words import point, sentence


def of_run(analysis: Analysis, checks: Sequence[Check]) -> list[Case]:
    """The trials in the order of the page, then the objectives as they were written."""
    name = analysis.run.name
    return [*(_trial(name, f) for f in analysis.rows), *(_objective(name, c) for c in checks)]


def _trial(run: str, f: Figures) -> Case:
    outcome, text = _outcome(f)
    return Case(
        name=f"{point(f.trial)}, repeat {f.trial.repeat}",
        group=f"{run}.{f.trial.part}",
        seconds=f.result.seconds,
        outcome=outcome,
        text=text,
    )


def _outcome(f: Figures) -> tuple[Outcome, str]:
    """A trial that failed is an error, no failure: nothing was measured that could have been too little."""
    if f.result.status == "failed":
        return "error", f.result.reason or "the trial failed"
    if f.result.status != "done":
        return "skipped", f.result.reason or "the trial did not take place"
    if not f.validity.believable:
        grave = [r for r in f.validity.reasons if r.grade == "INVALID"]
        return "error", "\n".join(["not believable", *(f"{r.text} {r.advice}" for r in grave)])
    return "passed", f"{f.ledger.in_time:,} of {count(f.ledger.arrivals, 'arrival')} in time"


def _objective(run: str, check: Check) -> Case:
    outcomes: dict[str, Outcome] = {"met": "passed", "not believable": "error", "not measured": "error"}
    return Case(
        name=f"{check.trial.part}: {point(check.trial)}: {check.objective.text}",
        group=f"{run}.objectives",
        seconds=0.0,
        outcome=outcomes.get(check.state, "failed"),
        text=sentence(check),
    )
