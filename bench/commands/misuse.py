"""What is wrong with a command line, in one line: the parser's own words fill a box."""

import re
from collections.abc import Collection, Sequence

from pydantic import ValidationError
from typer import BadParameter, TyperException

WORDS = {
    "int_parsing": "not a whole number",
    "int_from_float": "not a whole number",
    "float_parsing": "not a number",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be at most {le}",
}
"""By pydantic's name of the mistake."""
REWORDED = {
    r"^Got unexpected extra argument\(s\) \((.*)\)$": r"\1: more than is asked for",
    r"^No such (command|option):? '?([^ '.]*)'?\.?": r"\2: no such \1",
    r"^Option '(.*)' requires an argument$": r"\1: its value is missing",
    r" (?:\(Possible options: |Did you mean )([^?)]*)[?)]$": r"; did you mean \1?",
}
"""What the parser says → what we say."""


def line(error: TyperException, arguments: Sequence[str], verbs: Collection[str]) -> str:
    """Say it, and where to read more: `--seed x: not a whole number (bench run --help)`."""
    verb = next((word for word in arguments[:1] if word in verbs), "")
    return f"{_what(error)} ({' '.join(['bench', verb]).strip()} --help)"


def _what(error: TyperException) -> str:
    if isinstance(error, BadParameter) and error.param is not None:
        return _of_parameter(error, error.param.opts[0])
    said = " ".join(error.format_message().split()).rstrip(".")
    # The parser has no exceptions of their own for these; another wording of it is let through as it is.
    for pattern, words in REWORDED.items():
        said = re.sub(pattern, words, said)
    return said


def _of_parameter(error: BadParameter, name: str) -> str:
    cause = error.__cause__
    if not isinstance(cause, ValidationError):
        return f"{name} is needed" if not error.message else f"{name}: {error.message}"
    first = cause.errors()[0]
    words = WORDS.get(first["type"])
    why = words.format(**first.get("ctx", {})) if words else first["msg"]
    return f"{name} {first['input']}: {why}"
