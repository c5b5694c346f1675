"""What is to be run, resolved: every duration in seconds, every size in bytes, nothing left to decide.

An experiment file (`bench.spec`) is what a person wrote; a plan is what the stack, the generator and the
analysis are handed. A leaf: it imports nothing of ours.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal["blocking", "gunicorn", "bounded", "as_published", "queued", "external"]
"""How a system serves: Flask's threads, gunicorn's processes, the same behind a connection limit,
the queue as the blog post published it, the queue as it should be, or a URL that already runs."""

Arrivals = Literal["poisson", "constant", "burst", "pulse", "stairs", "closed"]
"""How jobs come: all but the last are open (by schedule), `closed` is N users one job at a time each. A pulse
is a base rate, a higher one for a while, and the base rate again; stairs go up and down again."""

Shows = Literal["load", "workers", "burst", "memory", "service_time", "closed", "metastability"]
"""Which chart a part of an experiment is made for."""

RetryPolicy = Literal["none", "immediate", "backoff", "jitter"]
"""When a client whose attempt failed tries again: never, at once, after pauses that double, or after a random
part of such a pause."""


@dataclass(frozen=True)
class System:
    """A system under test with its parameters."""

    name: str
    """Label in charts and tables, e.g. `queued` or `as-published-restarted`."""
    kind: Kind
    workers: int = 2
    """gunicorn processes, consumer or worker processes; ignored by `blocking`."""
    restart: bool = True
    """Whether a process that dies is started again (after 1 s)."""
    result_path: Literal["api", "store"] = "store"
    """How a `queued` worker delivers its result: through the web API or straight into the store."""
    heartbeat: float = 60.0
    """AMQP heartbeat in seconds."""
    services_in_box: bool = True
    """Whether broker and store count against the box, or stand outside as a hosted broker would."""
    worker_nice: int = 0
    """Niceness of worker processes: > 0 lets web, broker and store go first."""
    max_wait: float | None = None
    """Admission by a `queued` web: what would wait for more seconds is answered 429; None: it takes all."""
    url: str | None = None
    """For `external`: where it answers."""


@dataclass(frozen=True)
class Work:
    """What one job does."""

    task: str
    """Name of a built-in task, or `package.module:function`."""
    input: Any
    """The JSON value that every job is given."""
    service_time: float
    """S in seconds: one job alone on an idle core of the box."""
    cpu_time: float
    """CPU seconds of one job; equal to S for CPU-bound work, near 0 for waiting."""
    holds_gil: bool = True
    """Whether threads in one process exclude one another while the task runs."""
    memory: int = 0
    """Bytes one running copy needs beyond an idle process, 0 where unknown."""


@dataclass(frozen=True)
class Step:
    """A stretch of constant rate in a pulse or stairs."""

    rate: float
    """Offered jobs per second."""
    seconds: float


@dataclass(frozen=True)
class Load:
    """How jobs arrive in one trial."""

    arrivals: Arrivals
    rate: float = 0.0
    """Offered jobs per second (poisson, constant); of a pulse or stairs the first step's, at which the
    warm-up comes too."""
    size: int = 0
    """Jobs in the burst, or users of the closed model."""
    warmup: float = 0.0
    """Seconds of arrivals before the window, not counted."""
    window: float = 10.0
    """Seconds of the measured window. For a burst: 0 (all arrive at once)."""
    think: float = 0.0
    """Closed model: seconds between a result and the same user's next job."""
    jobs_per_user: int = 0
    """Closed model: jobs per user, 0 = until the window ends."""
    label: str = ""
    """As the experiment file wrote it, e.g. `1.2C`."""
    relative: float = 0.0
    """Offered rate as a multiple of the experiment's reference capacity, 0 where it has none."""
    steps: tuple[Step, ...] = ()
    """Pulse and stairs: what the window consists of, in order; each step's arrivals are Poisson."""

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Load":
        """Invert `asdict`. Raises TypeError when the data is not a load."""
        plain = {k: v for k, v in data.items() if k != "steps"}
        return Load(**plain, steps=tuple(Step(**step) for step in data.get("steps", ())))


