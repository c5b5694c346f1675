"""What sets two runs apart besides what was measured: machine, software, experiment; one line each. Pure."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.analysis.run import Run
from bench.analysis.words import figure, seconds, size

_MACHINE = {
    "cpu": "CPU",
    "cores": "cores",
    "machine": "architecture",
    "system": "system",
    "kernel": "kernel",
    "distribution": "distribution",
}
_SOFTWARE = {"implementation": "Python", "python": "Python", "queuebench": "Queuebench", "commit": "source"}
_ALIKE_MEMORY = 0.02
"""A virtual machine's memory differs by less than this from one start to the next."""
_ALIKE_SPEED = 0.1
"""Two calibrations of one service time on an idle machine differ by less than this."""
_PARTS = ("systems", "workers", "arrivals", "rates", "sizes", "warmup", "window", "jobs", "task", "input",
          "deadline", "poll_interval", "drain", "repeats")  # fmt: skip


@dataclass(frozen=True)
class Differences:
    """Lines such as `cores: 4 in A, 2 in B`."""

    machine: tuple[str, ...]
    """Without being told to, runs that differ here are not compared."""
    software: tuple[str, ...]
    experiment: tuple[str, ...]


def differences(a: Run, b: Run) -> Differences:
    """Compare what two runs say of themselves."""
    return Differences(tuple(_machine(a, b)), tuple(_software(a, b)), tuple(_experiment(a, b)))


def _machine(a: Run, b: Run) -> Iterator[str]:
    yield from _by_name(a.environment, b.environment, _MACHINE)
    memory = [r.environment.get("memory") for r in (a, b)]
    x, y = (m if isinstance(m, int | float) and m > 0 else math.nan for m in memory)
    if not math.isclose(x, y, rel_tol=_ALIKE_MEMORY) and not (math.isnan(x) and math.isnan(y)):
        yield f"memory: {size(x)} in A, {size(y)} in B"
    if a.external == b.external:
        yield from _line("caps in force", _caps(a), _caps(b))


def _software(a: Run, b: Run) -> Iterator[str]:
    yield from _by_name(a.environment, b.environment, _SOFTWARE)
    x, y = (r.environment.get("libraries") for r in (a, b))
    x, y = (v if isinstance(v, Mapping) else {} for v in (x, y))
    yield from _by_name(x, y, {name: str(name) for name in sorted({*map(str, x), *map(str, y)})})


def _experiment(a: Run, b: Run) -> Iterator[str]:
    yield from _line("box", _box(a), _box(b))
    yield from _line("service under test", _urls(a), _urls(b))
    for key, name in (("task", "task"), ("input", "input"), ("reference_workers", "reference workers")):
        yield from _line(name, a.experiment.get(key), b.experiment.get(key))
    yield from _line("deadline", seconds(a.deadline), seconds(b.deadline))
    yield from _line("gateway's limit", _gateway(a), _gateway(b))
    yield from _line("poll interval", seconds(a.poll_interval), seconds(b.poll_interval))
    yield from _line("seed", a.seed, b.seed)
    yield from _line("own systems", a.experiment.get("systems") or {}, b.experiment.get("systems") or {})
    yield from _parts(a, b)
    yield from _speeds(a, b)


def _parts(a: Run, b: Run) -> Iterator[str]:
    left, right = _named_parts(a), _named_parts(b)
    for name in left:
        if name in right:
            for key in _PARTS:
                yield from _line(f"part {name}, {key}", left[name].get(key), right[name].get(key))
    for side, own, other in (("A", left, right), ("B", right, left)):
        if alone := [name for name in own if name not in other]:
            yield f"parts in {side} only: {', '.join(alone)}"
    yield from _line("repeats", a.repeats, b.repeats)


def _speeds(a: Run, b: Run) -> Iterator[str]:
    """How fast the machine was, by the same task's calibration."""
    before = {c.task: c.before for c in a.calibration}
    for c in b.calibration:
        if c.task in before and not math.isclose(before[c.task], c.before, rel_tol=_ALIKE_SPEED):
            yield f"one {c.task} job alone: {seconds(before[c.task])} in A, {seconds(c.before)} in B"


def _by_name(a: Mapping[str, Any], b: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    for key, name in names.items():
        yield from _line(name, a.get(key), b.get(key))


def _line(name: str, a: object, b: object) -> Iterator[str]:
    if a != b:
        yield f"{name}: {_text(a)} in A, {_text(b)} in B"


def _text(value: object) -> str:
    if value is None or value == "":
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:79]}…"


def _caps(run: Run) -> str:
    known = {name: "capped" if run.caps.get(name) else "not capped" for name in ("cpu", "memory")}
    return f"CPU {known['cpu']}, memory {known['memory']}, {_text(run.caps.get('kind'))}"


def _box(run: Run) -> str:
    return f"{figure(run.cpus)} vCPU, {size(run.memory)}"


def _urls(run: Run) -> list[str]:
    return sorted({str(t.system.url) for t in run.trials if t.system.url})


def _gateway(run: Run) -> list[str]:
    return sorted({seconds(t.gateway_timeout) for t in run.trials})


def _named_parts(run: Run) -> dict[str, Mapping[str, Any]]:
    parts = run.experiment.get("parts")
    listed = parts if isinstance(parts, list) else []
    return {str(p.get("name")): p for p in listed if isinstance(p, Mapping)}
