"""JUnit XML, as GitHub's, GitLab's and Jenkins's readers take it. Pure.

There is no standard, only what is read everywhere: `testsuites`, `testsuite`, `testcase` with `failure`,
`error` or `skipped` (junit-10.xsd of Jenkins' xUnit plugin; GitLab takes a case's suite from `classname`).
"""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["passed", "failed", "skipped", "error"]

_ELEMENTS: dict[Outcome, str] = {"failed": "failure", "skipped": "skipped", "error": "error"}
_FORBIDDEN = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 does not take (section 2.2, Char), and the carriage return, which parsers change."""


@dataclass(frozen=True)
class Case:
    """One thing that went well or not."""

    name: str
    """The same from run to run, so that a reader of many can follow it."""
    group: str
    """Dotted, as classes are: `quick.load`."""
    seconds: float
    outcome: Outcome
    text: str = ""
    """Why, the first line the shortest; of a passed case what it found."""


def document(cases: Iterable[Case], name: str = "queuebench") -> str:
    """All cases as one XML document, a suite for each group."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.group, []).append(case)
    everything = [case for held in groups.values() for case in held]
    root = ET.Element("testsuites", {"name": _safe(name), **_counts(everything)})
    for group, held in groups.items():
        suite = ET.SubElement(root, "testsuite", {"name": _safe(group), **_counts(held)})
        for case in held:
            _add(suite, case)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _counts(cases: Sequence[Case]) -> dict[str, str]:
    outcomes = [case.outcome for case in cases]
    return {
        "tests": str(len(cases)),
        "failures": str(outcomes.count("failed")),
        "errors": str(outcomes.count("error")),
        "skipped": str(outcomes.count("skipped")),
        "time": _time(sum(case.seconds for case in cases if math.isfinite(case.seconds))),
    }


def _add(suite: ET.Element, case: Case) -> None:
    element = ET.SubElement(
        suite,
        "testcase",
        {"name": _safe(case.name), "classname": _safe(case.group), "time": _time(case.seconds)},
    )
    text = _safe(case.text)
    if case.outcome == "passed":
        if text:
            ET.SubElement(element, "system-out").text = text
        return
    told = ET.SubElement(element, _ELEMENTS[case.outcome], {"message": text.partition("\n")[0]})
    told.text = text


def _time(seconds: float) -> str:
    return f"{seconds if math.isfinite(seconds) else 0.0:.3f}"


def _safe(text: str) -> str:
    return _FORBIDDEN.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
