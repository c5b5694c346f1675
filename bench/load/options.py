"""The options of `locust -f bench/scenarios.py`, and what they add up to."""

import argparse
import json
import sys
from argparse import Namespace
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, NoReturn, get_args

from bench.load.assignment import MAX_IN_FLIGHT, Assignment, patience
from bench.load.clients import Face
from bench.load.errors import LoadError
from bench.plan import Arrivals, Load, Retry, RetryPolicy
from bench.units import parse_duration, parse_rate, parse_share
from workloads import WorkloadError, load_task

GROUP = "Queuebench"
MODELS = {"OpenArrivals": "open", "ClosedUsers": "closed"}
"""The model that each of Locust's user classes stands for."""
FACE_OF_SYSTEM: tuple[tuple[str, Face], ...] = (
    ("as-published", "published"),
    ("queued", "jobs"),
    ("blocking", "run"),
    ("gunicorn", "run"),
    ("bounded", "run"),
)
"""By the beginning of a system's name; variants' names are longer, e.g. `as-published-restarted`."""


@dataclass(frozen=True)
class Chosen:
    """What the command line, or Locust's web form, asks for."""

    assignment: Assignment
    system: str
    workers: int
    records: Path | None
    run_time_is_window: bool
    """Locust's --run-time was given, and says for how long jobs arrive."""


def add_options(parser: Any) -> None:
    """Add ours to Locust's parser. Those that can be changed between two tests appear in the web form."""
    group = parser.add_argument_group(
        GROUP, 'Durations are written "250ms", "1.5s", "2min", or "6S" for six service times.'
    )

    def add(name: str, text: str, *, form: bool = True, **more: Any) -> None:
        action = group.add_argument(name, help=text, **more)
        # Locust's parser takes this as an argument; a group, which keeps `--help` in order, does not.
        action.include_in_web_ui = form
        action.is_secret = action.is_required = action.is_multiple = False

    add(
        "--system",
        "System to bring up where no --host is given: blocking, gunicorn, bounded, as-published, queued. "
        "With --host: how to speak to it (default: find out). Default: queued",
        form=False,
    )
    add("--workers", "Its gunicorn processes or queue workers. Default: 2", form=False, type=int, default=2)
    add("--face", f"How to speak to it: {', '.join(get_args(Face))}; left out, by the system", form=False)
    add("--task", "What a job does: a built-in task or package.module:function", form=False, default="spin")
    add("--job-input", "JSON input of each job. Default: the task's example", form=False)
    add(
        "--model",
        "open: by schedule. closed: Locust's users, one job at a time. Default: open",
    )
    add("--arrivals", "Open: poisson, constant or burst. Default: poisson")
    add("--rate", 'Open: jobs offered a second, "4/s" or "90/min". Default: 2/s')
    add("--size", "Open, burst: jobs that come at once. Default: 20")
    add("--think", "Closed: time between a result and the same user's next job. Default: 0s")
    add("--jobs-per-user", "Closed: jobs of each user. Default: until the window ends")
    add("--seed", "Seed of the schedule", default="1")
    add("--window", "How long jobs arrive and count. Default: --run-time; or 30s, closed for ever")
    add("--warmup", "How long jobs arrive before that, and are not counted. Default: 0s")
    add("--drain", "Time after the window at which unfinished jobs are cut off", default="60s")
    add("--deadline", "How long a user waits. Default: 6S where S is set by the task, else 60s")
    add("--poll-interval", "Time between polls, where the server asks for no more", default="250ms")
    add("--retries", f"When an attempt to submit fails: {', '.join(get_args(RetryPolicy))}. Default: none")
    add("--attempts", "With --retries: attempts in all, the first included. Default: 4")
    add("--attempt-timeout", "A client's own time-out of one attempt. Default: longer than the deadline")
    add("--retry-base", "backoff and jitter: the first pause; it doubles from there. Default: 1s")
    add("--retry-cap", "backoff and jitter: the longest pause. Default: 20s")
    add("--retry-budget", 'At most this share of all attempts of ten seconds are retries, e.g. "10%%"')
    add("--max-in-flight", "Jobs in flight beyond which arrivals are dropped", default=str(MAX_IN_FLIGHT))
    add("--records", "Folder for the records of each job and request", form=False)
    add("--options", "Show this list", form=False, action=ShowOptions, nargs=0)
    add("--trial", "Carry out a trial of a run, as the harness does", form=False)
    add("--clock-shift", argparse.SUPPRESS, form=False, type=float, default=0.0)  # a worker's, for tests


