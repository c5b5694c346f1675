"""From an experiment and what was calibrated to the list of trials, in the order in which they will run.

Pure: the same experiment, calibrations and host give the same trials. Here everything relative (S, C, `auto`)
becomes seconds and jobs per second.
"""

import random
import zlib
from dataclasses import replace

from bench.plan import Box, Kind, Load, Retry, Step, System, Trial, Work, alone_in
from bench.spec import Experiment, PartSpec, RetrySpec, SpecError

POLL_FLOOR = 0.1
"""Seconds; the least of an interval given in multiples of S. Below it, polling a web server at 1.8 ms of its
CPU a poll would be most of the work."""


QUEUES: tuple[Kind, ...] = ("as_published", "queued")
"""Kinds that have workers apart from the web."""
DEFAULT_ATTEMPTS = 4
"""Attempts of a client that retries, where nothing is said: three retries, as urllib3 has it by default."""


def capacity(kind: Kind, workers: int, work: Work, cpus: float, worker_box: Box | None = None) -> float:
    """Jobs per second a system can sustain, from S, its CPU part, and who excludes whom.

    Processes: each worker does 1/S, all together no more than the box's CPU allows. Threads of one process:
    the box's CPU, or one core where the work holds the GIL. Workers in boxes of their own share nothing. The
    definition is the operational "bottleneck
    law" (Denning & Buzen, The Operational Analysis of Queueing Network Models, 1978).
    """
    cpu_time = max(work.cpu_time, 1e-4)
    if worker_box is not None and kind in QUEUES:
        return workers / alone_in(work, worker_box)
    if kind == "blocking":
        return min(1.0, cpus) / cpu_time if work.holds_gil else cpus / cpu_time
    return min(workers / work.service_time, cpus / cpu_time)


def default_cpus(cores: int) -> float:
    """vCPU of an `auto` box on a host with this many cores: the generator needs part of one for itself."""
    return 2.0 if cores > 2 else cores - 0.5


def expand(
    experiment: Experiment,
    works: dict[str, Work],
    systems: dict[str, System],
    box: Box,
) -> list[Trial]:
    """Every trial of the experiment in running order.

    `works` gives each part's calibrated work by part name, `systems` each system by name. Repeats are
    interleaved: all trials of repeat 1 in an order shuffled by the experiment's seed, then all of repeat 2.
    Raises SpecError where a client's time-out turns out to be no shorter than the deadline.
    """
    rounds: dict[int, list[Trial]] = {}
    for part in experiment.parts:
        for trial in _part_trials(experiment, part, works[part.name], systems, box):
            rounds.setdefault(trial.repeat, []).append(trial)
    order = random.Random(experiment.seed)
    trials: list[Trial] = []
    for repeat in sorted(rounds):
        order.shuffle(rounds[repeat])
        trials += rounds[repeat]
    return [replace(t, id=f"{n:03d}-{t.id}") for n, t in enumerate(trials, start=1)]


def _part_trials(
    experiment: Experiment, part: PartSpec, work: Work, systems: dict[str, System], box: Box
) -> list[Trial]:
    own_box = experiment.worker_box
    each = Box(own_box.cpus, own_box.memory) if own_box else None
    reference = capacity("queued", experiment.reference_workers, work, box.cpus, each)
    service = work.service_time
    deadline = (part.deadline or experiment.deadline).seconds(service)
    gateway = (experiment.gateway_timeout or part.deadline or experiment.deadline).seconds(service)
    interval = part.poll_interval or experiment.poll_interval
    poll = max(POLL_FLOOR if interval.in_service_times else 0.0, interval.seconds(service))
    retry = retry_of(part.retries, service)
    if retry.after >= deadline:
        raise SpecError(
            f"part {part.name}: retries.after ({retry.after:g} s here) must be shorter than the deadline "
            f"({deadline:g} s): whoever gives up when it is too late has nothing to try again for"
        )
    trials = []
    for name in part.systems:
        own = experiment.systems.get(name)
        max_wait = own.max_wait.seconds(service) if own and own.max_wait else None
        # Threads do not come in workers: the one-process server is measured once, not once a worker count.
        counts = part.workers[:1] if systems[name].kind in ("blocking", "external") else part.workers
        for workers in counts:
            system = replace(systems[name], workers=workers, max_wait=max_wait)
            able = capacity(system.kind, workers, work, box.cpus, each)
            for load in part_loads(part, able if part.capacity == "own" else reference, service):
                for repeat in range(1, (part.repeats or experiment.repeats) + 1):
                    trials.append(
                        Trial(
                            id=f"{part.name}-{name}-w{workers}-{load.label.replace('/', 'p')}-r{repeat}",
                            part=part.name,
                            shows=part.shows,
                            system=system,
                            work=work,
                            load=load,
                            box=box,
                            deadline=deadline,
                            gateway_timeout=gateway,
                            poll_interval=poll,
                            drain_limit=(
                                part.drain.seconds(service)
                                if part.drain
                                else drain_limit(load, able, deadline) + retry.longest
                            ),
                            repeat=repeat,
                            seed=zlib.crc32(f"{experiment.seed}/{work.task}/{load.label}/{repeat}".encode()),
                            capacity=able,
                            processes=experiment.generator.processes,
                            needs_memory_cap=part.needs_memory_cap,
                            connection_limit=(
                                connection_limit(able, deadline, retry) if system.kind == "bounded" else 0
                            ),
                            retry=retry,
                            worker_box=each if system.kind in QUEUES else None,
                        )
                    )
    return trials


