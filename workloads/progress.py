"""Telling how far a job is, from inside a task.

    from workloads.progress import report

    def task(pages):
        for number, page in enumerate(pages):
            report(number / len(pages), f"page {number + 1} of {len(pages)}")
            ...

Whoever watches the job sees it within about a second. Where nobody listens (the blocking server, a test, a
notebook) it does nothing, so a task may call it always and as often as it likes.
"""

import math
from collections.abc import Callable

MAX_NOTE = 200
"""Characters of a note that are passed on."""

Listener = Callable[[float, str | None], None]


class _Line:
    """Whom this process's tasks report to."""

    listener: Listener | None = None


def report(fraction: float, note: str | None = None) -> None:
    """Tell how far the job is: a fraction from 0 to 1, cut to that, and one line for people if you like.

    Never raises, whatever it is given: a job must not fail for its progress.
    """
    listener = _Line.listener
    if listener is None:
        return
    try:
        share = float(fraction)
        said = str(note).encode(errors="replace").decode()  # half a character could not be told to anybody
        text = None if note is None else " ".join(said.split())[:MAX_NOTE]
    except Exception:  # noqa: BLE001 - a foreign object's own conversion may raise anything
        return
    if not math.isnan(share):
        listener(min(1.0, max(0.0, share)), text)


def listen(listener: Listener | None) -> None:
    """Have this process's reports told to `listener`, which must not raise; None: to nobody again."""
    _Line.listener = listener
