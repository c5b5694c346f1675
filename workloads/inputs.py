"""Reading inputs: JSON that came from outside, and the checks that tasks share.

Everything here answers a bad value with InvalidInput, in one line that says what was wanted and what came.
"""

import json
import math
from collections.abc import Collection
from typing import Any, NoReturn

from workloads.task import InvalidInput

MAX_NUMBER_DIGITS = 4_000
"""Longest number read from JSON. Without a limit a client could keep a server busy for minutes by sending one
long number, because servers lift Python's own limit (4,300 digits) for the sake of long results."""


def parse_json(text: str | bytes) -> Any:
    """Read JSON from outside, strictly: no NaN or Infinity, no number without end, no endless nesting.

    Raises InvalidInput.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text), "surrogatepass")
        return _DECODER.decode(text)
    except RecursionError:
        raise InvalidInput("this is not usable JSON: it is nested too deeply") from None
    except ValueError as error:
        raise InvalidInput(f"this is not JSON: {error}") from None


def finite(text: str) -> float:
    """Read a JSON number with a fraction or an exponent. Raises ValueError for one beyond a double's range.

    `1e400` would be read as infinity, which no JSON can tell on.
    """
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def from_text(text: str) -> Any:
    """Read an input that came as text, as in `?no=5`: as JSON where it is JSON, else as the text itself."""
    try:
        return parse_json(text)
    except InvalidInput:
        return text


def number(value: Any, what: str, low: float, high: float) -> float:
    """A finite number in [low, high], as a float; text and booleans are no numbers. Raises InvalidInput."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"{what} must be a number, not {shown(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput(f"{what} must be a finite number, not {shown(value)}")
    if not low <= value <= high:
        raise InvalidInput(f"{what} must be from {low:,g} to {high:,g}, not {shown(value)}")
    return float(value)


def whole(value: Any, what: str, low: int, high: int) -> int:
    """Return a whole number in [low, high]; 5.0, "5" and true are none. Raises InvalidInput."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(f"{what} must be a whole number, not {shown(value)}")
    if not low <= value <= high:
        raise InvalidInput(f"{what} must be from {low:,} to {high:,}, not {shown(value)}")
    return value


def fields(
    value: Any, form: str, required: Collection[str], optional: Collection[str] = ()
) -> dict[str, Any]:
    """Return a JSON object that has all required and no unknown fields. `form` says how one looks.

    Raises InvalidInput.
    """
    if not isinstance(value, dict):
        raise InvalidInput(f"the input must look like {form}, not {shown(value)}")
    missing = [name for name in required if name not in value]
    if missing:
        raise InvalidInput(f"the input lacks {', '.join(missing)}; it must look like {form}")
    unknown = [shown(name) for name in value if name not in required and name not in optional]
    if unknown:
        raise InvalidInput(f"the input has the unknown field {', '.join(unknown)}; it must look like {form}")
    return value


def shown(value: Any) -> str:
    """Show a value of unknown origin in an error message: short, on one line, never expensive."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of about {int(value.bit_length() * math.log10(2)) + 1:,} digits"
    if isinstance(value, dict):
        return "a JSON object" if value else "an empty JSON object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    text = repr(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 60 else text[:57] + "…"


def _bounded_int(digits: str) -> int:
    if len(digits) > MAX_NUMBER_DIGITS:
        raise ValueError(
            f"it holds a number of {len(digits):,} digits, and {MAX_NUMBER_DIGITS:,} is the limit"
        )
    return int(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(parse_int=_bounded_int, parse_float=finite, parse_constant=_refuse_constant)
# (`json.loads` would make one for each text)
