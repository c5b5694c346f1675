"""Records written by hand: a trial in a few lines, with what is not said left at its harmless value."""

import math
from dataclasses import replace
from typing import Any

import pandas as pd

from bench.analysis.run import Run
from bench.analysis.tables import Tables, TrialRecords, split
from bench.plan import Box, Load, System, Trial, Work
from bench.records import SCHEMAS

NAN = math.nan


def trial(**changes: Any) -> Trial:
    """One second of S, a window of ten seconds from t = 100, D = 3 s. `system`, `work`, `load` take dicts."""
    system = System(**{"name": "queued", "kind": "queued", **changes.pop("system", {})})
    work = Work(
        **{"task": "spin", "input": 1, "service_time": 1.0, "cpu_time": 1.0, **changes.pop("work", {})}
    )
    load = Load(
        **{"arrivals": "poisson", "rate": 1.0, "window": 10.0, "label": "1C", **changes.pop("load", {})}
    )
    base = Trial(
        id="t",
        part="load",
        shows="load",
        system=system,
        work=work,
        load=load,
        box=Box(2.0, 2**31),
        deadline=3.0,
        gateway_timeout=3.0,
        poll_interval=0.5,
        drain_limit=20.0,
        repeat=1,
        seed=1,
        capacity=2.0,
    )
    return replace(base, **changes)


def job(name: str, arrival: float, done: float, outcome: str = "ok", **more: Any) -> dict[str, Any]:
    """One job; accepted after 10 ms unless said otherwise."""
    defaults = {
        "phase": "window",
        "sent": arrival + 0.001,
        "accepted": arrival + 0.01,
        "status": 200,
        "error": "",
        "polls": 0,
        "wait": NAN,
        "run": NAN,
    }
    return {"job": name, "arrival": arrival, "done": done, "outcome": outcome, **defaults, **more}


def run_of(name: str, start: float, end: float = NAN, **more: Any) -> dict[str, Any]:
    """One execution."""
    cpu = {} if math.isnan(end) else {"cpu": end - start}
    return (
        {"job": name, "start": start, "end": end, "cut": NAN, "cpu": NAN, "pid": 1, "ok": not math.isnan(end)}
        | cpu
        | more
    )


def event(t: float, name: str, role: str = "worker") -> dict[str, Any]:
    """One event."""
    return {"t": t, "event": name, "role": role, "pid": 1, "detail": ""}


def sample(t: float, subject: str, metric: str, value: float) -> dict[str, Any]:
    """One sample of a resource."""
    return {"t": t, "subject": subject, "metric": metric, "value": value}


WINDOW = [event(100.0, "window_started", "generator"), event(110.0, "window_ended", "generator")]


def tables(rows: dict[str, dict[str, list[dict[str, Any]]]]) -> Tables:
    """Tables from trial → table → rows."""
    frames = {}
    for table, schema in SCHEMAS.items():
        held = [{**row, "trial": t} for t, of in rows.items() for row in of.get(table, [])]
        frames[table] = pd.DataFrame(held, columns=schema.names).astype(
            {c: "float64" for c in schema.names if str(schema.field(c).type) == "double"}
        )
    return Tables(**frames)


def records(
    jobs: list[dict[str, Any]],
    executions: list[dict[str, Any]] | None = None,
    events: list[dict[str, Any]] | None = None,
    resources: list[dict[str, Any]] | None = None,
    requests: list[dict[str, Any]] | None = None,
    of: Trial | None = None,
) -> TrialRecords:
    """One trial's records. The window is marked from 100 to 110 unless events are given."""
    plan = of or trial()
    rows = {
        "jobs": jobs,
        "executions": executions or [],
        "events": WINDOW if events is None else events,
        "resources": resources or [],
        "requests": requests or [],
    }
    return split(tables({plan.id: rows}), [plan])[plan.id]


def described(*trials: Trial, **changes: Any) -> Run:
    """run.json's content for these trials, all done and capped, typed."""
    caps = {"cpus": 2.0, "memory": 2**31, "kind": "cgroup2"}
    return Run.from_json(
        {
            "id": "by-hand",
            "trials": [t.to_json() for t in trials],
            "results": {t.id: {"status": "done", "reason": "", "caps": caps} for t in trials},
            "finished": "yes",
            **changes,
        }
    )