class ShowOptions(argparse.Action):
    """Locust's own `--help` is printed before it has read this file, so it can't tell of our options."""

    def __call__(self, *_: Any) -> NoReturn:
        """Print them and leave."""
        parser = argparse.ArgumentParser(
            prog="locust -f bench/scenarios.py",
            add_help=False,
            usage="%(prog)s [options of Locust, see locust --help] [options below]",
        )
        add_options(parser)
        parser.print_help()
        sys.exit(0)


def read_options(options: Namespace) -> Chosen:
    """Make sense of them all. Raises LoadError, with one line that names the option."""
    task, value, service_time = _work(options)
    model = _model(options)
    load = _load(options, model, service_time)
    deadline = (
        _seconds("--deadline", options.deadline, service_time)
        if _given(options.deadline)
        else 6 * service_time
        if service_time
        else 60.0
    )
    if deadline <= 0:
        raise LoadError("--deadline must be above 0")
    if options.workers < 1:
        raise LoadError("--workers must be at least 1")
    system = options.system if _given(options.system) else ""
    return Chosen(
        assignment=Assignment(
            label=f"{system or 'queued'} {task}" if not options.host or system else task,
            face=_face(options, system),
            task=task,
            value=value,
            load=load,
            seed=_whole("--seed", options.seed, 0),
            deadline=deadline,
            patience=patience(deadline, deadline),
            poll_interval=_seconds("--poll-interval", options.poll_interval, service_time),
            drain_limit=_seconds("--drain", options.drain, service_time),
            max_in_flight=_whole("--max-in-flight", options.max_in_flight, 1),
            retry=_retry(options, service_time),
        ),
        system=system or "queued",
        workers=options.workers,
        records=Path(options.records) if _given(options.records) else None,
        run_time_is_window=_run_time_is_window(options, load.arrivals),
    )


def _retry(options: Namespace, service_time: float | None) -> Retry:
    """How clients try again."""
    policy: RetryPolicy = options.retries if _given(options.retries) else "none"
    if policy not in get_args(RetryPolicy):
        raise LoadError(f"--retries must be {', '.join(get_args(RetryPolicy))}, not {policy!r}")
    pauses = policy in ("backoff", "jitter")
    heeded = {
        "--attempts": policy != "none",
        "--retry-budget": policy != "none",
        "--retry-base": pauses,
        "--retry-cap": pauses,
    }
    for name, fits in heeded.items():
        if not fits and _given(getattr(options, name[2:].replace("-", "_"))):
            raise LoadError(f"{name} has no meaning with --retries {policy}")

    def seconds(name: str, otherwise: str) -> float:
        given = getattr(options, name[2:].replace("-", "_"))
        return _seconds(name, given if _given(given) else otherwise, service_time)

    try:
        budget = parse_share(options.retry_budget) if _given(options.retry_budget) else 0.0
    except ValueError as error:
        raise LoadError(f"--retry-budget: {error}") from None
    attempts = 1 if policy == "none" else 4
    return Retry(
        policy=policy,
        attempts=_whole("--attempts", options.attempts, 2) if _given(options.attempts) else attempts,
        after=seconds("--attempt-timeout", "0s"),
        base=seconds("--retry-base", "1s") if pauses else 0.0,
        cap=seconds("--retry-cap", "20s") if pauses else 0.0,
        budget=budget,
    )


def _work(options: Namespace) -> tuple[str, Any, float | None]:
    """Task, input, and S where the task sets it by construction."""
    name = options.task
    given = _given(options.job_input)
    value = None
    if given:
        try:
            value = json.loads(options.job_input)
        except ValueError as error:
            raise LoadError(f"--job-input {options.job_input!r} is not JSON: {error}") from None
    if ":" in name:  # the user's own: the servers import it, the generator need not
        if not given:
            raise LoadError("--job-input is needed: only you know an input for a function of your own")
        return name, value, None
    try:
        task = load_task(name)
        value = task.check(value if given else task.example)
    except WorkloadError as error:
        raise LoadError(f"--{'job-input' if given else 'task'}: {error}") from None
    return name, value, task.nominal(value)


