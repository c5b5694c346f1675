"""A comparison as a table for a terminal, as Markdown and as JSON. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from bench.analysis.comparing.comparison import ENOUGH, LEVEL
from bench.analysis.comparing.contrast import Check, Contrast, Row
from bench.analysis.comparing.differences import Differences
from bench.analysis.intervals import estimate
from bench.analysis.words import count, figure, listing, percent

NOT_SIDE_BY_SIDE = (
    "The two runs were not measured side by side, so the machine's own ups and downs are in every ratio: "
    "`bench ab` runs both in turns, which is the honest way."
)
HEADINGS = ("metric", "A", "B", "B/A", f"{percent(LEVEL)} interval", "effect", "verdict")


@dataclass(frozen=True)
class Told:
    """A comparison with all that is said beside it."""

    contrast: Contrast
    checks: tuple[Check, ...] = ()
    differences: Differences | None = None
    """None for two systems of one run."""


def tables(told: Told) -> Iterator[Table]:
    """One table for each pair of points."""
    for point, rows in _by_point(told.contrast.rows):
        table = Table(
            *HEADINGS, title=point, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0)
        )
        for row in rows:
            style = {"better": "green", "worse": "red"}.get(row.comparison.verdict, "")
            table.add_row(*cells(row), style=style)
        yield table


def lines(told: Told) -> list[str]:
    """What is to be known beside the tables, one sentence each; broken and unclear limits last."""
    contrast = told.contrast
    said = [f"A is {contrast.a}, B is {contrast.b}; {_trials(contrast)}."]
    if not contrast.paired:
        said.append(NOT_SIDE_BY_SIDE)
    if told.differences is not None:
        named = {"machine": told.differences.machine, "software": told.differences.software,
                 "experiment": told.differences.experiment}  # fmt: skip
        said += [f"different {name}: {line}" for name, found in named.items() for line in found]
    said += [f"left out, not to be believed: {text}" for text in contrast.unbelievable]
    said += [f"not compared: {text}" for text in contrast.unmatched]
    said += [f"NOTHING FINISHED {text}" for text in contrast.idle]
    said += [f"{text}, so that figures belong to their window" for text in contrast.unsteady]
    few = [row for row in contrast.rows if row.told and row.comparison.pairs < ENOUGH]
    if few:
        least = min(row.comparison.pairs for row in few)
        unit = count(least, "pair") if contrast.paired else f"{count(least, 'trial')} a side"
        said.append(f"TOO FEW TRIALS: a verdict takes {ENOUGH} a side, and some figures have {unit}.")
    if contrast.empty:
        said.append(
            "NOTHING TO COMPARE: A and B have no trials, or no raw records of them, to set side by side."
        )
    else:
        said.append(_tally(contrast))
    return said + verdicts(told.checks)


def verdicts(checks: Sequence[Check]) -> list[str]:
    """What became of each limit; one line for all that were held."""
    held = sum(1 for c in checks if c.outcome == "held")
    said = [f"limits held: {held} of {len(checks)}"] if held else []
    for check in checks:
        where = "" if check.row is None else f", {check.row.point}: {_change(check.row)}"
        if check.outcome == "broken":
            said.append(f"LIMIT BROKEN: {check.limit.text}{where}")
        elif check.outcome == "unclear":
            why = "no trial has the figure" if check.row is None else "CAN'T TELL whether it is kept"
            said.append(f"LIMIT UNCLEAR: {check.limit.text}{where}; {why}")
    return said


def cells(row: Row) -> list[str]:
    """One row as text: name, A, B, change, interval, effect, verdict."""
    found = row.comparison
    unbounded = math.isinf(found.high) and found.low in (0.0, -math.inf)
    low, high = _step(row, found.low).removesuffix(" pp"), _step(row, found.high)
    interval = "–" if unbounded else f"{low} … {high}"
    return [
        row.metric.name,
        _middle(row, row.a),
        _middle(row, row.b),
        _step(row, found.value),
        interval,
        "–" if math.isnan(found.effect) else f"{found.effect:+.2f}",
        found.verdict,
    ]


def markdown(told: Told) -> str:
    """The same for a pull request or a job's summary."""
    contrast = told.contrast
    parts = [f"## {_escaped(contrast.b)} against {_escaped(contrast.a)}", ""]
    for point, rows in _by_point(contrast.rows):
        parts += [
            f"**{_escaped(point)}**",
            "",
            f"| {' | '.join(HEADINGS)} |",
            f"| --- |{' ---: |' * 5} --- |",
        ]
        for row in rows:
            shown = [_escaped(c) for c in cells(row)]
            if row.comparison.verdict in ("better", "worse"):
                shown[-1] = f"**{shown[-1]}**"
            parts.append(f"| {' | '.join(shown)} |")
        parts.append("")
    parts += [f"- {_escaped(line)}" for line in lines(told)]
    return "\n".join(parts) + "\n"


