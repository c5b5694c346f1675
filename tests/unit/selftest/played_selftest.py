"""A self-test's folder as a perfect harness on a perfect machine would leave it; nothing is started."""

import heapq
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.load.arrivals import phase_of, schedule
from bench.records import RunFolder
from bench.selftest.catalogue import Catalogue, Scenario, quick, trial_of

BEGAN = 1_750_000_000.0
HTTP = 0.0004
"""Seconds from the server's answer to the client's having it."""
OUTCOMES = {
    "close": ("error", 0),
    "503": ("rejected", 503),
    "504": ("gateway_timeout", 504),
    "wrong": ("wrong", 200),
}


@dataclass
class Played:
    """The records of one scenario, and its server's log."""

    jobs: list[dict[str, Any]] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    executions: list[dict[str, Any]] = field(default_factory=list)


def write(folder: Path, catalogue: Catalogue | None = None) -> RunFolder:
    """Write records and logs of all scenarios of the quick self-test."""
    run = RunFolder(folder)
    (folder / "servers").mkdir(parents=True)
    for scenario in (catalogue or quick()).scenarios:
        played = play(scenario)
        end = max(job["done"] for job in played.jobs)
        start = BEGAN + scenario.load.warmup
        marks = [(BEGAN, "load_started"), (start, "window_started"), (end, "drained")]
        run.write_part("jobs", scenario.name, played.jobs)
        run.write_part("requests", scenario.name, [])
        run.write_part("resources", scenario.name, [])
        run.write_part("executions", scenario.name, played.executions)
        run.write_part(
            "events",
            scenario.name,
            [{"t": t, "event": event, "role": "generator", "pid": 1, "detail": ""} for t, event in marks],
        )
        with (folder / "servers" / f"{scenario.host}.jsonl").open("a") as log:
            log.writelines(json.dumps(row) + "\n" for row in played.log)
    return run


def play(scenario: Scenario) -> Played:
    """What would be recorded."""
    known, played = scenario.behaviour, Played()
    free = [BEGAN] * (known.workers or 100_000)
    draw = draws(scenario)
    for n, (due, sent) in enumerate(arrivals(scenario)):
        name = f"{scenario.name}-{n}"
        row = {
            **{"job": name, "phase": phase_of(scenario.load, due), "arrival": BEGAN + due, "polls": 0},
            **{"sent": sent, "accepted": None, "status": 200, "error": "", "wait": None, "run": None},
        }
        if sent is None:
            played.jobs.append({**row, "outcome": "dropped", "done": BEGAN + due, "status": 0})
            continue
        deed = known.script[n % len(known.script)]
        received = after_stall(scenario, sent + HTTP)
        began = max(received, heapq.heappop(free))
        answered = after_stall(scenario, began + (known.slow if deed == "slow" else known.delay + next(draw)))
        heapq.heappush(free, answered)
        seen = {"load": scenario.name, "id": name, "did": deed, "received": received}
        if known.face == "jobs":
            played.log.append({**seen, "what": "submit", "answered": received})
        if deed == "lose":
            over = BEGAN + scenario.load.window + scenario.drain_limit
            played.jobs.append({**row, "outcome": "unfinished", "accepted": received, "done": over})
            continue
        played.log.append({**seen, "what": "result" if known.face == "jobs" else "run", "answered": answered})
        outcome, status = OUTCOMES.get(deed, ("ok", 200))
        taken = received if known.face == "jobs" else answered
        accepted = taken + HTTP if outcome in ("ok", "wrong") else None
        played.jobs.append(
            {**row, "outcome": outcome, "status": status, "accepted": accepted, "done": answered + HTTP}
        )
        run_of = {"job": name, "start": began, "end": answered, "cut": None, "cpu": 0.0, "pid": 1, "ok": True}
        if outcome == "ok":
            played.executions += [run_of] * (2 if deed == "twice" else 1)
    return played


def arrivals(scenario: Scenario) -> Iterator[tuple[float, float | None]]:
    """When each job is due, seconds from the start, and when it is sent, Unix time; None: never."""
    load, delay = scenario.load, scenario.behaviour.delay
    if load.arrivals == "closed":
        each = delay + 2 * HTTP + 0.001
        rounds, due = [], 0.0
        while due < load.window:
            rounds.append(due)
            due = after_stall(scenario, BEGAN + due + each) - BEGAN
        for due in rounds:
            yield from [(due, BEGAN + due)] * load.size
        return
    for n, due in enumerate(schedule(load, trial_of(scenario).seed)):
        unsent = scenario.hold and n >= scenario.max_in_flight
        yield due, None if unsent else BEGAN + due + scenario.hold + 0.0005


def after_stall(scenario: Scenario, t: float) -> float:
    """When something that would happen at t does, on a server that may stand still then."""
    known = scenario.behaviour
    began = BEGAN + known.stall_after
    return began + known.stall if began < t < began + known.stall else t


def draws(scenario: Scenario) -> Iterator[float]:
    """Exponential times as the server would draw them."""
    known = scenario.behaviour
    random_ = random.Random(known.seed)
    while True:
        yield random_.expovariate(1 / known.mean_extra) if known.mean_extra else 0.0
