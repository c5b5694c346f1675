"""Synthetic runs: a small discrete simulation of every system writes a real run folder, nothing is started.

Good enough to look at every chart: FIFO and processor sharing, gateway timeouts, a connection limit, polling,
a memory kill, the published queue's dead consumer. Run it to make one:
`python tests/synthetic.py standard DIR`.
"""

import json
import math
import random
import sys
import uuid
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.expand import expand
from bench.load import arrivals
from bench.plan import Box, Calibration, System, Trial, Work
from bench.records import RunFolder
from bench.spec import Experiment, load, parse

EPOCH = 1_750_000_000.0
SYSTEMS = {
    s.name: s
    for s in (
        System("blocking", "blocking"),
        System("gunicorn", "gunicorn"),
        System("bounded", "bounded"),
        System("as-published", "as_published", restart=False, result_path="api"),
        System("as-published-restarted", "as_published", restart=True, result_path="api"),
        System("queued", "queued"),
        System("queued-api", "queued", result_path="api"),
        System("external", "external", url="http://127.0.0.1:8000"),
    )
}
STUCK = 6.0
"""Seconds of unbroken work after which the published consumer loses its connection (a short heartbeat)."""


@dataclass
class Ran:
    """One execution."""

    job: int
    start: float
    end: float = math.nan
    cut: float = math.nan
    cpu: float = math.nan


@dataclass
class Simulated:
    """What a simulated system did to its jobs. Instants in seconds since the load began."""

    runs: list[Ran] = field(default_factory=list)
    ends: dict[int, float] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    broken: dict[int, float] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)


def work_of(task: str, value: Any) -> Work:
    """A calibrated-looking work for the built-in experiments."""
    if task == "factorial":
        return Work(task, value, 9.4, 9.4)
    if task == "memory":
        return Work(task, value, value["seconds"], 0.02, False, int(value["mb"] * 1e6))
    if task == "sleep":
        return Work(task, value, value["seconds"], 0.001, False)
    return Work(task, value, value["seconds"], value["seconds"], value.get("gil") != "released")


class Server:
    """Processor sharing among at most `slots` running jobs, first come first served; may die of memory."""

    TOUCH = 0.4
    """Seconds until a job that was started has all its memory."""

    def __init__(self, trial: Trial) -> None:
        """An idle server."""
        self.trial, self.kind, self.work = trial, trial.system.kind, trial.work
        self.threads = self.kind in ("blocking", "external")
        self.slots = 10**6 if self.threads else trial.system.workers
        self.out = Simulated()
        self.waiting: list[int] = []
        self.running: dict[int, tuple[Ran, float]] = {}
        self.admitted: dict[int, float] = {}
        self.now = self.down_until = 0.0
        self.kill_at = math.inf

    def speed(self) -> float:
        """How much of a core each running job has."""
        if self.work.cpu_time < 0.5 * self.work.service_time:
            return 1.0
        cpus = self.trial.box.cpus
        cores = min(1.0, cpus) if self.threads and self.work.holds_gil else cpus
        return min(1.0, cores / max(1, len(self.running)))

    def arrive(self, job: int, t: float) -> None:
        """Take a job, or refuse it."""
        if self.kind == "bounded":
            busy = [
                a
                for a, at in self.admitted.items()
                if self.out.ends.get(a, math.inf) > t and at + self.trial.gateway_timeout > t
            ]
            if len(busy) >= self.trial.connection_limit:
                self.out.refused.add(job)
                return
            self.admitted[job] = t
        if self.now < self.down_until:
            self.out.broken[job] = self.now + 0.01
        else:
            self.waiting.append(job)

    def start(self) -> None:
        """Start what fits."""
        while self.waiting and len(self.running) < self.slots:
            job = self.waiting.pop(0)
            run = Ran(job, self.now)
            self.out.runs.append(run)
            self.running[job] = (run, self.work.service_time)
            needed = len(self.running) * self.work.memory + 2e8
            if self.work.memory and self.kind == "blocking" and needed > self.trial.box.memory:
                self.kill_at = min(self.kill_at, self.now + self.TOUCH)

    def kill(self) -> None:
        """The kernel kills the process; it is back after a second."""
        self.kill_at, self.down_until = math.inf, self.now + 1.0
        for event, t in (("oom_kill", self.now), ("died", self.now), ("restarted", self.down_until)):
            self.out.events.append({"t": t, "event": event, "role": "web"})
        for job, (run, _) in self.running.items():
            run.cut, self.out.broken[job] = self.now, self.now + 0.02
        self.running.clear()

    def advance(self, step: float) -> None:
        """Let everybody work for a while."""
        pace = self.speed()
        self.now += step
        for job, (run, left) in list(self.running.items()):
            self.running[job] = (run, left - step * pace)
            if left - step * pace <= 1e-9:
                run.end, run.cpu = self.now, self.work.cpu_time * 1.01
                self.out.ends[job] = self.now
                del self.running[job]