def connection_limit(able: float, deadline: float, retry: Retry) -> int:
    """How many requests a bounded system admits: what it can do before nobody waits for it any more.

    With clients that give up before D, half of what it can do until then: the work of one who has gone goes
    on while another takes the place, and both together should take no longer than clients wait.
    """
    return max(1, int((min(deadline, retry.after / 2) if retry.after else deadline) * able))


def retry_of(spec: RetrySpec | None, service_time: float) -> Retry:
    """The policy in seconds, given S. Without a cap, pauses double up to the last one."""
    if spec is None:
        return Retry()
    attempts = 1 if spec.policy == "none" else spec.attempts or DEFAULT_ATTEMPTS
    base = spec.base.seconds(service_time) if spec.base else 0.0
    return Retry(
        policy=spec.policy,
        attempts=attempts,
        after=spec.after.seconds(service_time) if spec.after else 0.0,
        base=base,
        cap=spec.cap.seconds(service_time) if spec.cap else base * 2.0 ** max(0, attempts - 2),
        budget=spec.budget or 0.0,
    )


def part_loads(part: PartSpec, reference: float, service_time: float) -> list[Load]:
    """The loads of a part, given the capacity in jobs/s that its C means and S in seconds."""
    warmup = part.warmup.seconds(service_time)
    if part.pulse or part.step:
        return [_shaped(part, reference, service_time, warmup)]
    floor = part.window_min.seconds(service_time)
    window = part.window.seconds(service_time) if part.window else 0.0
    loads = []
    for rate in part.rates:
        per_second = rate.per_second(reference)
        length = max(floor, part.jobs / per_second if part.jobs else window)
        loads.append(
            Load(
                arrivals=part.arrivals,
                rate=per_second,
                warmup=warmup,
                window=length,
                label=str(rate),
                relative=per_second / reference,
            )
        )
    for size in part.sizes:
        loads.append(
            Load(
                arrivals=part.arrivals,
                size=size,
                warmup=warmup if part.arrivals == "closed" else 0.0,
                window=max(floor, window),
                think=part.think.seconds(service_time),
                jobs_per_user=part.jobs_per_user,
                label=f"{part.arrivals}{size}",
            )
        )
    return loads


def _shaped(part: PartSpec, reference: float, service_time: float, warmup: float) -> Load:
    """A pulse or stairs."""
    if part.pulse:
        pulse = part.pulse
        shape = [(pulse.base, pulse.before), (pulse.peak, pulse.length), (pulse.base, pulse.after)]
        label = f"pulse-{pulse.base}-{pulse.peak}"
    else:
        assert part.step is not None
        up = [(rate, part.step) for rate in part.rates]
        shape = [*up, *reversed(up[:-1])]
        label = f"stairs-{part.rates[0]}-{part.rates[-1]}"
    steps = tuple(Step(rate.per_second(reference), length.seconds(service_time)) for rate, length in shape)
    return Load(
        arrivals=part.arrivals,
        rate=steps[0].rate,
        warmup=warmup,
        window=sum(step.seconds for step in steps),
        label=label,
        relative=steps[0].rate / reference,
        steps=steps,
    )


def jobs_offered(load: Load) -> float:
    """How many jobs a load brings, warm-up included."""
    if load.steps:
        return load.rate * load.warmup + sum(step.rate * step.seconds for step in load.steps)
    return load.rate * (load.warmup + load.window) if load.rate else load.size * max(1, load.jobs_per_user)


def drain_limit(load: Load, capacity: float, deadline: float) -> float:
    """Seconds after the window at which unfinished jobs are cut off.

    Twice the work of the backlog that a system half as fast as it should be would have, plus D and ten
    seconds: generous, because a drain ends by itself as soon as nothing is left, and a job cut off on a slow
    machine would look as if the system had lost it.
    """
    slow = capacity / 2
    if load.steps:
        backlog = 0.0
        for (
            step
        ) in load.steps:  # what a base rate leaves idle after the peak works off the backlog, not before
            backlog = max(0.0, backlog + (step.rate - slow) * step.seconds)
    else:
        worked = slow * (load.warmup + load.window) if load.rate else 0.0
        backlog = max(0.0, jobs_offered(load) - worked)
    return deadline + 2 * backlog / slow + 10.0


def expected_seconds(trial: Trial) -> float:
    """About how long the trial takes, for the ETA: arrivals, the backlog's work, deployment and stop."""
    load = trial.load
    offered = jobs_offered(load)
    work = offered / trial.capacity
    if trial.system.kind in ("blocking", "gunicorn", "bounded"):
        patience = trial.retry.longest or trial.gateway_timeout
        work = min(work, load.warmup + load.window + patience)
    return max(work, load.warmup + load.window + trial.work.service_time) + 3.0
