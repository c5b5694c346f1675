"""What a search found, for the terminal and as JSON. Pure."""

import math
from dataclasses import dataclass
from typing import Any

from rich.console import Group
from rich.table import Table

from bench.analysis.across.knee import Crossover, Knee
from bench.analysis.across.search import Edge, believed
from bench.analysis.words import count, figure, rate, seconds


@dataclass(frozen=True)
class Found:
    """All of it."""

    system: str
    slo: str
    knees: tuple[Knee, ...]
    crossover: Crossover | None


def terminal(found: Found) -> Group:
    """A table over the worker counts, and a sentence on each."""
    table = Table("workers", "sustains", "not any more", "by S alone", "p50 there", "p95 there", "trials")
    for knee in found.knees:
        there = knee.at(knee.edge.low)
        table.add_row(
            "–" if knee.workers is None else str(knee.workers),
            _sustained(knee),
            rate(knee.edge.high) if math.isfinite(knee.edge.high) else "–",
            rate(knee.capacity),
            *("–" if there is None or there.response[p] is None else seconds(there.response[p] or 0.0)
              for p in (0.5, 0.95)),
            str(len(knee.rungs)),
        )  # fmt: skip
    lines = [sentence(found, knee) for knee in found.knees]
    if found.crossover is not None:
        lines.append(crossing(found.system, found.crossover))
    return Group(table, *lines)


def _sustained(knee: Knee) -> str:
    if not believed(knee.rungs):
        return "–"
    return rate(knee.edge.low) if knee.edge.low else "nothing"


def sentence(found: Found, knee: Knee) -> str:
    """How much, within what."""
    who = found.system + (f" with {count(knee.workers, 'worker')}" if knee.workers is not None else "")
    if not believed(knee.rungs):
        return f"{who}: no trial could be believed, so nothing can be said."
    if knee.edge.hidden:
        return f"{who}: {_hidden(knee.edge, found.slo)}"
    if knee.edge.low == 0:
        return f"{who} does not keep {found.slo} even at {rate(knee.edge.high)}."
    if math.isinf(knee.edge.high):
        return f"{who} keeps {found.slo} even at {rate(knee.edge.low)}, the highest rate measured."
    return (
        f"{who} keeps {found.slo} up to between {figure(knee.edge.low)} and {rate(knee.edge.high)}, "
        f"{figure(knee.edge.middle / knee.capacity)} of what S alone would allow."
    )


def _hidden(edge: Edge, slo: str) -> str:
    """What can be said where the edge lies among rates that could not be measured."""
    known = f"keeps {slo} at {rate(edge.low)}" if edge.low else f"nothing is known of where it keeps {slo}"
    fails = f", and not at {rate(edge.high)}" if math.isfinite(edge.high) else ""
    return f"{known}{fails}; {rate(edge.blind)} could not be measured: generator or machine is the limit."


def crossing(system: str, found: Crossover) -> str:
    """From where on which of the two, and what it costs below."""
    low, high, gives = found.edge.low, found.edge.high, f"{system} gives more users a result in time than"
    if not believed(found.rungs):
        return f"{system} against {found.rival}: no trial could be believed, so nothing can be said."
    if found.edge.hidden:
        blind = rate(found.edge.blind)
        return f"From where on {gives} {found.rival} is not known: {blind} could not be measured."
    if low == 0:
        return f"{gives} {found.rival} already at {rate(high)}."
    if math.isinf(high):
        where = f"Up to {rate(low)}, the highest rate measured, {system} gives no more users a result in time"
        return f"{where} than {found.rival}.{_cost(found)}"
    return f"{gives} {found.rival} from between {figure(low)} and {rate(high)} on.{_cost(found)}"


def _cost(found: Crossover) -> str:
    if found.cost is None or not math.isfinite(found.cost):
        return ""
    return f" Below, it {'adds' if found.cost >= 0 else 'saves'} {seconds(abs(found.cost))} (median)."


def as_json(found: Found) -> dict[str, Any]:
    """For found.json: rates in jobs per second, null where there is none, or where nothing was believed."""
    data: dict[str, Any] = {
        "format": 1,
        "system": found.system,
        "slo": found.slo,
        "knees": [
            {
                "workers": knee.workers,
                "sustains": knee.edge.low if believed(knee.rungs) else None,
                "fails": _finite(knee.edge.high),
                "unmeasured": _finite(knee.edge.blind),
                "capacity": knee.capacity,
                "trials": [{"rate": r.rate, "kept": r.passed} for r in knee.rungs],
            }
            for knee in found.knees
        ],
    }
    if found.crossover is not None:
        data["crossover"] = {
            "against": found.crossover.rival,
            "workers": found.crossover.workers,
            "not_below": found.crossover.edge.low if believed(found.crossover.rungs) else None,
            "from": _finite(found.crossover.edge.high),
            "unmeasured": _finite(found.crossover.edge.blind),
            "cost_s": _finite(found.crossover.cost),
            "trials": [{"rate": r.rate, "wins": None if r.passed is None else not r.passed}
                       for r in found.crossover.rungs],
        }  # fmt: skip
    return data


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