def simulate(trial: Trial, arrivals: list[float], stop: float) -> Simulated:
    """Serve arrivals until all is done, or until `stop`."""
    server = Server(trial)
    due = list(enumerate(arrivals))
    while due or server.waiting or server.running:
        server.start()
        next_end = min((left for _, left in server.running.values()), default=math.inf) / server.speed()
        next_due = due[0][1] - server.now if due else math.inf
        step = min(next_end, next_due, server.kill_at - server.now)
        if server.now + step > stop:
            for run, _ in server.running.values():
                run.cut = stop
            break
        server.advance(step)
        if server.now >= server.kill_at:
            server.kill()
        while due and due[0][1] <= server.now + 1e-12:
            server.arrive(*due.pop(0))
    return server.out


def simulate_published(trial: Trial, arrivals: list[float], stop: float) -> Simulated:
    """Auto-ack without a prefetch limit: each consumer takes its share at once and dies of a long backlog."""
    out = Simulated()
    service = trial.work.service_time * max(1.0, trial.system.workers / trial.box.cpus)
    for worker in range(trial.system.workers):
        clock, busy_since, dead_until = 0.0, 0.0, 0.0
        for job, t in list(enumerate(arrivals))[worker :: trial.system.workers]:
            if t < dead_until:
                continue
            if t >= clock:
                clock = busy_since = t
            run = Ran(job, clock)
            out.runs.append(run)
            clock += service
            if clock - busy_since > STUCK:
                run.cut = clock
                out.events.append({"t": clock, "event": "died", "role": "worker"})
                dead_until = math.inf
                if trial.system.restart:
                    dead_until = clock + 1.0
                    out.events.append({"t": dead_until, "event": "restarted", "role": "worker"})
                continue
            run.end, run.cpu = clock, trial.work.cpu_time
            if clock < stop:
                out.ends[job] = clock
    return out


def schedule(trial: Trial) -> list[float]:
    """Arrivals in seconds since the load began; users of a closed load come almost at once."""
    if trial.load.arrivals == "closed":
        return [0.0005 * n for n in range(trial.load.size)]
    return arrivals.schedule(trial.load, trial.seed)


def play(trial: Trial, began: float) -> dict[str, list[dict[str, Any]]]:
    """One trial's rows of every table."""
    rng = random.Random(f"{trial.id}{trial.seed}")
    due = schedule(trial)
    window_end = trial.load.warmup + trial.load.window
    stop = window_end + trial.drain_limit
    published = trial.system.kind == "as_published"
    shift = 0.004 if published or trial.system.kind == "queued" else 0.001
    entered = [t + shift for t in due]
    out = (simulate_published if published else simulate)(trial, entered, stop)
    blocking = trial.system.kind in ("blocking", "gunicorn", "bounded", "external")
    jobs, requests = [], []
    for n, t in enumerate(due):
        row, asked = (_blocking_job if blocking else _queued_job)(trial, out, n, t, stop, rng)
        row |= {
            "job": uuid.UUID(int=rng.getrandbits(128)).hex,
            "arrival": t,
            "sent": t + rng.uniform(2e-4, 1e-3),
        }
        row["phase"] = "warmup" if t < trial.load.warmup else "window"
        jobs.append(row)
        requests += [{"job": row["job"], "error": "", "bytes": 90, **r} for r in asked]
    if not published:
        _server_timing(trial, out, jobs, entered)
    end = max((j["done"] for j in jobs), default=0.0)
    events = [
        {"t": 0.0, "event": "load_started", "role": "generator"},
        {"t": trial.load.warmup, "event": "window_started", "role": "generator"},
        {"t": window_end, "event": "window_ended", "role": "generator"},
        {"t": end, "event": "cut_off" if any(j["outcome"] == "unfinished" for j in jobs) else "drained",
         "role": "generator"},
        *[e for e in out.events if e["t"] < stop],
    ]  # fmt: skip
    executions = [
        {**asdict(run), "job": jobs[run.job]["job"], "pid": 100, "ok": math.isfinite(run.end)}
        for run in out.runs
        if trial.system.kind != "external"
    ]
    rows = {
        "jobs": jobs,
        "requests": requests,
        "executions": executions,
        "events": [{"pid": 1, "detail": "", **e} for e in events],
        "resources": _resources(trial, out, jobs, requests, end),
    }
    for table, names in {
        "jobs": ("arrival", "sent", "accepted", "done"),
        "requests": ("sent",),
        "executions": ("start", "end", "cut"),
        "events": ("t",),
        "resources": ("t",),
    }.items():
        for row in rows[table]:
            for name in names:
                row[name] += began
    return rows


