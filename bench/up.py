"""`bench up`: one system, held until Ctrl-C."""

import json
import shlex
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from bench import exits, folders
from bench.console import terminal
from bench.environment import usable_cores
from bench.expand import capacity, default_cpus
from bench.interrupt import Interrupted, interruptible
from bench.plan import Box, Load, Trial, Work
from bench.request import read_input, slips
from bench.spec import SpecError
from bench.stack.box import detect_caps
from bench.stack.calibrate import calibrate
from bench.stack.deploy import Deployment, deployment
from bench.stack.services import Services
from bench.stack.systems import SYSTEMS, uses_queue
from bench.units import format_size, parse_length, parse_size
from workloads import WorkloadError, load_task

GUESS = 10.0
"""Seconds assumed for a job of a function whose service time nobody has measured."""
POLL_INTERVAL = 0.25
"""Seconds: what the queue's clients are told is a whole number, so 0 here: as often as they like."""
LOOK = 0.25
"""Seconds between looks for news while holding."""


@dataclass(frozen=True)
class Wish:
    """What is to be brought up, as a person writes it."""

    system: str
    workers: int = 2
    task: str = "spin"
    input_file: Path | None = None
    """JSON; None: the task's example."""
    deadline: str = "60s"
    """The gateway's limit."""
    cpus: float | None = None
    """None: 2, or less where the machine has no core to spare for a generator."""
    memory: str = "2GiB"
    port: int | None = None
    """The gateway's; None: any free one."""


def run(wish: Wish, *, as_json: bool = False, folder: Path | None = None) -> int:
    """Bring it up, say where it is, hold it until Ctrl-C or SIGTERM, end it. Return the exit code.

    `folder` takes logs and journal (None: `reports/up-SYSTEM-TIME`). Raises SpecError for a wish that makes
    no sense, StackError when it does not come up.
    """
    folder = folder or folders.new(f"up-{wish.system}")
    folders.check("--logs", folder)
    # With --json stdout holds that one line; what is news on the way goes to stderr.
    console = terminal(stderr=as_json)
    console.soft_wrap = True  # commands and addresses are to be copied
    up = False
    try:
        with interruptible(), ExitStack() as stack:
            trial = resolve(wish, folder)
            services = stack.enter_context(Services(folder))
            waiting = " (RabbitMQ takes 5 to 10 s)" if uses_queue(trial) else ""
            with console.status(f"bringing up {wish.system}{waiting} …"):
                deployed = stack.enter_context(
                    deployment(
                        trial,
                        services=services,
                        folder=folder,
                        journal=folder / "journal.jsonl",
                        port=wish.port,
                    )
                )
            up = True
            if as_json:
                sys.stdout.write(json.dumps(facts(deployed)) + "\n")
                sys.stdout.flush()
            else:
                announce(console, trial, deployed, folder)
            hold(console, deployed)
    except Interrupted:
        console.print("ended; nothing is left running" if up else "interrupted; nothing is left running")
        # Ending a system that is up is no interruption but the plan.
        return exits.FINE if up else exits.INTERRUPTED
    raise AssertionError("unreachable: holding ends by an interruption only")


def resolve(wish: Wish, folder: Path) -> Trial:
    """Work out the trial, which has no load of ours. Raises SpecError, or StackError while measuring S."""
    wrong = []
    if wish.system not in SYSTEMS:
        wrong.append(f"there is no system {wish.system!r}: choose one of {', '.join(SYSTEMS)}")
    if not 1 <= wish.workers <= 1024:
        wrong.append("--workers must be from 1 to 1024")
    if wish.port is not None and not 1 <= wish.port <= 65535:
        wrong.append("--port must be from 1 to 65535")
    box, wrong_box = _box(wish)
    wrong += wrong_box
    wrong += slips(("--deadline", wish.deadline, parse_length))
    try:
        value = _input(wish)
    except (SpecError, WorkloadError) as error:
        wrong.append(str(error))
    if wrong:
        raise SpecError("\n".join(wrong))
    deadline = parse_length(wish.deadline)
    system = replace(SYSTEMS[wish.system], workers=wish.workers)
    nominal = None if ":" in wish.task else load_task(wish.task).nominal(value)
    if nominal is None and (system.kind == "bounded" or deadline.in_service_times):
        nominal = calibrate(wish.task, value, box, folder=folder / "logs", threads=False).wall
    service_time = nominal if nominal is not None else GUESS
    seconds = deadline.seconds(service_time)
    work = Work(wish.task, value, service_time=service_time, cpu_time=service_time)
    able = capacity(system.kind, system.workers, work, box.cpus)
    return Trial(
        id=f"up-{wish.system}",
        part="up",
        shows="load",
        system=system,
        work=work,
        load=Load("closed"),
        box=box,
        deadline=seconds,
        gateway_timeout=seconds,
        poll_interval=POLL_INTERVAL,
        drain_limit=0.0,
        repeat=1,
        seed=1,
        capacity=able,
        connection_limit=max(1, int(seconds * able)) if system.kind == "bounded" else 0,
    )


