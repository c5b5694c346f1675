"""Where a call writes to: new folders, tried out before anything runs, and what an interruption leaves."""

import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile

from rich.console import Console

from bench import exits
from bench.spec import SpecError

REPORTS = Path("reports")


def new(name: str, reports: Path = REPORTS) -> Path:
    """Choose a folder that does not exist yet: `reports/NAME-TIME`, in UTC."""
    return reports / f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def check(option: str, folder: Path) -> None:
    """Raise SpecError, with the option, for a folder that can't be made or written to."""
    if why := trouble(folder):
        raise SpecError(f"{option} {folder}: {why}")


def check_new(folder: Path) -> None:
    """Raise SpecError where `--output` can't be made, or has something in it already."""
    if why := new_trouble(folder):
        raise SpecError(why)


def new_trouble(folder: Path) -> str | None:
    """Say what is wrong with the folder of `--output`; None where nothing is."""
    why = trouble(folder)
    if why is None and folder.exists() and any(folder.iterdir()):
        why = "there is something in it already; name another folder"
    return why and f"--output {folder}: {why}"


def trouble(folder: Path) -> str | None:
    """Say why a folder can't be made or written to; None where it can.

    Tried out, because permissions tell root nothing of /proc or of a disk that is read-only; leaves nothing.
    """
    made: list[Path] = []
    try:
        for step in reversed((folder, *folder.parents)):
            if not step.exists():
                step.mkdir()
                made.append(step)
            elif not step.is_dir():
                why = "is not a folder"
                return why if step == folder else f"can't be made ({step} {why})"
    except OSError as error:
        return f"can't be made ({error.strerror})"
    else:
        return _closed(folder)
    finally:
        for step in reversed(made):
            with suppress(OSError):  # somebody else has put something there
                step.rmdir()


def _closed(folder: Path) -> str | None:
    try:
        with TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return f"can't be written to ({error.strerror})"


def file_trouble(path: Path) -> str | None:
    """Say why a file can't be written, or its folder made; None where it can."""
    try:
        if path.is_dir():
            return "is a folder; name a file"
        if path.is_file():
            path.open("ab").close()
        if path.exists():  # /dev/stdout, say: nothing to be tried
            return None
    except OSError as error:
        return f"can't be written to ({error.strerror})"
    why = trouble(path.parent)
    return why and f"its folder {why}"


def interrupted(console: Console, folder: Path, *, recorded: bool) -> int:
    """Say what an interrupted call leaves, which nothing can go on with; gives the exit code.

    `folder` is the call's own. It is removed where nothing is `recorded`: logs alone are of no use.
    """
    console.print("\ninterrupted; everything that was started has been ended", highlight=False)
    if recorded:
        console.print(
            f"What was recorded lies in {folder}; it can't be continued: begin again.",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return exits.INTERRUPTED
