"""What the stack says when it can't do its part."""

from collections.abc import Sequence
from pathlib import Path

TAIL_LINES = 12
"""Lines of a log that a person can take in at once."""


class StackError(Exception):
    """Something of the stack did not start, stop or hold.

    The first line of the message says what; the lines after it show the log's tail and what to do about it.
    """

    def __init__(
        self, what: str, *, log: Path | None = None, telling: Sequence[str] = (), hint: str = ""
    ) -> None:
        """`telling`: the lines of the log that matter, where they are not its last."""
        self.what = what
        self.log = log
        self.hint = hint
        lines = [what]
        if log is not None:
            lines.append(f"  Its log, {log}, {'says' if telling else 'ends'}:")
            lines += [f"    {line}" for line in telling or tail(log) or ["(empty)"]]
        if hint:
            lines.append(f"  {hint}")
        super().__init__("\n".join(lines))


class PortTaken(StackError):
    """A port was free when it was chosen and taken when it was used: try again with another."""


def tail(log: Path, lines: int = TAIL_LINES) -> list[str]:
    """Return the last lines of a log, however long it is; empty when it can't be read."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 300 * lines))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []


def log_says(log: Path, phrases: Sequence[str]) -> bool:
    """Whether one of the phrases stands near the end of a log, in any case."""
    text = "\n".join(tail(log, 60)).lower()
    return any(phrase.lower() in text for phrase in phrases)
