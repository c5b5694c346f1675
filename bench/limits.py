"""Limits on a change as people write them, and margins: `p95>+10%, timeouts>+1pp`; `5%`. Pure; a leaf."""

import re
from dataclasses import dataclass
from typing import Literal

EXAMPLE = "p95>+10%, goodput<-5%, timeouts>+1pp"

_LIMIT = re.compile(r"\s*([a-z][a-z0-9-]*)\s*([<>])\s*([+-]?)\s*(\d+(?:\.\d+)?|\.\d+)\s*(%|pp)\s*")
_MARGIN = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(%|pp)\s*")


@dataclass(frozen=True)
class Limit:
    """A change of one metric that is too much."""

    metric: str
    sign: Literal["<", ">"]
    amount: float
    """A share, with its sign: +0.10 for +10 % or for +10 percentage points."""
    points: bool
    """Whether it is a difference in percentage points, not a change in proportion."""
    text: str
    """As it was written."""


@dataclass(frozen=True)
class Margin:
    """Within what two figures are the same."""

    ratio: float = 0.05
    """0.05: ratios between 1/1.05 and 1.05."""
    points: float = 0.01
    """0.01: shares within one percentage point."""


def parse_limits(text: str) -> tuple[Limit, ...]:
    """Read a list of limits. Raises ValueError with what would be right; all of them at once."""
    found, wrong = [], []
    for part in text.split(","):
        try:
            found.append(_limit(part))
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise ValueError("; ".join(wrong))
    return tuple(found)


def parse_margin(text: str) -> Margin:
    """Read `5%`, `2pp` or both, comma-separated. Raises ValueError."""
    given = {}
    for part in text.split(","):
        match = _MARGIN.fullmatch(part)
        if match is None or match[2] in given:
            raise ValueError(f'{text!r} is not a margin; write for example "5%", "2pp" or "5%,2pp"')
        given[match[2]] = float(match[1]) / 100
    return Margin(given.get("%", Margin.ratio), given.get("pp", Margin.points))


def _limit(part: str) -> Limit:
    match = _LIMIT.fullmatch(part)
    if match is None:
        raise ValueError(f'{part.strip()!r} is not a limit on a change; write for example "{EXAMPLE}"')
    metric, sign, plus, amount, unit = match.groups()
    if (plus or "+-"[sign == "<"]) != "+-"[sign == "<"]:
        raise ValueError(f'{part.strip()!r} forbids what is no worse; write for example "{EXAMPLE}"')
    share = float(amount) / 100
    if sign == "<" and unit == "%" and share >= 1:
        raise ValueError(f"{part.strip()!r}: nothing falls by 100 % or more")
    return Limit(
        metric,
        "<" if sign == "<" else ">",
        -share if sign == "<" else share,
        unit == "pp",
        "".join(part.split()),
    )
