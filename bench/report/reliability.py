"""reliability.html and summary.md: what a storm, a ladder or a soak showed, from its folder alone."""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from bench.records import RunFolderError
from bench.report.page import style, templates

FORMAT = 1
"""Version of chaos.json that is read."""
TERMINAL_ROWS, TERMINAL_CELL = 16, 100
"""Rows of one table, and characters of one cell, on a terminal at most."""
SPARK = (260, 44)
"""Width and height of a small line chart."""


@dataclass(frozen=True)
class Table:
    """One table, as text."""

    title: str
    how: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    alarm: frozenset[int] = frozenset()
    """Rows that say that something went wrong."""
    charts: tuple[Sequence[tuple[float, float]], ...] = ()
    """One line a row, drawn after its last cell; empty: none."""


def read(folder: Path) -> dict[str, Any]:
    """Read chaos.json. Raises RunFolderError."""
    path = folder / "chaos.json"
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path} can't be read: {error}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise RunFolderError(f"{path} is not of a storm that this version reads (format {FORMAT}).")
    return data


def build(folder: Path) -> Path:
    """Write summary.md and reliability.html from chaos.json; returns the page. Raises RunFolderError."""
    data = read(folder)
    (folder / "summary.md").write_text(markdown(data), encoding="utf-8")
    page = folder / "reliability.html"
    page.write_text(render(data), encoding="utf-8")
    return page


def terminal(folder: Path) -> str:
    """What it showed, for a terminal. Raises RunFolderError."""
    data = read(folder)
    lines = [lead(data), ""]
    for table in tables(data):
        lines += [table.title, *_aligned(table), ""]
    lines += [f"! {line}" for line in unmet(data)]
    return "\n".join(lines).rstrip()


def markdown(data: Mapping[str, Any]) -> str:
    """summary.md."""
    lines = [f"# {title(data)}", "", f"`{data['id']}` · {data['started']}", "", _escaped(lead(data)), ""]
    lines += [f"- **{_escaped(line)}**" for line in unmet(data)]
    for table in tables(data):
        lines += ["", f"## {table.title}", "", _escaped(table.how), ""]
        lines += [f"| {' | '.join(map(_escaped, table.head))} |", f"|{' --- |' * len(table.head)}"]
        lines += [f"| {' | '.join(map(_escaped, row))} |" for row in table.rows]
    if data.get("command"):
        lines += ["", f"Repeat with `{data['command']}`."]
    return "\n".join(lines) + "\n"


def render(data: Mapping[str, Any]) -> str:
    """The whole page as text."""
    environment = templates()
    shown = [
        {"table": t, "charts": [Markup(spark(points)) for points in t.charts]}  # our own figures, drawn here
        for t in tables(data)
    ]
    return environment.get_template("reliability.html.j2").render(
        title=title(data),
        id=data["id"],
        started=str(data["started"]).replace("T", " ").replace("+00:00", " UTC"),
        command=data.get("command", ""),
        lead=lead(data),
        unmet=unmet(data),
        shown=shown,
        course=Markup(course(data["storm"]["timeline"])) if "storm" in data else "",  # drawn here
        facts=facts(data),
        style=Markup(style()),  # our own file
        more=Markup((resources.files("bench.report") / "templates" / "reliability.css").read_text()),
    )


def title(data: Mapping[str, Any]) -> str:
    """What the page is called."""
    if "storm" in data:
        return f"What a storm leaves of {data['storm']['system']}"
    if "ladder" in data:
        return "Which measure closes which hole"
    return f"{data['soak']['system']} under steady load"


def lead(data: Mapping[str, Any]) -> str:
    """The most important sentence or two."""
    if "storm" in data:
        return _storm_lead(data["storm"])
    if "ladder" in data:
        return str(data["ladder"]["lead"])
    return str(data["soak"]["lead"])


def unmet(data: Mapping[str, Any]) -> list[str]:
    """What went wrong or was too little, one line each."""
    if "storm" in data:
        return list(data["storm"]["findings"]["unmet"])
    return list((data.get("ladder") or data["soak"])["unmet"])


def tables(data: Mapping[str, Any]) -> list[Table]:
    """Every table of the page."""
    if "storm" in data:
        return list(_storm_tables(data["storm"]))
    return [_plain(table) for table in (data.get("ladder") or data["soak"])["tables"]]


