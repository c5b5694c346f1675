"""Experiment files: what a person writes, checked strictly, all errors at once, each with its line.

The schema is the pydantic models below; `load` reads a file or a built-in experiment by name. What is
relative (times in S, rates in C) stays relative here; `bench.expand` resolves it once S is known.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from bench.plan import Arrivals, Kind, RetryPolicy, Shows
from bench.units import (
    Duration,
    Rate,
    format_size,
    parse_duration,
    parse_rate,
    parse_share,
    parse_size,
)

BUILT_IN_SYSTEMS = (
    "blocking",
    "gunicorn",
    "bounded",
    "as-published",
    "as-published-restarted",
    "queued",
    "queued-api",
)


def _above_zero(value: Duration) -> Duration:
    if value.amount <= 0:
        raise ValueError("must be above 0")
    return value


_Duration = Annotated[
    Duration,
    BeforeValidator(lambda v: v if isinstance(v, Duration) else parse_duration(v)),
    PlainSerializer(str),
]
_Positive = Annotated[_Duration, AfterValidator(_above_zero)]
_Rate = Annotated[
    Rate, BeforeValidator(lambda v: v if isinstance(v, Rate) else parse_rate(v)), PlainSerializer(str)
]
MOST_WORKERS = 256
LEAST_MEMORY = 64 * 2**20
"""Bytes. A box smaller than this is a slip of the pen."""


def _enough(size: int) -> int:
    if size < LEAST_MEMORY:
        raise ValueError(
            f"{format_size(size)} hold no server at all; give at least {format_size(LEAST_MEMORY)}"
        )
    return size


def _carried_by_json(value: Any) -> Any:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"can't be sent as JSON: {error}") from None
    return value


_Share = Annotated[float, BeforeValidator(parse_share)]
_Size = Annotated[int, BeforeValidator(lambda v: _enough(v if type(v) is int else parse_size(v)))]
_Json = Annotated[Any, AfterValidator(_carried_by_json)]
_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
_Workers = Annotated[int, Field(ge=1, le=MOST_WORKERS)]


class SpecError(Exception):
    """The experiment can't be run as written; the message lists every reason, one a line."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class BoxSpec(_Strict):
    """The cap that holds all processes of a system."""

    cpus: Annotated[float, Field(gt=0, le=1024)] | Literal["auto"] = "auto"
    """vCPU; `auto`: 2, less where the host has no core to spare for the generator."""
    memory: _Size = 2 * 2**30


class WorkerBoxSpec(_Strict):
    """A box of each worker's own: workers then scale beyond the box, as on machines of their own."""

    cpus: Annotated[float, Field(ge=0.05, le=64)]
    memory: _Size = 256 * 2**20


class GeneratorSpec(_Strict):
    """The load generator."""

    processes: Annotated[int, Field(ge=1, le=64)] = 1
    """More than one where one can't send as many jobs as are asked for, see `bench selftest --generator`."""


class SystemSpec(_Strict):
    """A variant of a system of one's own, `[systems.NAME]`."""

    kind: Kind
    restart: bool = True
    result_path: Literal["api", "store"] = "store"
    heartbeat: _Duration = Duration(60.0)
    services_in_box: bool = True
    worker_nice: Annotated[int, Field(ge=0, le=19)] = 0
    max_wait: _Positive | None = None
    """Admission: what would wait longer is told 429 with Retry-After."""

    @model_validator(mode="after")
    def _only_the_queue_knows_how_long_a_job_will_wait(self) -> Self:
        if self.max_wait is not None and self.kind != "queued":
            raise ValueError(f'max_wait is for kind = "queued", not "{self.kind}": only it knows how long')
        return self

    @model_validator(mode="after")
    def _heartbeat_is_absolute(self) -> Self:
        if self.heartbeat.in_service_times or self.heartbeat.amount < 1:
            raise ValueError("heartbeat must be at least 1s and not in multiples of S")
        if self.kind == "external":
            raise ValueError('kind "external" is for `bench run --url`, not for experiment files')
        return self


class RetrySpec(_Strict):
    """What clients do when an attempt to submit fails: `retries = { policy = "jitter", … }`."""

    policy: RetryPolicy
    attempts: Annotated[int, Field(ge=2, le=20)] | None = None
    """In all, the first included; left out: 4."""
    after: _Positive | None = None
    """The client's own time-out of one attempt; left out: it waits until the gateway answers."""
    base: _Positive | None = None
    cap: _Positive | None = None
    """Left out: pauses double as long as there are attempts."""
    budget: _Share | None = None
    """Share of all attempts of the last ten seconds that may be retries."""

    @model_validator(mode="after")
    def _pauses_fit_the_policy(self) -> Self:
        pauses = self.base is not None or self.cap is not None
        if self.policy in ("none", "immediate") and pauses:
            raise ValueError(f'base and cap are for "backoff" and "jitter", not for "{self.policy}"')
        if self.policy in ("backoff", "jitter") and self.base is None:
            raise ValueError(f'policy = "{self.policy}" needs base, the first pause, e.g. base = "1S"')
        if self.policy == "none" and (self.attempts is not None or self.budget is not None):
            raise ValueError('attempts and budget are for clients that retry, not for "none"')
        return self


