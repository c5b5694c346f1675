"""What a run gives besides its folder: objectives checked, and files for machines; for `run` and `report`."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench import exits, folders, request
from bench.analysis import Analysis
from bench.analysis.across.objectives import State, check
from bench.expand import expand
from bench.plan import Box, Trial, Work
from bench.slo import Slo, misfit, parse_slo
from bench.spec import Experiment, SpecError


@dataclass(frozen=True)
class Outputs:
    """What the command line asked for, read."""

    slos: tuple[Slo, ...] = ()
    junit: Path | None = None
    json: Path | None = None
    markdown: Path | None = None

    def __bool__(self) -> bool:
        return bool(self.slos) or any(self.files.values())

    @property
    def files(self) -> dict[str, Path | None]:
        """Each file by its option."""
        return {"--junit": self.junit, "--json": self.json, "--markdown": self.markdown}


def outputs(slo: Sequence[str], junit: Path | None, json: Path | None, markdown: Path | None) -> Outputs:
    """Read the options. Raises SpecError: every mistake, one a line, before anything is run."""
    slos, wrong = [], []
    for text in slo:
        try:
            slos.append(parse_slo(text))
        except ValueError as error:
            wrong.append(f"--slo {text!r}: {error}")
    wanted = Outputs(tuple(slos), junit, json, markdown)
    for option, path in wanted.files.items():
        if path is not None and (why := folders.file_trouble(path)):
            wrong.append(f"{option} {path}: {why}")
    if wrong:
        raise SpecError("\n".join(wrong))
    return wanted


def fit_experiment(wanted: Outputs, experiment: Experiment, url: str | None) -> None:
    """Refuse objectives for systems or loads that the experiment does not have. Raises SpecError."""
    if not wanted.slos:
        return
    # Which systems meet which loads does not depend on how long a job takes: any S will do.
    works = {part.name: Work("", None, 1.0, 1.0) for part in experiment.parts}
    _fit(wanted.slos, expand(experiment, works, request.systems(experiment, url), Box(1.0, 2**30)))


def fit_run(wanted: Outputs, run: Path) -> None:
    """The same for a run that took place. Raises SpecError, and RunFolderError where it is not a run."""
    if wanted.slos:
        from bench.report import reading

        _fit(wanted.slos, reading.describe(run).trials)


def _fit(slos: Sequence[Slo], trials: Sequence[Trial]) -> None:
    wrong = [f"--slo {slo.text!r}: {why}" for slo in slos if (why := misfit(slo, trials))]
    if wrong:
        raise SpecError("\n".join(wrong))


def expected(wanted: Outputs) -> bool:
    """Whether anything is to be delivered: asked for, or by whoever runs us."""
    from bench.report import step_summary

    return bool(wanted) or bool(os.environ.get(step_summary.VARIABLE))


def deliver(analysis: Analysis, wanted: Outputs, console: Console, code: int = exits.FINE) -> int:
    """Check the objectives of a run, write the files, and say how it went.

    `code` is the exit code so far; gives the graver of it and the objectives'. Raises OSError where a file
    can't be written.
    """
    from bench.report import cases, figures_json, junit, objective_words, step_summary, summary

    if not expected(wanted):
        return code
    checks = check(wanted.slos, analysis.rows)
    if checks:
        lines = "\n".join(objective_words.terminal(checks))
        console.print(f"\n{lines}", highlight=False, markup=False, soft_wrap=True)
    in_words = summary.markdown(analysis, tuple(objective_words.markdown(checks)))
    step_summary.append(in_words, os.environ)
    if wanted.junit is not None:
        _write(wanted.junit, junit.document(cases.of_run(analysis, checks)))
    if wanted.json is not None:
        _write(wanted.json, figures_json.text(analysis, checks))
    if wanted.markdown is not None:
        _write(wanted.markdown, in_words)
    return exits.gravest(code, _code(c.state for c in checks))


def _code(states: Iterable[State]) -> int:
    held = set(states)
    if held - {"met", "not believable"}:
        return exits.FAILED
    return exits.INVALID if held - {"met"} else exits.FINE


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8", errors="replace")
