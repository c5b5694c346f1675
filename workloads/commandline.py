"""What the commands of this project have in common: a bad call is answered in one line, with exit code 2."""

import argparse
import sys
from typing import Any, NoReturn

BAD_SETTINGS = 2
"""Exit code of a command that was called wrongly."""


class Parser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line, without the usage before it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Write the line and exit with code 2."""
        fail(self.prog, message)


def fail(program: str, message: str, code: int = BAD_SETTINGS) -> NoReturn:
    """End the program with one line on stderr."""
    sys.stderr.write(f"{program}: {' '.join(message.split())}\n")
    raise SystemExit(code)


def bounded(low: float, high: float, kind: type = int) -> Any:
    """Argument type for argparse: a number of the given kind in [low, high]."""

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            what = "whole number" if kind is int else "number"
            raise argparse.ArgumentTypeError(f"{text!r} is not a {what} from {low:g} to {high:g}")
        return value

    return parse
