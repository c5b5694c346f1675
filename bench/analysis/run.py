"""What run.json says, typed. Pure: it is handed the parsed JSON."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bench.plan import Trial


class RunDescriptionError(ValueError):
    """run.json lacks something that no report can do without; the message says what."""


@dataclass(frozen=True)
class Result:
    """How a trial went."""

    status: str = "pending"
    """done | failed | skipped | pending."""
    reason: str = ""
    caps: Mapping[str, Any] = field(default_factory=dict)
    """What the box really had in force while it ran."""
    seconds: float = 0.0
    """Wall time from deployment to stop."""
    measured_seconds: float = 0.0
    """Of these, warm-up, window and drain."""
    attempts: int = 1
    """How often it was carried out; the records are the last one's."""
    again: tuple[str, ...] = ()
    """Why each earlier attempt did not count."""


@dataclass(frozen=True)
class Calibrated:
    """What one job took alone, before and after the run, seconds."""

    part: str
    task: str
    before: float
    after: float | None
    cpu: float
    repeats: int
    holds_gil: bool

    @property
    def drift(self) -> float | None:
        """After over before; None where it was not measured again."""
        return self.after / self.before if self.after is not None and self.before > 0 else None


@dataclass(frozen=True)
class Run:
    """One execution of an experiment."""

    id: str
    name: str
    title: str
    trials: tuple[Trial, ...]
    results: Mapping[str, Result]
    environment: Mapping[str, Any]
    caps: Mapping[str, Any]
    """kind, cpu, memory, why: which caps are possible here."""
    cpus: float
    memory: int
    calibration: tuple[Calibrated, ...]
    service_time: float
    """S in seconds; NaN where unknown."""
    reference_capacity: float
    """C in jobs per second; NaN where unknown."""
    deadline: float
    poll_interval: float
    seed: Any
    started: Any
    finished: Any
    command: str
    notes: tuple[str, ...]
    experiment: Mapping[str, Any]
    """As resolved."""

    @property
    def measured_share(self) -> float:
        """Share of the trials' wall time that was warm-up, window and drain; NaN where unknown."""
        spent = sum(self.result(t).seconds for t in self.done)
        return sum(self.result(t).measured_seconds for t in self.done) / spent if spent > 0 else math.nan

    def result(self, trial: Trial) -> Result:
        """How this trial went; pending where nothing is known."""
        return self.results.get(trial.id, Result())

    @property
    def done(self) -> tuple[Trial, ...]:
        """The trials that took place."""
        return tuple(t for t in self.trials if self.result(t).status == "done")

    @property
    def external(self) -> bool:
        """Whether every system was somebody else's: nothing capped, nothing started."""
        return bool(self.trials) and all(t.system.kind == "external" for t in self.trials)

    @property
    def capped(self) -> bool:
        """Whether CPU and memory were read back as capped in every trial that took place."""
        return bool(self.done) and all(capped(self.result(t), "cpus", "memory") for t in self.done)

    @property
    def repeats(self) -> int:
        """How often each trial of the plan was to be repeated, at most."""
        return max((t.repeat for t in self.trials), default=0)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Run":
        """Read run.json's content. Raises RunDescriptionError."""
        try:
            trials = _trials(data["trials"])
            results = {
                str(name): Result(
                    status=str(r.get("status", "pending")),
                    reason=str(r.get("reason") or ""),
                    caps=_mapping(r, "caps"),
                    seconds=_number(r.get("seconds"), 0.0),
                    measured_seconds=_number(r.get("measured_seconds"), 0.0),
                    attempts=int(_number(r.get("attempts"), 1.0)),
                    again=tuple(str(why) for why in r.get("again") or ()),
                )
                for name, r in _mapping(data, "results").items()
            }
            experiment = _mapping(data, "experiment")
            if not isinstance(experiment.get("parts") or [], list):
                raise TypeError("experiment.parts is no list")
            box = _mapping(data, "box")
            return Run(
                id=str(data.get("id") or "run"),
                name=str(experiment.get("name") or "experiment"),
                title=str(experiment.get("title") or experiment.get("name") or "A run of Queuebench"),
                trials=trials,
                results=results,
                environment=_mapping(data, "environment"),
                caps=_mapping(data, "caps"),
                cpus=_number(box.get("cpus"), trials[0].box.cpus if trials else math.nan),
                memory=int(_number(box.get("memory"), trials[0].box.memory if trials else 0)),
                calibration=tuple(_calibrated(c) for c in data.get("calibration") or ()),
                service_time=_number(data.get("service_time")),
                reference_capacity=_number(data.get("reference_capacity")),
                deadline=_number(data.get("deadline"), trials[0].deadline if trials else math.nan),
                poll_interval=_number(
                    data.get("poll_interval"), trials[0].poll_interval if trials else math.nan
                ),
                seed=data.get("seed"),
                started=data.get("started"),
                finished=data.get("finished"),
                command=str(data.get("command") or ""),
                notes=tuple(str(n) for n in data.get("notes") or ()),
                experiment=experiment,
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            what = " ".join(str(error).split())
            raise RunDescriptionError(
                f"it does not describe a run ({type(error).__name__}: {what})"
            ) from None


def capped(result: Result, *what: str) -> bool:
    """Whether these caps ("cpus", "memory") were read back as in force."""
    return all(result.caps.get(name) is not None for name in what)


def _trials(data: object) -> tuple[Trial, ...]:
    """The plan, every value of its type and every quantity possible. Raises ValueError."""
    try:
        trials = TypeAdapter(tuple[Trial, ...]).validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"trials.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    for t in trials:
        above_zero = [t.work.service_time, t.box.cpus, t.deadline, t.gateway_timeout]
        if t.load.arrivals in ("poisson", "constant"):
            above_zero.append(t.load.rate)
        at_least_zero = (
            t.load.rate,
            t.load.warmup,
            t.load.window,
            t.load.think,
            t.poll_interval,
            t.work.cpu_time,
        )
        if not all(math.isfinite(v) and v >= 0 for v in (*above_zero, *at_least_zero)) or 0 in above_zero:
            raise ValueError(f"trial {t.id} has an impossible time, rate or size")
    if len({t.id for t in trials}) < len(trials):
        raise ValueError("two trials have one id")
    return trials


def _mapping(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name) or {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is no table")
    return value


def _number(value: object, otherwise: float = math.nan) -> float:
    return float(value) if isinstance(value, int | float) else otherwise


def _calibrated(entry: Mapping[str, Any]) -> Calibrated:
    before, after = entry["before"], entry.get("after")
    return Calibrated(
        part=str(entry.get("part") or ""),
        task=str(entry.get("task") or before.get("task") or ""),
        before=float(before["wall"]),
        after=float(after["wall"]) if after else None,
        cpu=float(before.get("cpu", math.nan)),
        repeats=int(before.get("repeats", 0)),
        holds_gil=bool(before.get("holds_gil", False)),
    )


def in_order(run: Run) -> list[Trial]:
    """Trials as a reader looks for them: by part, load, system, worker count and repeat."""
    systems = {name: n for n, name in enumerate(names(run.trials))}
    written = run.experiment.get("parts") or []
    parts = [p.get("name") for p in written if isinstance(p, Mapping)]
    return sorted(
        run.trials,
        key=lambda t: (
            parts.index(t.part) if t.part in parts else len(parts),
            t.part,
            t.load.rate,
            t.load.size,
            systems[t.system.name],
            t.system.workers,
            t.repeat,
        ),
    )


def names(trials: Sequence[Trial]) -> list[str]:
    """System names in order of first appearance, the blocking family first."""
    order = ("blocking", "gunicorn", "bounded", "as_published", "queued", "external")
    found: dict[str, int] = {}
    for t in trials:
        found.setdefault(t.system.name, order.index(t.system.kind))
    return sorted(found, key=lambda name: (found[name], len(name), name))
