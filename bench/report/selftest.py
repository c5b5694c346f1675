"""selftest.html, and the self-test on a terminal, from selftest.json alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from bench.analysis.trial.latency import Curve
from bench.analysis.words import count, seconds
from bench.records import RunFolderError
from bench.report.page import style, templates
from bench.report.reliability import facts

FORMAT = 1
"""Version of selftest.json that is read."""
HEAD = ("scenario", "figure", "truth", "measured", "off by", "allowed", "")
DEFECT_WORDS = {
    "from-send": "latency from the send",
    "drops-ignored": "drops ignored",
    "lost-forgotten": "a lost job forgotten",
}


@dataclass(frozen=True)
class Row:
    """One check as text."""

    cells: tuple[str, ...]
    passed: bool


def read(folder: Path) -> dict[str, Any]:
    """Read selftest.json. Raises RunFolderError."""
    path = folder / "selftest.json"
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path} can't be read: {error}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise RunFolderError(f"{path} is not of a self-test that this version reads (format {FORMAT}).")
    return data


def build(folder: Path) -> Path:
    """Write the chart and selftest.html from selftest.json; returns the page. Raises RunFolderError."""
    data = read(folder)
    page = folder / "selftest.html"
    page.write_text(render(data, folder), encoding="utf-8")
    return page


def render(data: Mapping[str, Any], folder: Path | None = None) -> str:
    """The whole page as text; `folder`: where the chart is saved as a file as well."""
    # matplotlib takes half a second to import: not for the terminal's words.
    from bench import charts
    from bench.charts.chart import Context
    from bench.charts.stall import Stall, palette, stall_chart

    kept = data["stall"]
    curves = {name: _curve(curve) for name, curve in kept["curves"].items()}
    chart, picture = None, None
    if all(len(curve.p) for curve in curves.values()) and isinstance(kept["closed"], float):
        at_p = (float(kept["open"]), float(kept["closed"]))
        chart = stall_chart(Stall(kept["seconds"], kept["p"], at_p, **curves))
        picture = charts.picture(chart, Context(palette(), ""))
    if picture is not None and folder is not None:
        (folder / "charts").mkdir(exist_ok=True)
        picture.save(folder / "charts")
    return (
        templates()
        .get_template("selftest.html.j2")
        .render(
            title="Does the harness tell the truth?",
            id=data["id"],
            started=str(data["started"]).replace("T", " ").replace("+00:00", " UTC"),
            command=data["command"],
            unmet=data["unmet"],
            lead=lead(data),
            findings=findings(data),
            chart=chart,
            panels=[Markup(panel) for panel in picture.panels] if picture else [],  # drawn here
            head=HEAD,
            rows=[row(check) for check in data["checks"]],
            facts=facts(data),
            style=Markup(style()),  # our own file
        )
    )


def terminal(data: Mapping[str, Any]) -> str:
    """Everything it found, for a terminal."""
    shown = [row(check) for check in data["checks"] if not _nothing(check)]
    widths = [max(len(r[n]) for r in (HEAD, *(s.cells for s in shown))) for n in range(len(HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        for cells in (HEAD, *(s.cells for s in shown))
    ]
    hidden = len(data["checks"]) - len(shown)
    lines += [f"and {count(hidden, 'figure')} that both have as 0, or leave out because of too few jobs", ""]
    lines += [f"{name}: {text}" for name, text in findings(data)]
    lines += ["", lead(data), *(f"! {line}" for line in data["unmet"])]
    return "\n".join(lines)


def lead(data: Mapping[str, Any]) -> str:
    """The verdict in a sentence."""
    checks, missed = data["checks"], sum(not c["passed"] for c in data["checks"])
    broken = data["broken"]
    who = f"This harness, broken on purpose ({DEFECT_WORDS[broken]})," if broken else "The harness"
    if data["passed"]:
        return f"{who} tells the truth: {len(checks)} figures agree with what the servers did."
    if missed and not broken and {c["scenario"] for c in checks if not c["passed"]} <= set(data["disturbed"]):
        return (
            f"Nothing is proven: {missed} of {len(checks)} figures are off, but the machine stood still "
            "whenever they were measured. Measure again while nothing else runs."
        )
    if missed:
        return f"{who} does not tell the truth: {missed} of {len(checks)} figures are off."
    return f"{who} agrees with the servers in {len(checks)} figures, but the self-test failed."


def findings(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was found besides the table, by name."""
    alike, stall = data["alike"], data["stall"]
    noticed = ", ".join(
        f"{DEFECT_WORDS[name]} ({count(n, 'check')} missed)" for name, n in data["noticed"].items()
    )
    said = [
        (
            "stall",
            f"p{stall['p'] * 100:g} is {_time(stall['truth'])} in truth, {_time(stall['open'])} by the open "
            f"load, {_time(stall['closed'])} by closed users",
        ),
        ("broken on purpose", noticed),
        (
            "A/A",
            f"{alike['differing']} of {alike['comparisons']} comparisons of a load with itself found a "
            f"difference, at most {alike['allowed']} may",
        ),
        ("independent tool", data["tool"]),
    ]
    said += [("repeated", line) for line in data["repeats"]]
    return said + [
        ("disturbed", f"{name} missed in every attempt, and each time the machine stood still ({why})")
        for name, why in data["disturbed"].items()
    ]


def row(check: Mapping[str, Any]) -> Row:
    """One check as the table has it."""
    off, words = check["deviation"], check["words"]
    return Row(
        (
            check["scenario"],
            check["figure"],
            words["truth"],
            words["measured"],
            "–" if off is None else "0" if abs(off) < 5e-5 else f"{off:+.2%}",
            f"± {check['limit']:.1%}" if check["limit"] else "exact",
            "ok" if check["passed"] else "MISSED",
        ),
        check["passed"],
    )


def _nothing(check: Mapping[str, Any]) -> bool:
    """A count that is nought on both sides, or a figure that both leave out."""
    return check["passed"] and (check["truth"] is None or (check["unit"] == "count" and not check["truth"]))


def _time(value: Any) -> str:
    return seconds(float(value)) if isinstance(value, int | float) else str(value or "left out")


def _curve(kept: Mapping[str, Any]) -> Curve:
    return Curve(np.array(kept["p"]), np.array(kept["value"]), 0.0, kept["n"])
