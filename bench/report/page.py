"""index.html: one file that needs nothing else, from the analysis and the drawn charts."""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from bench.analysis import Analysis, Figures
from bench.analysis.run import Run
from bench.analysis.words import count, figure, percent, seconds, size, system_words
from bench.charts import Chart, Picture
from bench.charts.palette import Look, Palette, css_variables
from bench.report.columns import COLUMNS, Column, Value, for_page, took_place
from bench.report.summary import PLAN_WORDS, conditions, plan_hint

PLAN = ("trial", "status", "part", "system", "workers", "task", "load", "repeat")
"""Columns with something to say of a trial that never took place."""

UNITS = re.compile(r"(\d) (ms|s|min|%|× S|× capacity|[KMG]i?B|jobs/s|vCPU)(?![\w/])")
"""A figure and its unit, which no line break may part."""


@dataclass(frozen=True)
class Cell:
    """One cell of the table of trials."""

    text: str
    sort: str
    """What it is sorted by: a number, or the text itself."""
    number: bool
    badge: str = ""
    """Class of the mark that the text stands in; empty: none."""


@dataclass(frozen=True)
class Row:
    """One trial in the table."""

    status: str
    cells: tuple[Cell, ...]
    reason: str


@dataclass(frozen=True)
class SystemEntry:
    """One system in the key."""

    name: str
    words: str
    look: Look | None
    variable: str


def templates() -> Environment:
    """Return where the pages' templates are, with everything escaped and nothing undefined let through."""
    return Environment(
        loader=PackageLoader("bench.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(analysis: Analysis, shown: Sequence[tuple[Chart, Picture]], palette: Palette) -> str:
    """The whole page as text."""
    environment = templates()
    entries = systems(analysis, palette)
    environment.filters["named"] = naming(entries)
    columns = for_page(analysis.rows)
    return environment.get_template("index.html.j2").render(
        run=analysis.run,
        verdict=analysis.verdict,
        plan_words=PLAN_WORDS,
        plan_hint=plan_hint(analysis),
        conditions=conditions(analysis),
        started=str(analysis.run.started or "").replace("T", " ").replace("+00:00", " UTC"),
        loud=[n for n in analysis.notes if n.tone == "loud"],
        notes=[n for n in analysis.notes if n.tone != "loud"],
        charts=[
            {"name": c.name, "title": c.title, "how": c.how, "panels": [Markup(p) for p in picture.panels]}
            for c, picture in shown
        ],
        systems=entries,
        columns=columns,
        rows=[row(f, columns) for f in analysis.rows],
        facts=facts(analysis.run),
        caps=caps(analysis.run),
        calibration=calibration(analysis.run),
        measured=percent(analysis.run.measured_share) if not math.isnan(analysis.run.measured_share) else "",
        polling=polling(analysis.done),
        experiment=json.dumps(analysis.run.experiment, indent=2, ensure_ascii=False, default=str),
        style=Markup(style()),
        script=Markup(_asset("script.js")),
    )


def style() -> str:
    """The style sheet, with the charts' colours for light and dark."""
    held = css_variables().values()
    light = "".join(f"{name}:{value};" for name, value, _ in held)
    dark = "".join(f"{name}:{value};" for name, _, value in held)
    return _asset("style.css").replace("/*LIGHT*/", light).replace("/*DARK*/", dark)


def _asset(name: str) -> str:
    return (resources.files("bench.report") / "templates" / name).read_text(encoding="utf-8")


def systems(analysis: Analysis, palette: Palette) -> list[SystemEntry]:
    """Every system of the run with its look, in the order of the charts."""
    variables = {light: name for light, (name, _, _) in css_variables().items()}
    found: dict[str, SystemEntry] = {}
    for trial in sorted(analysis.run.trials, key=lambda t: (_rank(t.system.kind), len(t.system.name))):
        name = trial.system.name
        look = palette.looks.get(name)
        variable = variables[look.light] if look else "--muted"
        found.setdefault(name, SystemEntry(name, system_words(trial.system), look, variable))
    for key, look in palette.looks.items():
        if key not in found:
            base, _, variant = key.partition(", ")
            released = variant == "GIL released"
            words = f"{base} again, on work that {'releases' if released else 'holds'} the GIL"
            found[key] = SystemEntry(key, words, look, variables[look.light])
    return list(found.values())


def _rank(kind: str) -> int:
    return ("blocking", "gunicorn", "bounded", "as_published", "queued", "external").index(kind)


def naming(entries: Sequence[SystemEntry]) -> Callable[[str], Markup]:
    """A filter that marks the systems' names in a sentence with their colour."""
    names = sorted((e.name for e in entries), key=len, reverse=True)
    variables = {e.name: e.variable for e in entries}
    pattern = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, names))})(?![\w-])") if names else None

    def named(text: str) -> Markup:
        text = UNITS.sub("\\1\N{NO-BREAK SPACE}\\2", text)
        if pattern is None:
            return escape(text)
        parts = pattern.split(text)
        marked = [
            Markup('<b class="sys" style="--c:var({})">{}</b>').format(variables[part], part)
            if n % 2
            else escape(part)
            for n, part in enumerate(parts)
        ]
        return Markup("").join(marked)

    return named