class PulseSpec(_Strict):
    """A base rate, a higher one for a while, and the base rate again."""

    base: _Rate
    peak: _Rate
    before: _Positive
    length: _Positive
    after: _Positive

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.base.in_capacities == self.peak.in_capacities and self.peak.amount <= self.base.amount:
            raise ValueError(f"the peak ({self.peak}) must be above the base ({self.base})")
        return self


class PartSpec(_Strict):
    """One block of trials: systems × workers × loads, made for one kind of chart."""

    name: _Name
    shows: Shows
    systems: Annotated[list[str], Field(min_length=1)]
    workers: Annotated[list[_Workers], Field(min_length=1)] = [2]
    arrivals: Arrivals = "poisson"
    rates: list[_Rate] = []
    """Stairs: the rates on the way up; the way down mirrors them."""
    capacity: Literal["reference", "own"] = "reference"
    """What C means in this part's rates: what the reference workers can sustain, or each system itself."""
    pulse: PulseSpec | None = None
    step: _Positive | None = None
    """Stairs: how long each rate is offered."""
    retries: RetrySpec | None = None
    sizes: list[Annotated[int, Field(ge=1, le=100_000)]] = []
    warmup: _Duration = Duration(0.0)
    window: _Positive | None = None
    jobs: Annotated[int, Field(ge=1)] | None = None
    """Instead of `window`: as long as it takes for this many arrivals, never under `window_min`."""
    window_min: _Duration = Duration(0.0)
    think: _Duration = Duration(0.0)
    jobs_per_user: Annotated[int, Field(ge=0)] = 0
    task: str | None = None
    input: _Json = None
    deadline: _Positive | None = None
    poll_interval: _Positive | None = None
    drain: _Positive | None = None
    """Cut-off after the window; left out: by the backlog (`bench.expand.drain_limit`)."""
    needs_memory_cap: bool = False
    repeats: Annotated[int, Field(ge=1, le=1000)] | None = None


class Experiment(_Strict):
    """One experiment file."""

    name: _Name = "experiment"
    title: str = ""
    task: str
    input: _Json = None
    """The JSON value each job is given; left out: the task's example."""
    deadline: _Positive
    gateway_timeout: _Positive | None = None
    poll_interval: _Positive = Duration(1.0, True)
    repeats: Annotated[int, Field(ge=1, le=1000)] = 1
    seed: int = 1
    reference_workers: _Workers = 2
    """The C of rates like `1.2C` is what this many workers can sustain in the box."""
    box: BoxSpec = BoxSpec()
    worker_box: WorkerBoxSpec | None = None
    """Runtime docker only: workers are not in `box`, which holds what else a queue has."""
    generator: GeneratorSpec = GeneratorSpec()
    systems: dict[_Name, SystemSpec] = {}
    parts: Annotated[list[PartSpec], Field(min_length=1)]


def built_in_names() -> list[str]:
    """Names of the experiments that come with Queuebench."""
    folder = resources.files("bench") / "experiments"
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )


def load(name_or_path: str) -> Experiment:
    """Read a built-in experiment by name, or a file. Raises SpecError."""
    if name_or_path in built_in_names():
        text = (resources.files("bench") / "experiments" / f"{name_or_path}.toml").read_text()
        return parse(text, f"{name_or_path}.toml", default_name=name_or_path)
    path = Path(name_or_path)
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(
            f"{name_or_path}: neither a built-in experiment ({', '.join(built_in_names())}) "
            f"nor a file that can be read ({getattr(error, 'strerror', None) or 'not UTF-8 text'})"
        ) from None
    stem = re.sub(r"[^a-z0-9-]+", "-", path.stem.lower()).strip("-")[:40]
    return parse(text, name_or_path, default_name=stem or "experiment")


