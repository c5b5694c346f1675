"""trials.csv: one row a trial."""

import csv
import math
from collections.abc import Iterable
from pathlib import Path

from bench.analysis import Figures
from bench.report.columns import COLUMNS, Value, took_place

PLAN = {"trial", "status", "part", "system", "kind", "workers", "task", "load", "repeat", "service_time_s",
        "deadline_s", "capacity_per_s", "reason"}  # fmt: skip
"""Columns that are known of a trial even if it never took place."""


def write(path: Path, rows: Iterable[Figures]) -> None:
    """Write the table. Empty: not known, or too few arrivals to say; `inf`: never reached."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([c.name for c in COLUMNS])
        for f in rows:
            known = took_place(f)
            writer.writerow([_cell(c.value(f)) if known or c.name in PLAN else "" for c in COLUMNS])


def _cell(value: Value) -> str | int:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value
