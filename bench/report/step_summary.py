"""Markdown for the page of a CI job: appended to the file that GitHub names in $GITHUB_STEP_SUMMARY."""

from collections.abc import Mapping
from pathlib import Path

VARIABLE = "GITHUB_STEP_SUMMARY"
LIMIT = 1024 * 1024
"""Bytes of one step; of a longer file GitHub shows nothing at all ("upload aborted, supports content up to
a size of 1024k")."""
CUT = "\n\n… the rest is left out here: a step's summary is limited to 1 MiB.\n"


def append(markdown: str, environment: Mapping[str, str]) -> bool:
    """Append where the variable is set; whether all or some of it was. Never raises for want of a file: a
    summary is not worth a run.
    """
    name = environment.get(VARIABLE)
    if not name:
        return False
    try:
        file = Path(name)
        used = file.stat().st_size if file.exists() else 0
        content = fitting(markdown.encode("utf-8", "replace") + b"\n", LIMIT - used)
        with file.open("ab") as summary:
            summary.write(content)
    except (OSError, ValueError):
        return False
    return bool(content)


def fitting(content: bytes, room: int) -> bytes:
    """As many whole lines as there is room for, and a word about the rest; nothing where none fits."""
    if len(content) <= room:
        return content
    kept, end, _ = content[: max(0, room - len(CUT.encode()))].rpartition(b"\n")
    return kept + end + CUT.encode() if end else b""
