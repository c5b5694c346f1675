"""A run's figures as one JSON document, for programs. Pure. docs/continuous-integration.md describes it."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.analysis import Analysis, Figures
from bench.analysis.across.objectives import Check
from bench.report.columns import COLUMNS, took_place
from bench.report.table import PLAN

FORMAT = 1
"""Version of the document. Keys may be added to it; one that goes, or means something else, raises it."""


def text(analysis: Analysis, checks: Sequence[Check]) -> str:
    """The document. What is not known is null; what was never reached is "inf"."""
    return (
        json.dumps(_plain(document(analysis, checks)), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )


def document(analysis: Analysis, checks: Sequence[Check]) -> dict[str, Any]:
    """The document as Python values, NaN and infinity still in it."""
    run = analysis.run
    return {
        "format": FORMAT,
        "run": {
            "id": run.id,
            "name": run.name,
            "title": run.title,
            "command": run.command,
            "started": run.started,
            "finished": run.finished,
            "seed": run.seed,
        },
        "experiment": run.experiment,
        "environment": run.environment,
        "box": {"cpus": run.cpus, "memory_bytes": run.memory, "capped": run.capped},
        "calibration": [asdict(c) for c in run.calibration],
        "service_time_s": run.service_time,
        "reference_capacity_per_s": run.reference_capacity,
        "deadline_s": run.deadline,
        "trials": [_trial(f) for f in analysis.rows],
        "objectives": [_objective(c) for c in checks],
        "verdict": {
            "lead": analysis.verdict.lead,
            "findings": [{"key": f.key, "label": f.label, "text": f.text} for f in analysis.verdict.findings],
        },
        "notes": [{"tone": n.tone, "text": n.text} for n in analysis.notes],
    }


def _trial(f: Figures) -> dict[str, Any]:
    known = took_place(f)
    figures = {c.name: c.value(f) if known or c.name in PLAN else None for c in COLUMNS}
    reasons = [asdict(reason) for reason in f.validity.reasons]
    return {**figures, "validity_reasons": reasons}


def _objective(check: Check) -> dict[str, Any]:
    trial, objective = check.trial, check.objective
    return {
        "part": trial.part,
        "system": trial.system.name,
        "workers": trial.system.workers,
        "load": trial.load.label,
        "objective": objective.text,
        "metric": objective.metric,
        "sign": objective.sign,
        "limit": objective.limit,
        "value": check.value,
        "state": check.state,
        "reason": check.why,
    }


def _plain(value: Any) -> Any:
    """JSON knows neither infinity nor NaN (RFC 8259, section 6)."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, Mapping):
        return {str(key): _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