def _blocking_job(
    trial: Trial, out: Simulated, n: int, t: float, stop: float, rng: random.Random
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    limit = t + trial.gateway_timeout
    row: dict[str, Any] = {"accepted": math.nan, "error": "", "polls": 0, "wait": math.nan, "run": math.nan}
    if n in out.refused:
        row |= {"done": t + 0.002, "outcome": "rejected", "status": 503}
    elif n in out.broken:
        row |= {"done": out.broken[n], "outcome": "error", "status": 502, "error": "Bad Gateway"}
    elif out.ends.get(n, math.inf) + 0.002 <= limit:
        done = out.ends[n] + rng.uniform(0.001, 0.003)
        row |= {"done": done, "accepted": done, "outcome": "ok", "status": 200}
    else:
        row |= {"done": limit + rng.uniform(0.001, 0.004), "outcome": "gateway_timeout", "status": 504}
    return row, [{"kind": "run", "sent": t, "elapsed": row["done"] - t, "status": row["status"]}]


def _queued_job(
    trial: Trial, out: Simulated, n: int, t: float, stop: float, rng: random.Random
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    accepted = t + rng.uniform(0.005, 0.012)
    row: dict[str, Any] = {"accepted": accepted, "error": "", "wait": math.nan, "run": math.nan}
    ready = out.ends.get(n, math.inf)
    if ready < stop - trial.poll_interval:
        polls = max(1, math.ceil((ready - accepted) / trial.poll_interval))
        done = accepted + polls * trial.poll_interval + rng.uniform(0.002, 0.005)
        row |= {"done": done, "outcome": "ok", "status": 200}
    else:
        polls = int((stop - accepted) / trial.poll_interval)
        row |= {"done": stop, "outcome": "unfinished", "status": 200}
    row["polls"] = polls
    asked = [{"kind": "submit", "sent": t, "elapsed": accepted - t, "status": 202}]
    asked += [
        {"kind": "poll", "sent": accepted + (k + 1) * trial.poll_interval, "elapsed": 0.003, "status": 200}
        for k in range(polls)
    ]
    if row["outcome"] == "ok":
        asked.append({"kind": "result", "sent": row["done"] - 0.002, "elapsed": 0.002, "status": 200})
    return row, asked


def _server_timing(trial: Trial, out: Simulated, jobs: list[dict[str, Any]], entered: list[float]) -> None:
    """What the service says that it spent on each job that it delivered."""
    for run in out.runs:
        if jobs[run.job]["outcome"] == "ok" and math.isfinite(run.end):
            jobs[run.job]["run"] = run.end - run.start - 1e-4
            if trial.system.kind == "queued":
                jobs[run.job]["wait"] = run.start - entered[run.job]


def _resources(
    trial: Trial, out: Simulated, jobs: list[dict[str, Any]], requests: list[dict[str, Any]], end: float
) -> list[dict[str, Any]]:
    t = np.arange(0.0, max(end, 2.0) + 0.25, 0.125)
    start = np.array([r.start for r in out.runs] or [0.0])
    stop = np.array([r.end if math.isfinite(r.end) else r.cut for r in out.runs] or [1.0])
    stop = np.maximum(np.where(np.isfinite(stop), stop, end), start + 1e-6)
    done = np.clip((t[:, None] - start) / (stop - start), 0, 1)
    burnt = np.array([trial.work.cpu_time if math.isnan(r.cpu) else r.cpu for r in out.runs] or [0.0])
    cpu = done @ burnt
    running = ((t[:, None] >= start) & (t[:, None] < stop)).sum(axis=1)
    asked = np.sort([r["sent"] for r in requests] or [0.0])
    finished = 0.001 * np.searchsorted(np.sort(stop), t)
    queue = trial.system.kind in ("queued", "as_published")
    roles = {"web": 0.0018 * np.searchsorted(asked, t) + 0.004 * t}
    if queue:
        roles |= {"worker": cpu + 2 * finished, "broker": 3 * finished + 0.006 * t, "epmd": 0.0 * t}
        roles["store"] = finished + 0.002 * t
    else:
        roles["web"] = roles["web"] + cpu
    gateway = 0.0003 * np.searchsorted(asked, t)
    touched = np.clip((t[:, None] - start) / Server.TOUCH, 0, 1) * (
        (t[:, None] >= start) & (t[:, None] < stop)
    )
    memory = 1.6e8 + touched.sum(axis=1) * (trial.work.memory or 1.5e7)
    kills = np.array([sum(e["t"] <= x and e["event"] == "oom_kill" for e in out.events) for x in t])
    series = {
        ("box", "cpu"): sum(roles.values()),
        ("box", "memory"): np.minimum(memory, trial.box.memory * 0.995),
        ("box", "oom_kills"): kills,
        ("box", "throttled"): 0.05 * cpu,
        ("generator", "cpu"): 0.1 * t,
    }
    if trial.system.kind != "external":
        series |= {(role, "cpu"): value for role, value in roles.items()}
        series["gateway", "cpu"] = gateway
    if queue:
        came = np.sort([j["accepted"] for j in jobs])
        left = np.sort(start)
        ready = np.maximum(0, np.searchsorted(came, t) - np.searchsorted(left, t))
        series["queue", "ready"] = ready
        series["queue", "unacked"] = running
    elif trial.system.kind != "external":
        sent, gone = np.sort([j["sent"] for j in jobs]), np.sort([j["done"] for j in jobs])
        series["gateway", "requests"] = np.searchsorted(sent, t) - np.searchsorted(gone, t)
    return [
        {"t": float(x), "subject": subject, "metric": metric, "value": float(v)}
        for (subject, metric), values in series.items()
        for x, v in zip(t, values, strict=True)
    ]


def calibration(part: str, work: Work) -> dict[str, Any]:
    """A calibration as run.json keeps it."""
    measured = Calibration(work.task, work.service_time, work.cpu_time, 9, work.holds_gil, 2.0)
    again = replace(measured, wall=work.service_time * 1.04)
    return {
        "part": part,
        "task": work.task,
        "input": work.input,
        "before": asdict(measured),
        "after": asdict(again),
    }


def plan(
    experiment: Experiment, cpus: float = 1.5, memory: int = 2 * 2**30
) -> tuple[list[Trial], dict[str, Work]]:
    """Trials of an experiment as the harness would expand them."""
    works = {}
    for part in experiment.parts:
        task = part.task or experiment.task
        value = part.input if part.input is not None or part.task else experiment.input
        works[part.name] = work_of(task, value)
    own = {
        name: System(
            name, s.kind, restart=s.restart, services_in_box=s.services_in_box, worker_nice=s.worker_nice
        )
        for name, s in experiment.systems.items()
    }
    return expand(experiment, works, {**SYSTEMS, **own}, Box(cpus, memory)), works


def write_run(
    folder: Path,
    trials: list[Trial],
    works: dict[str, Work] | None = None,
    *,
    capped: bool = True,
    only: int | None = None,
    **changes: Any,
) -> Path:
    """Play trials and write them as a run folder. `only`: interrupt after so many; `changes`: to run.json."""
    run = RunFolder(folder)
    first = next((t for t in trials if t.load.relative), trials[0])
    taken = trials if only is None else trials[:only]
    results: dict[str, Any] = {}
    for n, trial in enumerate(taken):
        if trial.needs_memory_cap and not capped:
            results[trial.id] = {
                "status": "skipped",
                "reason": "memory is not capped here (no right to)",
                "caps": {},
            }
            continue
        for table, rows in play(trial, EPOCH + 60.0 * n).items():
            run.write_part(table, trial.id, rows)
        caps = {"cpus": trial.box.cpus, "memory": trial.box.memory, "kind": "cgroup1", "pinned": [0, 1]}
        results[trial.id] = {
            "status": "done",
            "reason": "",
            "caps": caps if capped else {"cpus": None, "memory": None, "kind": "none"},
            "seconds": 20.0,
            "measured_seconds": 17.5,
        }
    data = {
        "id": folder.name,
        "experiment": {"name": "synthetic", "title": "A simulated run, not a measurement"},
        "trials": [t.to_json() for t in trials],
        "results": results,
        "environment": {
            "python": "3.13.1",
            "system": "Linux",
            "cpu": "Simulated",
            "cores": 2,
            "memory": 8 * 2**30,
            "commit": "0123456789ab",
            "libraries": {"flask": "3.1", "pika": "1.3"},
        },
        "caps": {
            "kind": "cgroup1" if capped else "none",
            "cpu": capped,
            "memory": capped,
            "why": "" if capped else "this user may not make control groups",
        },
        "box": asdict(first.box),
        "calibration": [calibration(part, work) for part, work in (works or {}).items()],
        "service_time": first.work.service_time,
        "reference_capacity": first.load.rate / (first.load.relative or 1.0) or first.capacity,
        "deadline": first.deadline,
        "poll_interval": first.poll_interval,
        "seed": 7,
        "started": "2025-06-15T12:00:00+00:00",
        "finished": "2025-06-15T12:05:00+00:00" if only is None else None,
        "command": "bench run quick",
        "notes": [],
    } | changes
    run.write_run(data)
    return folder


EVERYTHING = """
task = "spin"
input = { seconds = 0.25, gil = "held" }
deadline = "6S"
poll_interval = "1S"
[[parts]]
name = "load"
shows = "load"
systems = ["blocking", "gunicorn", "bounded", "as-published", "queued"]
rates = ["0.5C", "1.5C"]
window = "14s"
warmup = "1s"
[[parts]]
name = "gil-released"
shows = "load"
systems = ["blocking"]
input = { seconds = 0.25, gil = "released" }
rates = ["0.5C"]
window = "14s"
[[parts]]
name = "workers"
shows = "workers"
systems = ["gunicorn", "queued"]
workers = [1, 4]
rates = ["1.5C"]
window = "14s"
[[parts]]
name = "workers-io"
shows = "workers"
systems = ["gunicorn", "queued"]
workers = [1, 4]
task = "sleep"
input = { seconds = 0.25 }
rates = ["0.9C"]
window = "4s"
[[parts]]
name = "burst"
shows = "burst"
systems = ["blocking", "bounded", "queued"]
arrivals = "burst"
sizes = [12]
[[parts]]
name = "memory"
shows = "memory"
systems = ["blocking", "queued"]
arrivals = "burst"
sizes = [6]
task = "memory"
input = { mb = 600, seconds = 1.0 }
deadline = "8S"
needs_memory_cap = true
[[parts]]
name = "six-users"
shows = "closed"
systems = ["blocking", "queued"]
workers = [1, 2]
arrivals = "closed"
sizes = [6]
jobs_per_user = 1
[[parts]]
name = "short"
shows = "service_time"
systems = ["blocking", "queued"]
arrivals = "burst"
sizes = [6]
input = { seconds = 0.125, gil = "held" }
deadline = "60s"
[[parts]]
name = "middle"
shows = "service_time"
systems = ["blocking", "queued"]
arrivals = "burst"
sizes = [6]
deadline = "60s"
[[parts]]
name = "long"
shows = "service_time"
systems = ["blocking", "queued"]
arrivals = "burst"
sizes = [6]
input = { seconds = 1.0, gil = "held" }
deadline = "60s"
[[parts]]
name = "pulse"
shows = "metastability"
systems = ["blocking", "queued"]
arrivals = "pulse"
capacity = "own"
pulse = { base = "0.5C", peak = "3C", before = "40S", length = "20S", after = "160S" }
retries = { policy = "jitter", after = "5S", base = "1S", budget = "10%" }
[[parts]]
name = "stairs"
shows = "metastability"
systems = ["gunicorn", "queued"]
arrivals = "stairs"
capacity = "own"
rates = ["0.4C", "0.8C", "1.6C"]
step = "20S"
"""
"""A small experiment with every kind of part."""


def everything(folder: Path, **changes: Any) -> Path:
    """A run with data for every chart."""
    return from_text(EVERYTHING, folder, **changes)


def from_text(text: str, folder: Path, **changes: Any) -> Path:
    """A run of an experiment given as text."""
    trials, works = plan(parse(text, "test", "everything"))
    return write_run(folder, trials, works, **changes)


def built_in(name: str, folder: Path, **changes: Any) -> Path:
    """A synthetic run of a built-in experiment."""
    experiment = load(name)
    cpus = experiment.box.cpus if isinstance(experiment.box.cpus, float | int) else 1.5
    trials, works = plan(experiment, cpus, experiment.box.memory)
    described = {"experiment": json.loads(experiment.model_dump_json())}
    return write_run(folder, trials, works, **{**described, **changes})


if __name__ == "__main__":
    print(built_in(sys.argv[1], Path(sys.argv[2])))  # noqa: T201 - a script's answer
