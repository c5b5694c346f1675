"""Reads what the servers wrote of every execution: one JSON line at the start of a run and one at its end.

The journal is how wasted and repeated work are counted even when the client had gone or the process was
killed. Half a line (a process killed while it wrote) is passed over.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PROBE_PREFIX = "probe-"
"""Jobs that only asked whether the system is ready."""


def executions(journal: Path, died: Mapping[int, float], stopped: float) -> list[dict[str, Any]]:
    """Pair starts with ends into rows of the executions table.

    A run without an end was cut when its process died (`died`: pid → Unix time) or, where that was not seen,
    when the system was stopped (`stopped`, Unix time).
    """
    rows: list[dict[str, Any]] = []
    running: dict[tuple[str, int], dict[str, Any]] = {}
    for line in lines(_read(journal)):
        if line["job"].startswith(PROBE_PREFIX):
            continue
        key = (line["job"], line["pid"])
        if line["event"] == "start":
            row = {
                "job": line["job"],
                "start": line["t"],
                "end": math.nan,
                "cut": math.nan,
                "cpu": math.nan,
                "pid": line["pid"],
                "ok": False,
            }
            rows.append(row)
            running[key] = row
        elif key in running:
            running.pop(key).update(end=line["t"], cpu=line.get("cpu", math.nan), ok=bool(line.get("ok")))
    for row in running.values():
        row["cut"] = max(row["start"], died.get(row["pid"], stopped))
    return rows


def lines(text: str) -> Iterator[dict[str, Any]]:
    """The lines of a journal's text that are whole and tell of a start or an end."""
    for raw in text.splitlines():
        try:
            line = json.loads(raw)
            if line["event"] in ("start", "end") and {"job", "t", "pid"} <= line.keys():
                yield line
        except (ValueError, KeyError, TypeError):
            continue


def _read(journal: Path) -> str:
    try:
        return journal.read_text(errors="replace")
    except FileNotFoundError:
        return ""