def facts(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The conditions, for people."""
    known = dict(data.get("environment", {}))
    libraries = known.pop("libraries", {})
    shown = [(name, str(value)) for name, value in known.items() if value not in (None, "")]
    if libraries:
        shown += [("libraries", ", ".join(f"{k} {v}" for k, v in libraries.items()))]
    storm = data.get("storm")
    if storm:
        shown += [(name, value) for name, value in storm["settings"].items()]
        shown += [("Redis", storm["store_config"]), ("seed", str(storm["seed"]))]
        shown += [("keys in Redis at the end", str(storm["keys"]))]
    return shown


def spark(points: Sequence[Sequence[float]]) -> str:
    """A small line chart without axes: its words are in the row beside it."""
    width, height = SPARK
    if len(points) < 2:
        return ""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    low, high = min(0.0, *ys), max(ys)
    across, up = (max(xs) - min(xs)) or 1.0, (high - low) or 1.0
    path = " ".join(
        f"{(x - min(xs)) / across * (width - 4) + 2:.1f},{height - 3 - (y - low) / up * (height - 6):.1f}"
        for x, y in zip(xs, ys, strict=True)
    )
    return (
        f'<svg class="spark" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="from {ys[0]:,.0f} to {ys[-1]:,.0f}"><polyline points="{path}"/></svg>'
    )


def course(timeline: Mapping[str, Any]) -> str:
    """The storm's course: jobs per second, with a mark for each strike that names itself when pointed at."""
    accepted: list[int] = timeline["accepted"]
    ended: list[int] = timeline["ended"]
    if len(accepted) < 2:
        return ""
    width, height, left, foot = 1000, 240, 44, 26
    across = (width - left - 6) / (len(accepted) - 1)
    top = max(*accepted, *ended, 1)

    def x(second: float) -> float:
        return left + second * across

    def y(count: float) -> float:
        return height - foot - count / top * (height - foot - 30)

    def anchor(second: int) -> str:
        return "end" if x(second) > width - left else "middle"  # the last word must not be cut off

    def line(name: str, counts: Sequence[int]) -> str:
        points = " ".join(f"{x(n):.1f},{y(count):.1f}" for n, count in enumerate(counts))
        return f'<polyline class="{name}" points="{points}"/>'

    marks = "".join(
        f'<g class="{"seam" if name.startswith("seam") else "strike"}"><title>{escape(name)}</title>'
        f'<rect x="{x(began) - 1:.1f}" y="14" width="{max(2.5, (ended_at - began) * across):.1f}" '
        f'height="{height - foot - 14}"/></g>'
        for began, ended_at, name in timeline["strikes"]
    )
    step = next(s for s in (5, 10, 30, 60, 120, 300, 600, 3600) if len(accepted) / s <= 12 or s == 3600)
    ticks = "".join(
        f'<text x="{x(n):.1f}" y="{height - 8}" text-anchor="{anchor(n)}">{n} s</text>'
        for n in range(0, len(accepted), step)
    )
    scale = "".join(
        f'<text x="{left - 6}" y="{y(n) + 4:.1f}" text-anchor="end">{n:,}</text>' for n in (0, top // 2, top)
    )
    words = f"Jobs accepted and ended in each second of the storm, at most {top:,}"
    return (
        f'<svg class="course" viewBox="0 0 {width} {height}" role="img" aria-label="{words}">'
        f"{marks}{line('accepted', accepted)}{line('ended', ended)}{ticks}{scale}</svg>"
    )


def _storm_lead(storm: Mapping[str, Any]) -> str:
    found = storm["findings"]
    strikes, hits = sum(found["struck"].values()), sum(found["hits"].values())
    bad = found["lost"] + found["wrong"] + found["failed"] + found["changed"] + found["doubled_keys"]
    heads = (
        f"{found['accepted']:,} jobs were accepted while {_count(strikes, 'strike')} and "
        f"{_count(hits, 'death')} at a seam went over {storm['system']}: {found['lost']:,} lost, "
        f"{found['wrong']:,} with a wrong result, "
        f"{found['failed']:,} failed, {found['changed']:,} changed after their end."
    )
    twice = found["duplicates"]
    tail = f" {_count(twice, 'execution')} {'was' if twice == 1 else 'were'} done twice"
    tail += ", which no user could see." if twice and not bad else "."
    return heads + tail


def _storm_tables(storm: Mapping[str, Any]) -> Iterator[Table]:
    found, least = storm["findings"], storm["least"]
    books = (
        ("jobs", found["jobs"], "as the plan had them"),
        ("submissions", found["submissions"], "repeats of users included"),
        ("accepted", found["accepted"], "a 2xx was read"),
        ("done, with the right result", found["done"] - found["wrong"], ""),
        ("lost", found["lost"], "accepted, and no final state after the drain"),
        ("wrong", found["wrong"], "done with another result"),
        ("failed", found["failed"], "ended in another state than done"),
        ("changed", found["changed"], f"of {found['read_again']:,} read again after their end"),
        ("doubled keys", found["doubled_keys"], "a second job under one Idempotency-Key"),
        ("never accepted", found["refused"], "their users gave up"),
        ("executions", found["executions"], "by the journal"),
        ("… that failed on purpose", found["failed_on_purpose"], "the first attempt of some jobs"),
        ("… cut off", found["cut"], "killed in the middle"),
        (
            "… done twice",
            found["duplicates"],
            f"in {found['duplicated_jobs']:,} jobs; the first result stayed",
        ),
        ("met by a strike", f"{found['near']:.0%}", f"{least['near']:.0%} at least"),
    )
    rows = tuple((name, f"{n:,}" if isinstance(n, int) else str(n), what) for name, n, what in books)
    bad = {n for n in (4, 5, 6, 7, 8, 9) if rows[n][1] != "0"}
    yield Table("The books", "Counted from outside: users, journal, final states.",
                ("what", "count", ""), rows, frozenset(bad))  # fmt: skip
    yield _strikes_table(found, least)
    if least["seams"]:
        hits = found["hits"]
        yield Table(
            "Deaths at a seam",
            "A process killed itself between two steps that must not come apart.",
            ("seam", "hits", "at least"),
            tuple((seam, str(hits.get(seam, 0)), str(n)) for seam, n in least["seams"].items()),
            frozenset(n for n, (seam, k) in enumerate(least["seams"].items()) if hits.get(seam, 0) < k),
        )
    yield Table(
        "Time to recover",
        "From each strike to the first job that was accepted after it and had its result.",
        ("strike", "what", "seconds"),
        tuple((str(r["number"]), r["name"], _recovered(r)) for r in found["recoveries"]),
        frozenset(n for n, r in enumerate(found["recoveries"]) if r["seconds"] is None and r["jobs"]),
    )
    if found["refusals"]:
        yield Table(
            "Submissions that were not accepted",
            "What users were told before they tried again.",
            ("answer", "how often"),
            tuple((why, f"{n:,}") for why, n in sorted(found["refusals"].items(), key=lambda p: -p[1])),
        )
    for name, key in (("Lost jobs", "lost_jobs"), ("Jobs that ended badly", "bad_jobs")):
        if found[key]:
            yield Table(
                name,
                "The first of them, as their users saw them.",
                ("request", "job", "state", "what"),
                tuple((j["request"], j["id"], j["state"], _what(j)) for j in found[key]),
                frozenset(range(len(found[key]))),
            )


def _strikes_table(found: Mapping[str, Any], least: Mapping[str, Any]) -> Table:
    rows, alarm = [], set()
    for n, (kind, needed) in enumerate(least["kinds"].items()):
        times = [r["seconds"] for r in found["recoveries"] if r["kind"] == kind and r["jobs"]]
        known = [t for t in times if t is not None]
        struck = found["struck"].get(kind, 0)
        rows.append(
            (
                kind,
                str(struck),
                str(needed),
                _seconds(statistics.median(known)) if known else "",
                _seconds(max(known)) if known and len(known) == len(times) else ("never" if times else ""),
            )
        )
        if struck < needed or len(known) < len(times):
            alarm.add(n)
    return Table(
        "Strikes",
        "Recovered: the first job accepted after the strike has its result.",
        ("kind", "struck", "at least", "recovered, median", "slowest"),
        tuple(rows),
        frozenset(alarm),
    )


def _plain(table: Mapping[str, Any]) -> Table:
    return Table(
        table["title"],
        table["how"],
        tuple(table["head"]),
        tuple(tuple(map(str, row)) for row in table["rows"]),
        frozenset(table.get("alarm", ())),
        tuple(table.get("charts", ())),
    )


def _what(job: Mapping[str, Any]) -> str:
    said = [
        job["changed"],
        f"a second job {job['another']}" if job["another"] else "",
        job["problem"],
        f"unknown {job['unknown']} times" if job["unknown"] else "",
        f"submitted {job['tries']} times" if job["tries"] > 1 else "",
        "its first attempt was to fail" if job["fails"] else "",
        "" if job["keyed"] else "without a key",
    ]
    return "; ".join(word for word in said if word)


def _recovered(recovery: Mapping[str, Any]) -> str:
    return _seconds(recovery["seconds"]) if recovery["jobs"] else "no job came after it"


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f} s"


def _aligned(table: Table) -> list[str]:
    rows = [tuple(_short(cell) for cell in row) for row in table.rows[:TERMINAL_ROWS]]
    widths = [max(len(row[n]) for row in (table.head, *rows)) for n in range(len(table.head))]
    lines = [
        ("! " if n - 1 in table.alarm else "  ")
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for n, row in enumerate((table.head, *rows))
    ]
    if len(table.rows) > TERMINAL_ROWS:
        lines.append(f"  … and {len(table.rows) - TERMINAL_ROWS} more, on the page")
    return lines


def _short(cell: str) -> str:
    return cell if len(cell) <= TERMINAL_CELL else cell[: TERMINAL_CELL - 1] + "…"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