def _box(wish: Wish) -> tuple[Box, list[str]]:
    """Return the box, and what is wrong with the wish for it."""
    cores = usable_cores()
    cpus = wish.cpus if wish.cpus is not None else default_cpus(cores)
    wrong, memory = [], 0
    if not 0 < cpus <= cores:
        wrong.append(f"--cpus must be above 0 and at most {cores}, which this machine has")
    try:
        memory = parse_size(wish.memory)
    except ValueError as error:
        wrong.append(f"--memory: {error}")
    return Box(cpus, memory), wrong


def _input(wish: Wish) -> Any:
    """Return the job's input. Raises SpecError or WorkloadError with one clear line."""
    if wish.input_file is not None:
        value = read_input(wish.input_file)
    elif ":" in wish.task:
        raise SpecError(
            "--input is needed: a JSON file with an input for this function of your own, which only you know"
        )
    else:
        value = load_task(wish.task).example
    # A function of the user's own is imported by the servers, not here: it may be a model of gigabytes.
    return value if ":" in wish.task else load_task(wish.task).check(value)


def facts(deployed: Deployment) -> dict[str, Any]:
    """Return what scripts want to know, as JSON types."""
    return {
        "base_url": deployed.base_url,
        "direct_url": deployed.direct_url,
        "broker_url": deployed.broker_url or None,
        "store_url": deployed.store_url or None,
        "queue": deployed.queue or None,
        "box": deployed.box.in_force(),
        "processes": [{"role": process.role, "pid": process.pid} for process in deployed.processes()],
    }


def announce(console: Console, trial: Trial, deployed: Deployment, folder: Path) -> None:
    """Say what is up, where, in which box, and how to load it."""
    force = deployed.box.in_force()
    console.print(Text(trial.system.name, "bold") + " is up and has done a job.")
    if force["cpus"] is None or force["memory"] is None:
        what = " and ".join(
            name for name in ("CPU" * (not force["cpus"]), "memory" * (not force["memory"])) if name
        )
        console.print(f"  NOT CAPPED ({what}): {detect_caps().why}", style="bold red")
    else:
        console.print(f"  box      {force['cpus']:g} vCPU, {format_size(force['memory'])} ({force['kind']})")
    console.print(f"  gateway  {deployed.base_url}  (504 after {trial.gateway_timeout:g} s)")
    if trial.connection_limit:
        console.print(f"           503 at once beyond {trial.connection_limit} connections in progress")
    console.print(f"  web      {deployed.direct_url}  (without the gateway)")
    if deployed.broker_url:
        console.print(f"  broker   {deployed.broker_url}  queue {deployed.queue}")
        console.print(f"  store    {deployed.store_url}")
    console.print(f"  logs     {folder / 'logs'}")
    console.print("\nTry it:")
    console.print(f"  {curl(trial, deployed)}")
    console.print("Load it, with Locust's page on http://localhost:8089, or without by --headless:")
    console.print(f"  {locust(trial, deployed)}")
    console.print("\nCtrl-C ends it.")


def curl(trial: Trial, deployed: Deployment) -> str:
    """Return a command that submits one job."""
    value = json.dumps(trial.work.input)
    if trial.system.kind == "as_published":
        return shlex.join(["curl", "-G", f"{deployed.base_url}/factorial", "--data-urlencode", f"no={value}"])
    path = "/jobs" if trial.system.kind == "queued" else "/run"
    body = json.dumps({"input": trial.work.input})
    return shlex.join(["curl", "-H", "Content-Type: application/json", "-d", body, deployed.base_url + path])


def locust(trial: Trial, deployed: Deployment) -> str:
    """Return the command that loads this system with these jobs."""
    scenarios = Path(__file__).parent / "scenarios.py"
    shown = scenarios.relative_to(Path.cwd()) if scenarios.is_relative_to(Path.cwd()) else scenarios
    words = ["locust", "-f", str(shown), "--host", deployed.base_url, "--system", trial.system.name]
    words += ["--task", trial.work.task, "--job-input", json.dumps(trial.work.input)]
    return shlex.join([*words, "--deadline", f"{trial.deadline:g}s"])


def hold(console: Console, deployed: Deployment) -> None:
    """Wait for ever, and tell of processes that die and come back."""
    told = 0
    while True:
        time.sleep(LOOK)
        news = deployed.events()
        for event in news[told:]:
            line = f"{event['role']} (pid {event['pid']}) {event['event']}: {event['detail']}"
            console.print(f"  {datetime.fromtimestamp(event['t']):%H:%M:%S} {line}")
        told = len(news)