def parse(text: str, source: str, default_name: str = "experiment") -> Experiment:
    """Check an experiment's text; `source` names it in messages. Raises SpecError: all errors, with lines."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{source}: not valid TOML: {error}") from None
    data.setdefault("name", default_name)
    errors: list[tuple[tuple[int | str, ...], str]] = list(_contradictions(data))
    try:
        experiment = Experiment.model_validate(data)
    except ValidationError as error:
        errors += [(e["loc"], _what(dict(e))) for e in error.errors()]
    if errors:
        found = sorted({(_line(text, loc), _where(loc), what) for loc, what in errors})
        raise SpecError(
            "\n".join(f"{source}:{line}: {w + ': ' if w else ''}{what}" for line, w, what in found)
        )
    return experiment


def made(data: dict[str, Any], source: str) -> Experiment:
    """Check an experiment that was put together from options. Raises SpecError: all errors, one a line."""
    errors = list(_contradictions(data))
    try:
        experiment = Experiment.model_validate(data)
    except ValidationError as error:
        errors += [(e["loc"], _what(dict(e))) for e in error.errors()]
    if errors:
        found = dict.fromkeys(f"{source}: {_where(loc)}: {what}" for loc, what in errors)
        raise SpecError("\n".join(found))
    return experiment


def _contradictions(data: dict[str, Any]) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """What no single value shows. Works on the raw data, so that these come with all other errors at once."""
    own = data.get("systems", {})
    own = set(own) if isinstance(own, dict) else set()
    for name in sorted(own & set(BUILT_IN_SYSTEMS)):
        yield ("systems", name), f'hides the built-in system "{name}"; give it a name of its own'
    known = sorted({*BUILT_IN_SYSTEMS, *own})
    parts = data.get("parts", [])
    seen: set[str] = set()
    for n, part in enumerate(parts if isinstance(parts, list) else []):
        if not isinstance(part, dict):
            continue
        here = ("parts", n)
        called = part.get("name")
        if isinstance(called, str) and called in seen:
            yield (*here, "name"), f'two parts are named "{called}"'
        seen.add(str(called))
        systems = part.get("systems")
        for name in systems if isinstance(systems, list) else []:
            if name not in known:
                yield (*here, "systems"), f"no system {name!r}; there are {', '.join(known)}"
        arrivals = part.get("arrivals", "poisson")
        for wrong in (*_shape_contradictions(part, arrivals), *_arrival_contradictions(part, arrivals)):
            yield here, wrong


SHAPES = {
    "pulse": 'pulse = { base = "0.6C", peak = "2C", before = "50S", length = "25S", after = "200S" }',
    "stairs": 'step = "40S"',
}
"""Kinds of arrivals whose rate changes, and an example of the key that says how."""


def _shape_contradictions(part: dict[str, Any], arrivals: object) -> Iterator[str]:
    """What a pulse or stairs need, and what belongs to no other kind of arrivals."""
    shaped = arrivals in SHAPES
    if shaped != (part.get("shows") == "metastability"):
        yield 'shows = "metastability" goes with arrivals = "pulse" or "stairs", and they with it'
    for kind, example in SHAPES.items():
        key = example.split()[0]
        if arrivals == kind and key not in part:
            yield f'arrivals = "{kind}" needs {key}, e.g. {example}'
        if arrivals != kind and key in part:
            yield f'{key} belongs to arrivals = "{kind}"'
    if shaped and {"sizes", "window", "jobs"} & part.keys():
        yield f'arrivals = "{arrivals}" says itself how long it is: no sizes, window or jobs'
    if arrivals == "stairs" and not part.get("rates"):
        yield 'arrivals = "stairs" needs rates for the way up, e.g. rates = ["0.3C", "0.6C", "1.2C"]'
    if arrivals == "pulse" and "rates" in part:
        yield "a pulse has its rates inside: pulse = { base = …, peak = …, … }"


def _arrival_contradictions(part: dict[str, Any], arrivals: object) -> Iterator[str]:
    if arrivals in ("poisson", "constant"):
        if not part.get("rates"):
            yield f'arrivals = "{arrivals}" needs rates, e.g. rates = ["0.5C", "1.2C"]'
        if "sizes" in part:
            yield "sizes belong to burst and closed arrivals, not to a rate"
        if ("window" in part) == ("jobs" in part):
            yield "give either window or jobs, not both and not neither"
    elif arrivals in ("burst", "closed"):
        if not part.get("sizes"):
            yield f'arrivals = "{arrivals}" needs sizes, e.g. sizes = [20]'
        if "rates" in part:
            yield f'rates do not go with arrivals = "{arrivals}"'
        if arrivals == "burst" and ("window" in part or "jobs" in part):
            yield "a burst has neither window nor jobs: all arrive at once"
        if arrivals == "closed" and "window" not in part and not part.get("jobs_per_user"):
            yield "closed arrivals need a window or jobs_per_user"


def _where(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(step) for step in loc if step not in ("float", "literal['auto']") and step != "[key]")


def _what(error: dict[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown key"
    if error["type"] == "missing":
        return "missing"
    message = str(error["msg"]).removeprefix("Value error, ")
    return message if error["type"] == "value_error" else f"{message} (found {error.get('input')!r})"


def _line(text: str, loc: tuple[int | str, ...]) -> int:
    """Line of the deepest part of `loc` that can be found in the text; 1 where none can.

    tomllib keeps no positions, so headers and keys are matched in the text. A value inside a multi-line
    inline table is given its key's line, which is near enough to find it.
    """
    table: tuple[int | str, ...] = ()
    counts: dict[str, int] = {}
    best, best_depth = 1, 0
    for number, line in enumerate(text.splitlines(), start=1):
        if match := re.match(r"\s*\[\[\s*([\w.-]+)\s*\]\]", line):
            index = counts[match[1]] = counts.get(match[1], -1) + 1
            table = (*match[1].split("."), index)
            here = table
        elif match := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            table = tuple(match[1].split("."))
            here = table
        elif match := re.match(r"""\s*["']?([\w-]+)["']?\s*[=.]""", line):
            here = (*table, match[1])
        else:
            continue
        if len(here) > best_depth and loc[: len(here)] == here:
            best, best_depth = number, len(here)
    return best
