"""From rows of figures to the table of verdicts. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from bench import exits
from bench.analysis.claims import Judgement, Measure, MeasureError, Row, judge, selected, values
from bench.analysis.words import figure, percent, seconds
from bench.reproduce.claim import Claim, MeasureSpec, Unit
from bench.spec import SpecError


@dataclass(frozen=True)
class Told:
    """One line of the table."""

    claim: Claim
    judgement: Judgement
    measured: str
    """The figure with its interval, as text."""
    also: tuple[tuple[str, str], ...] = ()
    """Further figures: label and text."""
    unbelievable: int = 0
    """Trials that were left out because their measurement must not be believed."""

    @property
    def differs(self) -> bool:
        """Whether it came out otherwise than was recorded; not being able to tell is no difference."""
        return self.judgement.verdict not in (self.claim.spec.expected, "can't tell")

    @property
    def fails(self) -> bool:
        """Whether that is a failure: times of this machine never are."""
        return self.differs and not self.claim.spec.absolute


def tell(claim: Claim, rows: Sequence[Row]) -> Told:
    """Judge one claim by the rows of its part or lab.

    Raises SpecError where its measure does not fit them.
    """
    spec = claim.spec
    own = [r for r in rows if spec.lab or fnmatchcase(str(r["part"]), spec.part)]
    good = [r for r in own if r.get("validity") != "INVALID"]
    try:
        found = judge(values(spec.measure.measure, whole(spec.measure.measure, own)), spec.holds.limits)
        also = tuple((a.label, _shown(_value(a, good), a.unit)) for a in spec.also)
    except MeasureError as error:
        raise SpecError(f"{claim.file}: {error}") from None
    return Told(claim, found, measured(found, spec.measure.unit), also, len(own) - len(good))


def whole(measure: Measure, rows: Sequence[Row]) -> list[Row]:
    """The rows that may be believed; where several trials are combined, only repeats that have them all.

    The worst of three loads is not the worst of the two that were left.
    """
    doubted = [r for r in rows if r.get("validity") == "INVALID"]
    several = measure.combine != "one" or bool(measure.against)
    lacking = {r.get("repeat") for r in doubted if selected(r, measure.select)} if several else set()
    return [r for r in rows if r not in doubted and r.get("repeat") not in lacking]


def measured(found: Judgement, unit: Unit) -> str:
    """The figure, and where there are several repeats its interval."""
    if not found.repeats:
        return "–"
    middle = _shown(found.value, unit)
    if found.repeats == 1:
        return middle
    return f"{middle} ({_shown(found.low, unit)} to {_shown(found.high, unit)}, {found.repeats} repeats)"


def exit_code(told: Sequence[Told]) -> int:
    """1 when a claim came out otherwise; else 3 when one could not be judged for want of good trials."""
    if any(t.fails for t in told):
        return exits.FAILED
    lacking = any(not t.judgement.repeats for t in told)
    return exits.INVALID if lacking else exits.FINE


def as_json(told: Sequence[Told]) -> list[dict[str, Any]]:
    """For reproduce.json."""
    return [
        {
            "claim": t.claim.id,
            "text": t.claim.spec.text,
            "source": t.claim.spec.source,
            "absolute": t.claim.spec.absolute,
            "expected": t.claim.spec.expected,
            **{name: _plain(value) for name, value in asdict(t.judgement).items()},
            "measured": t.measured,
            "also": dict(t.also),
            "remark": t.claim.spec.remark,
            "unbelievable": t.unbelievable,
            "differs": t.differs,
            "fails": t.fails,
        }
        for t in told
    ]


def _value(also: MeasureSpec, rows: Sequence[Mapping[str, Any]]) -> float:
    found = [v for v in values(also.measure, rows) if not math.isnan(v)]
    return sorted(found)[(len(found) - 1) // 2] if found else math.nan


def _shown(value: float, unit: Unit) -> str:
    if math.isnan(value):
        return "–"
    if unit == "seconds":
        return _long(value)
    if unit == "share":
        return percent(value)
    if math.isinf(value):
        return "not reached"
    return f"{figure(value)} ×" if unit == "times" else "0" if value == 0 else figure(value)


def _long(value: float) -> str:
    return f"{figure(value / 3600)} h" if 5400 <= value < math.inf else seconds(value)


def _plain(value: Any) -> Any:
    """JSON has neither infinity nor NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value