def _model(options: Namespace) -> str:
    named = {MODELS[name] for name in options.user_classes or [] if name in MODELS}
    model = options.model if _given(options.model) else None
    if model is None and len(named) < 2:
        return named.pop() if named else "open"
    if model not in ("open", "closed") or (named and named != {model}):
        raise LoadError(
            f"--model must be open or closed, not {model!r}"
            if model not in ("open", "closed", None)
            else "choose one model: --model open, or --model closed"
        )
    return str(model)


def _load(options: Namespace, model: str, service_time: float | None) -> Load:
    arrivals: Arrivals = "closed"
    if model == "open":
        arrivals = options.arrivals if _given(options.arrivals) else "poisson"
        if arrivals not in ("poisson", "constant", "burst"):
            raise LoadError(f"--arrivals must be poisson, constant or burst, not {arrivals!r}")
    _refuse_strays(options, arrivals)
    warmup = _seconds("--warmup", options.warmup, service_time) if _given(options.warmup) else 0.0
    if _given(options.window):
        window = _seconds("--window", options.window, service_time)
    elif _run_time_is_window(options, arrivals):
        window = max(0.0, options.run_time - warmup)
    else:
        window = {"burst": 0.0, "closed": inf}.get(arrivals, 30.0)
    size, rate = 0, 0.0
    if arrivals == "burst":
        size = _whole("--size", options.size if _given(options.size) else 20, 1)
    elif arrivals == "closed":
        size = options.num_users or 1
    else:
        rate = _rate(options.rate) if _given(options.rate) else 2.0
        if rate * (warmup + window) < 1:
            raise LoadError(f"--rate {rate:g}/s makes no whole job in {warmup + window:g} s")
    return Load(
        arrivals=arrivals,
        rate=rate,
        size=size,
        warmup=warmup,
        window=window,
        think=_seconds("--think", options.think, service_time) if _given(options.think) else 0.0,
        jobs_per_user=_whole("--jobs-per-user", options.jobs_per_user, 1)
        if _given(options.jobs_per_user)
        else 0,
    )


def _run_time_is_window(options: Namespace, arrivals: Arrivals) -> bool:
    """A burst, and users with a number of jobs, end by themselves: there --run-time is Locust's own limit."""
    counted = arrivals == "burst" or _given(options.jobs_per_user)
    return bool(options.run_time) and not _given(options.window) and not counted


def _refuse_strays(options: Namespace, arrivals: Arrivals) -> None:
    """An option that another kind of load would heed is a misunderstanding, not something to pass over."""
    heeded = {
        "--arrivals": arrivals != "closed",
        "--rate": arrivals in ("poisson", "constant"),
        "--size": arrivals == "burst",
        "--think": arrivals == "closed",
        "--jobs-per-user": arrivals == "closed",
    }
    for name, fits in heeded.items():
        if not fits and _given(getattr(options, name[2:].replace("-", "_"))):
            kind = "the closed model" if arrivals == "closed" else f"{arrivals} arrivals"
            raise LoadError(f"{name} has no meaning for {kind}")


def _face(options: Namespace, system: str) -> Face | None:
    if _given(options.face) and options.face != "auto":
        if options.face not in get_args(Face):
            raise LoadError(f"--face must be auto, {', '.join(get_args(Face))}, not {options.face!r}")
        face: Face = options.face
        return face
    name = (system or ("" if options.host else "queued")).replace("_", "-")
    return next((face for start, face in FACE_OF_SYSTEM if name.startswith(start)), None)


def _given(value: Any) -> bool:
    """Whether an option was given; the web form sends empty text for one that was not."""
    return value is not None and value != ""


def _seconds(option: str, text: str, service_time: float | None) -> float:
    try:
        duration = parse_duration(text)
    except ValueError as error:
        raise LoadError(f"{option}: {error}") from None
    if duration.in_service_times and service_time is None:
        raise LoadError(f'{option} {text}: S is not known for this task; write seconds, for example "10s"')
    return duration.seconds(service_time or 0.0)


def _rate(text: str) -> float:
    try:
        return parse_rate(text if any(c in text for c in "/C") else f"{text}/s", relative=False).amount
    except ValueError as error:
        raise LoadError(f"--rate: {error}") from None


def _whole(option: str, text: object, least: int) -> int:
    try:
        number = int(str(text))
    except ValueError:
        raise LoadError(f"{option} must be a whole number, not {text!r}") from None
    if number < least:
        raise LoadError(f"{option} must be at least {least}")
    return number