def data(told: Told) -> dict[str, Any]:
    """The same as plain JSON types: infinity is "infinity" or "-infinity", what is missing is null."""
    contrast = told.contrast
    differing = told.differences
    return {
        "a": contrast.a,
        "b": contrast.b,
        "paired": contrast.paired,
        "level": LEVEL,
        "margin": {"ratio": contrast.margin.ratio, "points": contrast.margin.points},
        "trials": {"a": contrast.trials[0], "b": contrast.trials[1]},
        "rows": [_row(row) for row in contrast.rows],
        "limits": [
            {
                "limit": check.limit.text,
                "point": None if check.row is None else check.row.point,
                "outcome": check.outcome,
            }
            for check in told.checks
        ],
        "differences": None
        if differing is None
        else {
            "machine": list(differing.machine),
            "software": list(differing.software),
            "experiment": list(differing.experiment),
        },
        "left_out": list(contrast.unbelievable),
        "unmatched": list(contrast.unmatched),
        "nothing_finished": list(contrast.idle),
        "not_steady": list(contrast.unsteady),
    }


def _row(row: Row) -> dict[str, Any]:
    found = row.comparison
    return {
        "point": row.point,
        "metric": row.metric.name,
        "scale": found.scale,
        "lower_is_better": row.metric.lower_is_better,
        "a": [_plain(v) for v in row.a],
        "b": [_plain(v) for v in row.b],
        "value": _plain(found.value),
        "low": _plain(found.low),
        "high": _plain(found.high),
        "effect": _plain(found.effect),
        "verdict": found.verdict,
        "pairs": found.pairs,
    }


def _plain(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else "infinity" if value > 0 else "-infinity"


def _by_point(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """The rows that have a figure on either side, by pair of points."""
    for point in dict.fromkeys(row.point for row in rows):
        own = [r for r in rows if r.point == point and any(not math.isnan(v) for v in (*r.a, *r.b))]
        if own:
            yield point, own


def _middle(row: Row, values: Sequence[float]) -> str:
    found = estimate([v for v in values if not math.isnan(v)])
    return "–" if found is None else row.metric.show(found.value)


def _step(row: Row, value: float) -> str:
    """A ratio, or a difference in percentage points."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if row.comparison.scale == "difference":
        return f"{value * 100:+.1f} pp"
    return f"{value:.3f}" if 0.0995 <= value < 9.95 else figure(value)


def _change(row: Row) -> str:
    _, a, b, value, interval, _, verdict = cells(row)
    return f"{a} in A, {b} in B, {value} ({interval}), {verdict}"


def _trials(contrast: Contrast) -> str:
    if contrast.paired:
        return f"{count(contrast.trials[0], 'pair')} of trials, measured side by side"
    return f"{count(contrast.trials[0], 'trial')} of A, {count(contrast.trials[1], 'trial')} of B"


def _tally(contrast: Contrast) -> str:
    counts = {
        verdict: sum(1 for row in contrast.rows if row.told and row.comparison.verdict == verdict)
        for verdict in ("better", "worse", "same", "can't tell")
    }
    return f"B in {len([r for r in contrast.rows if r.told])} figures: " + listing(
        [f"{n} {verdict}" for verdict, n in counts.items() if n]
    )


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
