"""What a reproduction leaves behind: reproduce.json, the table as text and Markdown, and one page."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import UndefinedError
from markupsafe import Markup
from rich.console import Console
from rich.table import Column, Table

from bench import report
from bench.analysis.words import count, listing, percent, seconds
from bench.records import RunFolder, RunFolderError, write_json
from bench.report import junit, step_summary
from bench.report.page import style, templates
from bench.reproduce.claim import Claim
from bench.reproduce.needs import Needs
from bench.reproduce.verdicts import Told, as_json, exit_code

FORMAT = 1
"""Version of reproduce.json."""
FILE = "reproduce.json"
ROOM = 120
"""Columns of a terminal that has room for the source of each claim."""


def write(folder: Path, state: Mapping[str, Any], told: Sequence[Told], wanted: Needs) -> int:
    """Write everything, and return the exit code. Raises RunFolderError, OSError."""
    code = exit_code(told)
    data = {
        "format": FORMAT,
        "id": folder.name,
        **state,
        "code": code,
        "claims": as_json(told),
        "absent": [claim.id for claim in wanted.absent],
        "sweeps": [s.name for s in wanted.sweeps if RunFolder(folder / s.name).run_json.exists()],
    }
    write_json(folder / FILE, data)
    build(folder)
    step_summary.append(markdown(data), os.environ)
    return code


def read(folder: Path) -> dict[str, Any]:
    """Read reproduce.json. Raises RunFolderError."""
    path = folder / FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path} can't be read: {error}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT or not isinstance(data.get("claims"), list):
        raise RunFolderError(f"{path} is not of a reproduction that this version reads (format {FORMAT}).")
    return data


def build(folder: Path) -> Path:
    """Rebuild all but the records, and the pages of the runs behind them. Raises RunFolderError."""
    data = read(folder)
    page = folder / "index.html"
    try:
        pages = [(name, report.build(folder / name).read_text(encoding="utf-8")) for name in data["sweeps"]]
        (folder / "summary.md").write_text(markdown(data), encoding="utf-8")
        (folder / "junit.xml").write_text(junit.document(cases(data)), encoding="utf-8")
        page.write_text(render(data, pages), encoding="utf-8")
    except (KeyError, TypeError, AttributeError, ValueError, UndefinedError) as error:
        raise RunFolderError(f"{folder / FILE} is damaged: {type(error).__name__}: {error}.") from None
    return page


def present(folder: Path, console: Console) -> None:
    """The table on the terminal, and where the page is. Raises RunFolderError."""
    data = read(folder)
    longest = max((len(c["claim"]) for c in data["claims"]), default=0)
    claim = Column("claim", min_width=min(longest, console.width // 2))
    table = Table(claim, "experiment", "measured", "verdict", "recorded", show_lines=True)
    for c in data["claims"]:
        more = "".join(f"\n{label}: {text}" for label, text in c["also"].items())
        mark = "" if not c["differs"] else " (here)" if c["absolute"] else " ✗"
        why = f"\n{c['why']}" if c["why"] else ""
        table.add_row(
            f"{c['claim']}\n{c['text']}", c["experiment"], c["measured"] + more, c["verdict"] + mark + why,
            c["expected"],
            style="bold red" if c["fails"] or c["trouble"] else None,
        )  # fmt: skip
    console.print(table, highlight=False, markup=False)
    console.print(lead(data), highlight=False, markup=False)
    console.print(conditions(data), highlight=False, markup=False)
    console.print(f"\nReport: {folder / 'index.html'}", highlight=False, soft_wrap=True)


def show_claims(claims: Sequence[Claim], console: Console) -> None:
    """What is claimed, by whom, and how it came out."""
    table = Table(Column("claim", no_wrap=True), "in words")  # the claim's name is what --only takes
    sourced = console.width >= ROOM
    if sourced:
        table.add_column("source")
    table.add_column("recorded", no_wrap=True)
    for claim in claims:
        source = [claim.spec.source] if sourced else []
        table.add_row(claim.id, claim.spec.text, *source, claim.spec.expected)
    console.print(table, highlight=False, markup=False)


def lead(data: Mapping[str, Any]) -> str:
    """The result in a sentence or two."""
    claims = data["claims"]
    verdicts = [c["verdict"] for c in claims]
    parts = [
        f"{verdicts.count(word)} {word}"
        for word in ("reproduced", "refuted", "can't tell")
        if word in verdicts
    ]
    text = f"Of {count(len(claims), 'claim')}: {', '.join(parts) or 'none was judged'}."
    if failing := [c["claim"] for c in claims if c["fails"]]:
        text += f" Otherwise than recorded: {', '.join(failing)}."
    if lost := [c["claim"] for c in claims if c["trouble"]]:
        text += f" Something failed in measuring {listing(lost)}."
    if here := [c["claim"] for c in claims if c["differs"] and not c["fails"]]:
        text += f" Otherwise on this machine, which is no failure: {', '.join(here)}."
    if data["absent"]:
        text += f" Not in this profile: {', '.join(data['absent'])}."
    return text


def markdown(data: Mapping[str, Any]) -> str:
    """summary.md."""
    lines = [
        f"# Claims, profile {data['profile']}",
        "",
        f"`{data['id']}` · {data['ended']}",
        "",
        lead(data),
        "",
    ]
    lines += ["| claim | experiment | measured | verdict | recorded |", "| --- | --- | --- | --- | --- |"]
    for c in data["claims"]:
        more = "".join(f"<br>{_cell(label)}: {_cell(text)}" for label, text in c["also"].items())
        verdict = f"**{c['verdict']}**" if c["fails"] or c["trouble"] else c["verdict"]
        verdict += f"<br>{_cell(c['why'])}" if c["why"] else ""
        said = f"{_cell(c['text'])} | {_cell(c['experiment'])} | {_cell(c['measured'])}{more}"
        lines.append(f"| {said} | {verdict} | {c['expected']} |")
    return "\n".join([*lines, "", conditions(data), ""])


def cases(data: Mapping[str, Any]) -> list[junit.Case]:
    """One case a claim, for readers of JUnit: what can't be told is skipped, and so is a time of this machine
    that came out otherwise.
    """
    return [
        junit.Case(
            name=c["claim"],
            group=f"claims.{data['profile']}",
            seconds=0.0,
            outcome=_case(c),
            text=f"{c['verdict']}, recorded as {c['expected']}: {c['why'] or c['measured']}\n{c['text']}",
        )
        for c in data["claims"]
    ]


def _case(claim: Mapping[str, Any]) -> junit.Outcome:
    if claim["fails"] or claim["trouble"]:
        return "failed" if claim["fails"] else "error"
    return "skipped" if claim["differs"] or claim["verdict"] == "can't tell" else "passed"


def conditions(data: Mapping[str, Any]) -> str:
    """Machine, box, and how much of the time was measurement."""
    e, box = data["environment"], data["box"]
    return (
        f"{e.get('cpu') or e.get('machine')}, {e.get('cores')} cores; Python {e.get('python')}; box of "
        f"{box['cpus']:g} vCPU; {seconds(data['seconds'])}, {percent(data['measured_share'])} of it in "
        "labs, or in the warm-up, window and drain of trials."
    )


def render(data: Mapping[str, Any], pages: Sequence[tuple[str, str]]) -> str:
    """The page, with the pages of the runs inside it: one file."""
    return (
        templates()
        .get_template("claims.html.j2")
        .render(
            data=data,
            lead=lead(data),
            conditions=conditions(data),
            pages=pages,
            style=Markup(style()),  # our own file
        )
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
