"""Claims as data: one TOML file each, checked strictly, all errors of a folder at once."""

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from bench.analysis.comparing.claims import MARGIN, Combine, Limits, Measure
from bench.spec import SpecError
from bench.units import parse_duration

Expected = Literal["reproduced", "refuted"]
Unit = Literal["seconds", "share", "times", "number"]
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")


def _limit(value: Any) -> float:
    """A limit as people write it: `10s`, `50%`, `1.2`."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?\s*%", value.strip()):
        return float(value.strip().removesuffix("%")) / 100
    if isinstance(value, str):
        duration = parse_duration(value)
        if not duration.in_service_times:
            return duration.amount
    raise ValueError(f'{value!r} is not a limit; write for example 1.2, "10s" or "50%"')


def _several(value: Any) -> Any:
    return (
        {column: tuple(wanted) if isinstance(wanted, list) else (wanted,) for column, wanted in value.items()}
        if isinstance(value, dict)
        else value
    )


_Limit = Annotated[float, BeforeValidator(_limit)]
_Selection = Annotated[dict[str, tuple[str | int | float, ...]], BeforeValidator(_several)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MeasureSpec(_Strict):
    """What is measured: a column of trials.csv, or a figure of a lab."""

    metric: str
    select: _Selection = {}
    over: _Selection | None = None
    per: str = ""
    against: str = ""
    combine: Combine = "one"
    scale: Annotated[float, Field(gt=0)] = 1.0
    unit: Unit = "number"
    """How the figure is shown."""

    @property
    def measure(self) -> Measure:
        """For the analysis."""
        return Measure(self.metric, self.select, self.over, self.per, self.against, self.combine, self.scale)


class Also(MeasureSpec):
    """A further figure, shown beside the verdict."""

    label: str


class Holds(_Strict):
    """What the figure must be for the claim to hold."""

    above: _Limit | None = None
    below: _Limit | None = None
    margin: Annotated[float, Field(ge=0, lt=1)] = MARGIN

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.above is None and self.below is None:
            raise ValueError("give above, below or both")
        if self.above is not None and self.below is not None and self.above >= self.below:
            raise ValueError("above must be less than below")
        return self

    @property
    def limits(self) -> Limits:
        """For the analysis."""
        return Limits(
            above=-math.inf if self.above is None else self.above,
            below=math.inf if self.below is None else self.below,
            margin=self.margin,
        )


class ClaimSpec(_Strict):
    """One file."""

    text: Annotated[str, Field(min_length=1)]
    """What is claimed, in our own words."""
    source: Annotated[str, Field(min_length=1)]
    expected: Expected
    """The verdict when it was written down."""
    absolute: bool = False
    """In seconds or bytes of this machine: it holds here or not, and never fails a build."""
    part: str = ""
    """Part of the profile's experiment, or of `experiment`, whose trials count; `*` stands for any text."""
    lab: str = ""
    """Instead: the lab whose figures are looked at."""
    experiment: str = ""
    """An experiment file of the claim's own, beside its file; it serves every profile."""
    measure: MeasureSpec
    holds: Holds
    also: tuple[Also, ...] = ()
    remark: str = ""
    """What a reader should know beside the verdict."""

    @model_validator(mode="after")
    def _has_one_place(self) -> Self:
        if bool(self.part) == bool(self.lab):
            raise ValueError("give either part or lab: where the figure comes from")
        if self.lab and self.experiment:
            raise ValueError("an experiment has parts; a lab has none")
        return self


class Claim(_Strict):
    """A claim and its name, which is its file's."""

    id: str
    spec: ClaimSpec
    file: str
    own_experiment: Path | None = None


def built_in() -> tuple[Claim, ...]:
    """The claims of the two source texts, in order. Raises SpecError, which would be our own fault."""
    return _read(resources.files("bench") / "claims")


def read_claims(folder: Path) -> tuple[Claim, ...]:
    """Every `*.toml` of a folder, by name. Raises SpecError with all errors at once, each with its file."""
    if not folder.is_dir():
        raise SpecError(f"--claims {folder}: not a folder")
    found = _read(folder)
    if not found:
        raise SpecError(f"--claims {folder}: there is no claim in it, that is no file named *.toml")
    return found


def _read(folder: Traversable) -> tuple[Claim, ...]:
    claims, wrong = [], []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_file() and entry.name.endswith(".toml"):
            try:
                claims.append(_claim(entry, folder))
            except SpecError as error:
                wrong.append(str(error))
    if wrong:
        raise SpecError("\n".join(wrong))
    return tuple(claims)


def _claim(entry: Traversable, folder: Traversable) -> Claim:
    name = entry.name.removesuffix(".toml")
    try:
        data = tomllib.loads(entry.read_text(encoding="utf-8"))
        spec = ClaimSpec.model_validate(data)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SpecError(f"{entry.name}: can't be read: {error}") from None
    except ValidationError as error:
        raise SpecError("\n".join(_errors(entry.name, error))) from None
    if not NAME.fullmatch(name):
        raise SpecError(f"{entry.name}: a claim's file name has small letters, digits and hyphens only")
    own = Path(str(folder / spec.experiment)) if spec.experiment else None
    return Claim(id=name, spec=spec, file=entry.name, own_experiment=own)


def _errors(file: str, error: ValidationError) -> Iterator[str]:
    for one in error.errors():
        yield f"{file}: {_where(one['loc'])}{_what(one)}"


def _where(loc: tuple[int | str, ...]) -> str:
    return f"{'.'.join(str(step) for step in loc)}: " if loc else ""


def _what(error: Mapping[str, Any]) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "missing":
        return "missing"
    message = str(error["msg"]).removeprefix("Value error, ")
    return message if kind == "value_error" else f"{message} (found {error.get('input')!r})"
