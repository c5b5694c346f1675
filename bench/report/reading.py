"""Reads a run folder and has it analysed. The only I/O on the way in."""

from pathlib import Path

from bench.analysis import (
    Analysis,
    Figures,
    Run,
    RunDescriptionError,
    TableError,
    Tables,
    analyse,
    judged,
    trial_figures,
)
from bench.records import RunFolder, RunFolderError


def read(path: Path) -> Analysis:
    """Analyse the run in a folder. Raises RunFolderError, in one line, when it is not one or is damaged."""
    run, folder = describe(path), RunFolder(path)
    if run.done and not folder.has("jobs"):
        raise RunFolderError(
            f"{path} has no raw records (jobs.parquet), like the committed reference runs: its page can be "
            "read, but not rebuilt, compared or planned from. Make a run of your own."
        )
    try:
        return analyse(run, tables(folder))
    except TableError as error:
        raise RunFolderError(f"{path} is damaged: {error}. Run the experiment again.") from None


class Growing:
    """A run that is under way, for those whose next trial depends on the last: each is read once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[Figures] = []

    def add(self, trial: str) -> Figures:
        """Analyse a trial that has just been written, and judge it beside those before it.

        Raises RunFolderError like `read`.
        """
        run, folder = describe(self._path), RunFolder(self._path)
        try:
            self._rows.append(trial_figures(run, tables(folder, trial), trial))
        except TableError as error:
            raise RunFolderError(f"{self._path} is damaged: {error}. Run the experiment again.") from None
        return judged(self._rows, run)[-1]


def describe(path: Path) -> Run:
    """What run.json alone says. Raises RunFolderError like `read`."""
    folder = RunFolder(path)
    try:
        return Run.from_json(folder.read_run())
    except RunDescriptionError as error:
        raise RunFolderError(f"{folder.run_json} is damaged: {error}. Run the experiment again.") from None


def tables(folder: RunFolder, trial: str | None = None) -> Tables:
    """The columns that the analysis looks at: of a million jobs, half the time and memory.

    Of one trial, or of all. Raises RunFolderError.
    """
    jobs = ("trial", "job", "phase", "arrival", "sent", "accepted", "done", "outcome", "status", "polls",
            "wait", "run", "attempts")  # fmt: skip
    return Tables(
        jobs=folder.read("jobs", jobs, few=("trial", "phase", "outcome"), trial=trial),
        requests=folder.read("requests", ("trial", "kind", "sent"), few=("trial", "kind"), trial=trial),
        resources=folder.read("resources", trial=trial),
        executions=folder.read(
            "executions", ("trial", "job", "start", "end", "cut", "cpu", "ok"), few=("trial",), trial=trial
        ),
        events=folder.read("events", trial=trial),
    )
