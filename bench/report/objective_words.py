"""Objectives and what became of them, in words: for a terminal, Markdown, and a list of cases. Pure."""

import math
from collections.abc import Iterator, Sequence

from bench.analysis.across.objectives import Check
from bench.objective import TIMES
from bench.plan import Trial

HEADINGS = ("system and load", "objective", "measured", "")


def point(trial: Trial) -> str:
    """System, workers and load: `queued × 2 at 0.5C`."""
    workers = "" if trial.system.kind in ("blocking", "external") else f" × {trial.system.workers}"
    return f"{trial.system.name}{workers} at {trial.load.label}"


def measured(check: Check) -> str:
    """The value with four digits, so that it can be told from its limit."""
    if math.isnan(check.value):
        return "–"
    if math.isinf(check.value):
        return "not reached"
    if check.objective.metric not in TIMES:
        return f"{check.value * 100:.4g} %"
    return f"{check.value:.4g} s" if check.value >= 1 else f"{check.value * 1000:.4g} ms"


def outcome(check: Check) -> str:
    """What became of it, with the reason where there is one: `not enough arrivals (20; p95 takes 60)`."""
    return f"{check.state} ({check.why})" if check.why else check.state


def sentence(check: Check) -> str:
    """All of it in one line."""
    found = "" if math.isnan(check.value) else f", measured {measured(check)}"
    return f"{point(check.trial)}: {check.objective.text}{found}: {outcome(check)}"


def cells(checks: Sequence[Check]) -> list[tuple[str, str, str, str]]:
    """One row for each, under HEADINGS."""
    several = len({c.trial.part for c in checks}) > 1
    return [
        (
            f"{c.trial.part}: {point(c.trial)}" if several else point(c.trial),
            c.objective.text,
            measured(c),
            outcome(c),
        )
        for c in checks
    ]


def terminal(checks: Sequence[Check]) -> Iterator[str]:
    """A table in plain text; what is not met is marked."""
    rows = [HEADINGS, *cells(checks)]
    widths = [max(len(row[n]) for row in rows) for n in range(3)]
    marks = ["  ", *("  " if c.state == "met" else "! " for c in checks)]
    for mark, row in zip(marks, rows, strict=True):
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield (mark + "  ".join([*padded, row[3]])).rstrip()


def markdown(checks: Sequence[Check]) -> Iterator[str]:
    """The same as lines of Markdown, empty without objectives."""
    if not checks:
        return
    met = sum(c.state == "met" for c in checks)
    yield f"**{met} of {len(checks)} objectives met.**"
    yield ""
    yield f"| {' | '.join(HEADINGS)} |"
    yield "| --- | --- | ---: | --- |"
    for row, one in zip(cells(checks), checks, strict=True):
        who, what, value, became = (_escaped(cell) for cell in row)
        yield f"| {who} | {what} | {value} | {became if one.state == 'met' else f'**{became}**'} |"
    yield ""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("\n", " ")
