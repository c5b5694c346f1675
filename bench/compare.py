"""`bench compare`: two runs set side by side, or the two systems of a run that `bench ab` made."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from rich.console import Console

from bench import exits
from bench.analysis import Analysis
from bench.analysis.comparing.contrast import (
    Contrast,
    Metric,
    between_parts,
    between_runs,
    check_limits,
    checks,
    chosen,
)
from bench.analysis.comparing.differences import differences
from bench.limits import Limit, Margin, parse_limits, parse_margin
from bench.records import write_json
from bench.report import contrast as shown
from bench.report.reading import read
from bench.spec import SpecError

Format = Literal["table", "markdown", "json"]
FORMATS: tuple[Format, ...] = ("table", "markdown", "json")
T = TypeVar("T")
PARTS = ("a", "b")
"""The parts of a run that `bench ab` made, one system each."""


@dataclass(frozen=True)
class Wish:
    """How to compare, as it came from the command line."""

    metrics: tuple[str, ...] = ()
    """Names; empty for all."""
    margin: str = "5%,1pp"
    fail_on: str | None = None
    strict: bool = False
    """Whether a limit that can't be judged fails too."""
    different_machines: bool = False
    format: str = "table"


@dataclass(frozen=True)
class Way:
    """How to compare, checked."""

    metrics: tuple[Metric, ...]
    margin: Margin
    limits: tuple[Limit, ...]
    strict: bool
    different_machines: bool
    format: Format


def way(wish: Wish) -> Way:
    """Check what was asked for. Raises SpecError."""
    form = next((f for f in FORMATS if f == wish.format), None)
    if form is None:
        raise SpecError(f"--format {wish.format}: choose from {', '.join(FORMATS)}")
    limits = _said("--fail-on", lambda: parse_limits(wish.fail_on) if wish.fail_on is not None else ())
    _said("--fail-on", lambda: check_limits(limits))
    wanted = {*wish.metrics, *(limit.metric for limit in limits)} if wish.metrics else set()
    return Way(
        metrics=_said("--metric", lambda: chosen(wanted)),
        margin=_said("--margin", lambda: parse_margin(wish.margin)),
        limits=limits,
        strict=wish.strict,
        different_machines=wish.different_machines,
        format=form,
    )


def compare(run_a: Path, run_b: Path | None, wish: Wish, console: Console) -> int:
    """Print the comparison; exit code 0, 1 for a broken limit, 3 where nothing can be compared.

    Raises RunFolderError for what is no run, SpecError for bad usage and for runs of different machines.
    """
    how = way(wish)
    first = read(run_a)
    told = _one(run_a, first, how) if run_b is None else _two(run_a, first, run_b, how)
    present(told, how, console)
    return code(told, how)


def between_systems(analysis: Analysis, how: Way) -> shown.Told:
    """Compare the two systems of a run that `bench ab` made. Raises SpecError for another run."""
    names = []
    for part in PARTS:
        systems = {(t.system.name, t.system.workers) for t in analysis.run.trials if t.part == part}
        if len(systems) != 1:
            raise SpecError(
                f"{analysis.run.id} was not made by `bench ab`: name a second run to compare it with"
            )
        name, workers = systems.pop()
        names.append(f"{name}:{workers}")
    contrast = between_parts(analysis.rows, PARTS, (names[0], names[1]), how.metrics, how.margin)
    return _told(contrast, how)


def present(told: shown.Told, how: Way, console: Console) -> None:
    """Print the comparison in the form asked for."""
    if how.format == "json":
        console.print(
            json.dumps(shown.data(told), indent=2, allow_nan=False),
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    elif how.format == "markdown":
        console.print(shown.markdown(told), highlight=False, markup=False, soft_wrap=True, end="")
    else:
        for table in shown.tables(told):
            console.print(table, highlight=False, markup=False)
            console.print()
        for line in shown.lines(told):
            loud = line.startswith(("LIMIT", "TOO FEW", "NOTHING"))
            style = "bold red" if loud else ""
            console.print(line, highlight=False, markup=False, style=style, soft_wrap=True)


def keep(told: shown.Told, folder: Path) -> None:
    """Write compare.json and compare.md into a run folder."""
    write_json(folder / "compare.json", shown.data(told))
    (folder / "compare.md").write_text(shown.markdown(told), encoding="utf-8")


def code(told: shown.Told, how: Way) -> int:
    """The exit code of a comparison."""
    bad = ("broken", "unclear") if how.strict else ("broken",)
    if any(check.outcome in bad for check in told.checks):
        return exits.FAILED
    return exits.INVALID if told.contrast.empty else exits.FINE


def _one(path: Path, analysis: Analysis, how: Way) -> shown.Told:
    if not analysis.run.trials:
        raise SpecError(f"{path} has no trials: name a second run to compare it with")
    return between_systems(analysis, how)


def _two(path_a: Path, first: Analysis, path_b: Path, how: Way) -> shown.Told:
    second = read(path_b)
    apart = differences(first.run, second.run)
    if apart.machine and not how.different_machines:
        listed = "\n".join(f"  {line}" for line in apart.machine)
        raise SpecError(
            f"{path_a} and {path_b} come from different machines:\n{listed}\n"
            "That would be measured along with what you changed. --different-machines compares anyway."
        )
    names = (first.run.id, second.run.id)
    if names[0] == names[1]:
        names = (str(path_a), str(path_b))
    contrast = between_runs(first.rows, second.rows, names, how.metrics, how.margin)
    told = _told(contrast, how)
    return shown.Told(told.contrast, told.checks, apart)


def _told(contrast: Contrast, how: Way) -> shown.Told:
    return shown.Told(contrast, checks(contrast, how.limits))


def _said(option: str, reading: Callable[[], T]) -> T:
    try:
        return reading()
    except ValueError as error:
        raise SpecError(f"{option}: {error}") from None
