"""Reads a run folder and has it analysed. The only I/O on the way in."""

from pathlib import Path

from bench.analysis import Analysis, Run, RunDescriptionError, TableError, Tables, analyse
from bench.records import RunFolder, RunFolderError


def read(path: Path) -> Analysis:
    """Analyse the run in a folder. Raises RunFolderError, in one line, when it is not one or is damaged."""
    folder = RunFolder(path)
    try:
        run = Run.from_json(folder.read_run())
    except RunDescriptionError as error:
        raise RunFolderError(f"{folder.run_json} is damaged: {error}. Run the experiment again.") from None
    tables = _tables(folder)
    try:
        return analyse(run, tables)
    except TableError as error:
        raise RunFolderError(f"{path} is damaged: {error}. Run the experiment again.") from None


def _tables(folder: RunFolder) -> Tables:
    """The columns that the analysis looks at: of a million jobs, half the time and memory."""
    jobs = (
        *("trial", "job", "phase", "arrival", "sent", "accepted", "done", "outcome", "status", "polls"),
        "attempts",
    )
    return Tables(
        jobs=folder.read("jobs", jobs),
        requests=folder.read("requests", ("trial", "kind", "sent")),
        resources=folder.read("resources"),
        executions=folder.read("executions", ("trial", "job", "start", "end", "cut", "cpu", "ok")),
        events=folder.read("events"),
    )
