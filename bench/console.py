"""The terminal, as every verb writes to it. A leaf."""

from rich.console import Console


def terminal(*, stderr: bool = False) -> Console:
    """Return stdout, or stderr, as what takes text as it stands: no markup, no `:x` that becomes an emoji.

    Text is wrapped to the width of a terminal, and nowhere else: whoever reads a pipe or the log of a CI
    wants whole lines.
    """
    made = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    made.soft_wrap = not made.file.isatty()  # not `is_terminal`, which FORCE_COLOR in a CI makes true
    return made
