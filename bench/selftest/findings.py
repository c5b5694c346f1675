"""Findings as selftest.json: all that terminal, page and other programs show of a self-test. Pure."""

import math
from collections.abc import Mapping
from typing import Any

from bench.analysis.trial.latency import Curve
from bench.selftest import tool
from bench.selftest.catalogue import Catalogue
from bench.selftest.checks import Check
from bench.selftest.judging import Findings, in_words, shown

FORMAT = 1
"""Version of selftest.json."""


def to_json(
    findings: Findings, catalogue: Catalogue, state: Mapping[str, Any], broken: str | None
) -> dict[str, Any]:
    """Plain JSON types; times in seconds, figures that do not exist as null, infinity as "not reached"."""
    return {
        "format": FORMAT,
        "id": state["id"],
        "started": state["started"],
        "command": state["command"],
        "environment": state["environment"],
        "passed": not findings.unmet,
        "broken": broken,
        "unmet": findings.unmet,
        "repeats": state["selftest"]["repeats"],
        "disturbed": state["selftest"]["disturbed"],
        "scenarios": {s.name: s.what for s in catalogue.scenarios},
        "checks": [_check(check) for check in findings.checks],
        "noticed": dict(findings.noticed),
        "alike": {
            "comparisons": findings.alike.comparisons,
            "differing": findings.alike.differing,
            "allowed": findings.alike.allowed,
            "verdicts": findings.alike.verdicts,
        },
        "tool": _tool(findings),
        "stall": {
            "p": findings.effect.p,
            "seconds": findings.effect.stall,
            "truth": _number(findings.effect.truth),
            "open": _number(findings.effect.open),
            "closed": _number(findings.effect.closed),
            "curves": {name: _curve(curve) for name, curve in findings.effect.curves.items()},
        },
    }


def _check(check: Check) -> dict[str, Any]:
    off = check.deviation
    return {
        "scenario": check.scenario,
        "figure": check.figure,
        "unit": check.unit,
        "truth": _number(check.truth),
        "measured": _number(check.measured),
        "deviation": off if math.isfinite(off) else None,
        "limit": check.limit,
        "passed": check.passed,
        "words": {
            "truth": shown(check.truth, check.unit),
            "measured": shown(check.measured, check.unit),
            "whole": in_words(check),
        },
    }


def _tool(findings: Findings) -> str:
    """Which independent tool measured, and how fast; or why none did."""
    reading = findings.reading
    if findings.tool_name is None:
        return tool.INSTALL
    if reading is None:
        return f"{findings.tool_name} said nothing that can be read"
    return f"{reading.tool} with {reading.connections} connections: {reading.rate:.1f} answers/s"


def _number(value: float | None) -> float | str | None:
    if value is None or math.isnan(value):
        return None
    return value if math.isfinite(value) else "not reached"


def _curve(curve: Curve) -> dict[str, Any]:
    return {"p": list(map(float, curve.p)), "value": list(map(float, curve.value)), "n": curve.n}
