"""Reads a run folder and has it analysed. The only I/O on the way in."""

from pathlib import Path

from bench.analysis import Analysis, Run, RunDescriptionError, TableError, Tables, analyse
from bench.records import RunFolder, RunFolderError


def read(path: Path) -> Analysis:
    """Analyse the run in a folder. Raises RunFolderError, in one line, when it is not one or is damaged."""
    run, folder = describe(path), RunFolder(path)
    try:
        return analyse(run, tables(folder))
    except TableError as error:
        raise RunFolderError(f"{path} is damaged: {error}. Run the experiment again.") from None


def describe(path: Path) -> Run:
    """What run.json alone says. Raises RunFolderError like `read`."""
    folder = RunFolder(path)
    try:
        return Run.from_json(folder.read_run())
    except RunDescriptionError as error:
        raise RunFolderError(f"{folder.run_json} is damaged: {error}. Run the experiment again.") from None


def tables(folder: RunFolder) -> Tables:
    """The columns that the analysis looks at: of a million jobs, half the time and memory.

    Raises RunFolderError.
    """
    jobs = ("trial", "job", "phase", "arrival", "sent", "accepted", "done", "outcome", "status", "polls",
            "wait", "run", "attempts")  # fmt: skip
    return Tables(
        jobs=folder.read("jobs", jobs, few=("trial", "phase", "outcome")),
        requests=folder.read("requests", ("trial", "kind", "sent"), few=("trial", "kind")),
        resources=folder.read("resources"),
        executions=folder.read(
            "executions", ("trial", "job", "start", "end", "cut", "cpu", "ok"), few=("trial",)
        ),
        events=folder.read("events"),
    )
