"""From rows of figures to the table of verdicts. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from bench import exits
from bench.analysis.comparing.claims import Judgement, MeasureError, Row, Selection, judge, values
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
    trouble: int = exits.FINE
    """Exit code of what went wrong in measuring it: a trial or lab failed, the measure fits no row."""

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
    failed = [r for r in own if r.get("status") == "failed"]
    unbelievable = sum(r.get("validity") == "INVALID" for r in own)
    try:
        found = judge(values(spec.measure.measure, own), spec.holds.limits)
        also = tuple((a.label, _shown(_value(a, own), a.unit)) for a in spec.also)
    except MeasureError as error:
        raise SpecError(f"{claim.file}: {error}") from None
    if failed and not found.repeats:
        found = replace(found, why=f"a trial failed: {str(failed[0].get('reason')).partition(chr(10))[0]}")
    elif unbelievable and not found.repeats:
        found = replace(found, why="no repeat is without an INVALID trial")
    trouble = exits.FAILED if failed else exits.FINE
    return Told(claim, found, measured(found, spec.measure.unit), also, unbelievable, trouble)


def untold(claim: Claim, why: str, trouble: int = exits.FAILED) -> Told:
    """A claim of which nothing was measured, and why."""
    return Told(claim, Judgement("can't tell", why=why), "–", trouble=trouble)


def measured(found: Judgement, unit: Unit) -> str:
    """The figure, and where there are several repeats its interval."""
    if not found.repeats:
        return "–"
    middle = _shown(found.value, unit)
    if found.repeats == 1:
        return middle
    low, high = _shown(found.low, unit), _shown(found.high, unit)
    return f"{middle} ({f'{low} to {high}, ' if low != high else ''}{found.repeats} repeats)"


def asked(claim: Claim) -> str:
    """Where a claim is measured, and what would bear it out: `lab shares: share_… above 95 %`."""
    spec = claim.spec
    place = f"lab {spec.lab}" if spec.lab else f"part {spec.part}"
    if claim.own_experiment:
        place += f" of {claim.own_experiment.name}"
    measure = spec.measure
    name = measure.metric
    if measure.against:
        name = f"exponent of {name} in {measure.against}"
    if measure.per:
        name += f" / {measure.per}"
    if measure.select or measure.over:
        name += f" ({_chosen(measure.select)}{' over ' + _chosen(measure.over) if measure.over else ''})"
    sides = [
        f"{word} {_limit(limit, measure.unit)}"
        for word, limit in (("above", spec.holds.above), ("below", spec.holds.below))
        if limit is not None
    ]
    return f"{place}: {name} {' and '.join(sides)}"


def _limit(value: float, unit: Unit) -> str:
    """To the digit, unlike what was measured: 99.5 % is not over 99 %."""
    if unit == "seconds":
        return _long(value)
    return f"{100 * value:g} %" if unit == "share" else f"{value:g}{' ×' if unit == 'times' else ''}"


def _chosen(selection: Selection) -> str:
    return ", ".join(f"{column} {' or '.join(map(str, wanted))}" for column, wanted in selection.items())


def exit_code(told: Sequence[Told]) -> int:
    """1 when a claim came out otherwise or could not be measured, 2 where its file is the reason; else 3 when
    one could not be judged for want of good trials.
    """
    lacking = any(not t.judgement.repeats for t in told)
    return exits.gravest(
        *(exits.FAILED for t in told if t.fails),
        *(t.trouble for t in told),
        exits.INVALID if lacking else exits.FINE,
    )


def as_json(told: Sequence[Told]) -> list[dict[str, Any]]:
    """For reproduce.json."""
    return [
        {
            "claim": t.claim.id,
            "text": t.claim.spec.text,
            "source": t.claim.spec.source,
            "experiment": asked(t.claim),
            "absolute": t.claim.spec.absolute,
            "expected": t.claim.spec.expected,
            **{name: _plain(value) for name, value in asdict(t.judgement).items()},
            "measured": t.measured,
            "also": dict(t.also),
            "remark": t.claim.spec.remark,
            "unbelievable": t.unbelievable,
            "trouble": t.trouble,
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