def row(f: Figures, columns: Sequence[Column]) -> Row:
    """One trial's row. Of a trial without records only the plan is shown."""
    known = took_place(f)
    cells = [cell(c, c.value(f) if known or c.name in PLAN else None) for c in columns]
    reasons = [f.result.reason, *(f"{r.text} {r.advice}" for r in f.validity.reasons)]
    return Row(f.result.status, tuple(cells), "\n".join(r for r in reasons if r))


def cell(column: Column, value: Value) -> Cell:
    """One value, as it is shown and as it is sorted."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return Cell("", "", True)
    if isinstance(value, str):
        return Cell(value, value, False, value.lower() if column.name == "validity" else "")
    return Cell(column.text(value), "1e308" if math.isinf(value) else repr(value), True)


def facts(run: Run) -> list[tuple[str, str]]:
    """The environment, for people."""
    known: dict[str, Any] = dict(run.environment)
    libraries = known.pop("libraries", None) or {}
    shown = []
    for name, value in known.items():
        if value in (None, ""):
            continue
        is_size = name in ("memory", "swap") and isinstance(value, int | float)
        shown.append((name, size(float(value)) if is_size else str(value)))
    if isinstance(libraries, dict) and libraries:
        shown.append(("libraries", ", ".join(f"{k} {v}" for k, v in libraries.items())))
    return shown


def caps(run: Run) -> list[tuple[str, bool, str]]:
    """The caps that were really in force: in words, whether both were, and in how many trials."""
    seen: dict[str, tuple[bool, int]] = {}
    for trial in run.done:
        held = run.result(trial).caps
        cpus, memory = held.get("cpus"), held.get("memory")
        words = (
            "nothing started, nothing capped"
            if trial.system.kind == "external"
            else f"{f'{figure(cpus)} vCPU' if cpus is not None else 'CPU NOT CAPPED'}, "
            f"{size(memory) if memory is not None else 'memory NOT CAPPED'}"
        )
        if held.get("worker_cpus"):
            words += f", and {figure(held['worker_cpus'])} vCPU, {size(held['worker_memory'])} each worker"
        if held.get("kind") and held["kind"] != "none":
            words += f", by {held['kind']}"
        if held.get("pinned"):
            words += f", pinned to cores {', '.join(str(c) for c in held['pinned'])}"
        whole, n = seen.get(words, (cpus is not None and memory is not None, 0))
        seen[words] = (whole, n + 1)
    return [(words, whole, count(n, "trial")) for words, (whole, n) in seen.items()]


def calibration(run: Run) -> list[dict[str, str]]:
    """What one job took alone, before and after."""
    return [
        {
            "part": c.part,
            "task": c.task,
            "before": seconds(c.before),
            "after": seconds(c.after) if c.after is not None else "not measured",
            "drift": f"× {c.drift:.2f}" if c.drift is not None else "",
            "cpu": seconds(c.cpu),
            "repeats": str(c.repeats),
            "gil": "held" if c.holds_gil else "released",
        }
        for c in run.calibration
    ]


def polling(done: Sequence[Figures]) -> list[dict[str, str]]:
    """What asking cost, for each polled system under each open load."""
    return [
        {
            "trial": f.trial.id,
            "interval": seconds(f.trial.poll_interval),
            "per_job": figure(f.polling.per_job),
            "polls": figure(f.polling.per_second),
            "requests": figure(f.polling.requests_per_second),
            "share": percent(f.polling.box_share),
            "web": figure(f.usage.web_cpu),
        }
        for f in done
        if f.polling.polls and f.trial.shows == "load"
    ]


def column_help() -> dict[str, str]:
    """CSV name by label, for the table's headings."""
    return {c.label: c.name for c in COLUMNS}