@dataclass(frozen=True)
class Retry:
    """What a client does when an attempt to submit its job fails. Durations in seconds."""

    policy: RetryPolicy = "none"
    attempts: int = 1
    """Attempts in all, the first included."""
    after: float = 0.0
    """The client's own time-out of one attempt; 0: it waits longer than the gateway does."""
    base: float = 0.0
    """The pause before the second attempt; it doubles from there. No meaning for `immediate`."""
    cap: float = 0.0
    """The longest pause that doubling comes to."""
    budget: float = 0.0
    """Share of the attempts of the last `budget_window` that may be retries, all clients together; 0: any."""
    budget_window: float = 10.0

    @property
    def longest(self) -> float:
        """Seconds at most from a job's first attempt to the end of its last, as far as the client decides."""
        return self.attempts * self.after + max(0, self.attempts - 1) * self.cap


@dataclass(frozen=True)
class Box:
    """The resource cap that holds all processes of a system."""

    cpus: float
    memory: int
    """Bytes."""


def alone_in(work: Work, worker_box: Box | None) -> float:
    """Seconds that a job takes in a worker's own box; a job is one process, which uses one core at most."""
    if worker_box is None:
        return work.service_time
    return max(work.service_time, work.cpu_time / min(1.0, worker_box.cpus))


@dataclass(frozen=True)
class Trial:
    """One system under one load, once."""

    id: str
    """Unique in the run and safe as a file name, e.g. `007-queued-w2-1.2C-r1`."""
    part: str
    shows: Shows
    system: System
    work: Work
    load: Load
    box: Box
    deadline: float
    """D in seconds: how long a user waits before the job counts as timed out."""
    gateway_timeout: float
    """nginx's limit in seconds."""
    poll_interval: float
    """Seconds between polls of one client, where the server does not ask for more."""
    drain_limit: float
    """Seconds after the window at which unfinished jobs are cut off."""
    repeat: int
    seed: int
    """Seed of the arrival schedule: the same for every system at this load and repeat."""
    capacity: float
    """Jobs per second this system can sustain (design vocabulary), for ideal lines and drain limits."""
    needs_memory_cap: bool = False
    """Not run where memory is not capped and read back: it would eat the user's machine."""
    processes: int = 1
    """Processes of the load generator."""
    connection_limit: int = 0
    """`bounded`: connections in progress that nginx admits; 0 = no limit."""
    retry: Retry = Retry()
    """How clients behave when an attempt fails."""
    worker_box: Box | None = None
    """Each worker's own, beside the box, which then holds the rest of the system; None: they are in it."""

    @property
    def cores(self) -> float:
        """vCPU that tasks can have, all together."""
        return self.box.cpus if self.worker_box is None else self.system.workers * self.worker_box.cpus

    @property
    def service_time(self) -> float:
        """Seconds that one job takes alone in this system: S, or longer in a worker with a part of a core."""
        return alone_in(self.work, self.worker_box)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, nested."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Trial":
        """Invert `to_json`. Raises TypeError or KeyError when the data is not a trial."""
        nested = {"system", "work", "load", "box", "retry", "worker_box"}
        plain = {k: v for k, v in data.items() if k not in nested}
        worker_box = data.get("worker_box")
        return Trial(
            **plain,
            system=System(**data["system"]),
            work=Work(**data["work"]),
            load=Load.from_json(data["load"]),
            box=Box(**data["box"]),
            retry=Retry(**data.get("retry", {})),
            worker_box=Box(**worker_box) if worker_box else None,
        )


@dataclass(frozen=True)
class Calibration:
    """What one job takes alone in the idle box. Times in seconds, medians over `repeats`."""

    task: str
    wall: float
    cpu: float
    repeats: int
    holds_gil: bool
    two_threads_ratio: float
    """Wall time of two copies in two threads of one process over one copy alone; nan where not measured."""
    samples: list[float] = field(default_factory=list)
    """Wall seconds of each repeat."""
