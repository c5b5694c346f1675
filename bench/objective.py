"""Objectives as people write them: `p95<2s, timeouts<1%`. Pure; a leaf but for `units`."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import ge, gt, le, lt

from bench.units import parse_duration

TIMES = ("p50", "p90", "p95", "p99", "p99.9", "mean")
"""Metrics of the response time, in seconds."""
SHARES = ("timeouts", "errors", "rejected", "lost", "late", "intime")
"""Metrics that are shares of all arrivals, from 0 to 1."""
EXAMPLE = "p95<2s, timeouts<1%"

_ONE = re.compile(r"\s*([a-z]+[0-9.]*)\s*(<=|>=|<|>)\s*(\S+)\s*")
_COMPARE: dict[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


@dataclass(frozen=True)
class Objective:
    """One condition."""

    metric: str
    """One of TIMES and SHARES."""
    sign: str
    limit: float
    """Seconds, or a share from 0 to 1."""
    text: str
    """As it was written."""

    def met(self, value: float) -> bool:
        """Whether a measured value meets it; infinity, for "not reached", never meets an upper limit."""
        return _COMPARE[self.sign](value, self.limit)


def parse_objectives(text: str) -> tuple[Objective, ...]:
    """Read a list of objectives. Raises ValueError with what would be right; all of them at once."""
    found, wrong = [], []
    for part in text.split(","):
        try:
            found.append(_parse(part))
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise ValueError("; ".join(wrong))
    counts = Counter(o.metric for o in found)
    if doubled := [o.text for o in found if counts[o.metric] > 1]:
        raise ValueError(f"each metric may have one limit only: {', '.join(doubled)}")
    return tuple(found)


def all_met(objectives: tuple[Objective, ...], values: Mapping[str, float]) -> bool:
    """Whether all are met; a metric without a value counts as not met, for nobody knows."""
    return all(o.metric in values and o.met(values[o.metric]) for o in objectives)


def _parse(part: str) -> Objective:
    match = _ONE.fullmatch(part)
    if match is None:
        raise ValueError(f'{part.strip()!r} is not an objective; write for example "{EXAMPLE}"')
    metric, sign, limit = match[1], match[2], match[3]
    text = f"{metric}{sign}{limit}"
    if metric in TIMES:
        duration = parse_duration(limit)
        if duration.in_service_times:
            raise ValueError(f'{text}: give the limit in seconds, as in "{EXAMPLE}"')
        return Objective(metric, sign, duration.amount, text)
    if metric in SHARES:
        return Objective(metric, sign, _share(limit, text), text)
    raise ValueError(f"{text}: there is no metric {metric}; choose from {', '.join((*TIMES, *SHARES))}")


def _share(limit: str, text: str) -> float:
    number = limit.removesuffix("%")
    if not re.fullmatch(r"\d+(\.\d+)?", number):
        raise ValueError(f'{text}: {limit} is not a share; write for example "1%" or "0.01"')
    share = float(number) / (100 if limit.endswith("%") else 1)
    if share > 1:
        raise ValueError(f"{text}: a share is at most 100%")
    return share
