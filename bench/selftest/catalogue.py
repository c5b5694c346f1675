"""Which servers the self-test runs against, and under which loads. Pure."""

from dataclasses import dataclass

from bench.load.assignment import MAX_IN_FLIGHT
from bench.plan import Box, Load, System, Trial, Work
from bench.selftest.behaviour import Behaviour, Deed

UNCAPPED = Box(cpus=1.0, memory=2**30)
"""A trial has a box; nothing here is in one."""
UNBOUNDED = 10_000.0
"""Jobs per second of a server that serves everything at once."""
POLL = 0.1
"""Seconds between polls."""


@dataclass(frozen=True)
class Scenario:
    """One load on one server of known behaviour. Durations in seconds."""

    name: str
    what: str
    """What the server does, for people."""
    behaviour: Behaviour
    load: Load
    server: str = ""
    """Scenarios of one group that name the same server meet the very same one; empty: one of its own."""
    deadline: float = 30.0
    drain_limit: float = 10.0
    max_in_flight: int = MAX_IN_FLIGHT
    hold: float = 0.0
    """The generator is stopped before a burst is due, and goes on so long after: every job is sent late."""
    times: bool = True
    """Whether response times are held against the truth; if not, counts and rates alone."""

    @property
    def host(self) -> str:
        """Name of the server it meets."""
        return self.server or self.name

    @property
    def length(self) -> float:
        """Seconds from the first arrival to about the last result."""
        load, known = self.load, self.behaviour
        backlog = 0.0
        if known.workers and load.rate:
            backlog = max(0.0, load.rate * load.window * known.delay / known.workers - load.window)
        lost = self.drain_limit if "lose" in known.script else 0.0
        return load.warmup + load.window + self.hold + backlog + max(known.delay, known.slow, lost)


@dataclass(frozen=True)
class Same:
    """A/A: one load, cut into short trials one after another, compared with itself."""

    scenario: str
    segments: int
    pairs: int = 5
    """Pairs of a comparison, the least that comparisons accept."""

    @property
    def comparisons(self) -> int:
        """How many come of it."""
        return self.segments // (2 * self.pairs)


@dataclass(frozen=True)
class Catalogue:
    """A whole self-test."""

    groups: tuple[tuple[Scenario, ...], ...]
    """Groups come one after another; the scenarios of one run side by side."""
    stalled: tuple[str, str]
    """The open and the closed load on the server that stands still once."""
    hidden_at: float
    """The percentile at which closed users no longer show the stall."""
    same: Same
    plain: str
    """The closed load beside which an independent tool measures the same server."""

    @property
    def scenarios(self) -> list[Scenario]:
        """All of them, in order."""
        return [s for group in self.groups for s in group]

    def scenario(self, name: str) -> Scenario:
        """Raises KeyError for a name that is not there."""
        return {s.name: s for s in self.scenarios}[name]


def trial_of(scenario: Scenario) -> Trial:
    """The trial that the generator is handed; where the server answers it is told when it begins."""
    known = scenario.behaviour
    takes = known.delay + known.mean_extra
    return Trial(
        id=scenario.name,
        part=scenario.name,
        shows="closed" if scenario.load.arrivals == "closed" else "load",
        system=System(scenario.name, "external"),
        # The task's check lets a wrong result be seen; the server hands the input back.
        work=Work("sleep", {"seconds": 0.01}, service_time=takes, cpu_time=0.0, holds_gil=False),
        load=scenario.load,
        box=UNCAPPED,
        deadline=scenario.deadline,
        gateway_timeout=scenario.deadline,
        poll_interval=POLL,
        drain_limit=scenario.drain_limit,
        repeat=1,
        seed=known.seed,
        capacity=known.workers / takes if known.workers else UNBOUNDED,
    )


def full() -> Catalogue:
    """What `bench selftest` runs: a minute and a quarter of load."""
    stall = Behaviour(delay=0.15, stall_after=8.0, stall=1.4)
    return Catalogue(
        groups=(
            (
                _distribution(rate=160, window=19.0),
                _fixed(0.4, rate=20, window=19.0),
                *_stalled(stall, rate=30, users=6, window=20.0),
            ),
            tuple(_outcomes(delay=0.3, rate=10, seconds=8.0)),
            (_plain(0.2, window=8.0),),
            (_same(rate=500, window=20.0),),
        ),
        stalled=("stall", "stall-closed"),
        hidden_at=0.99,
        same=Same("same", segments=1000),
        plain="plain",
    )


def quick() -> Catalogue:
    """Fewer jobs and longer delays: no p99.9, but at home on a busy machine. 20 s of load."""
    stall = Behaviour(delay=0.3, stall_after=3.0, stall=1.4)
    return Catalogue(
        groups=(
            (
                _fixed(0.6, rate=20, window=5.0),
                *_stalled(stall, rate=20, users=4, window=9.0),
                _same(rate=200, window=8.0),
                _plain(0.3, window=4.0),
            ),
            tuple(_outcomes(delay=0.5, rate=10, seconds=4.0)),
        ),
        stalled=("stall", "stall-closed"),
        hidden_at=0.9,
        same=Same("same", segments=200),
        plain="plain",
    )


def _fixed(delay: float, rate: float, window: float) -> Scenario:
    return Scenario(
        "fixed",
        f"every job takes {delay:g} s",
        Behaviour(delay=delay),
        Load("poisson", rate, warmup=1.0, window=window),
    )


def _distribution(rate: float, window: float) -> Scenario:
    return Scenario(
        "distribution",
        "150 ms and an exponential time of mean 150 ms",
        Behaviour(delay=0.15, mean_extra=0.15, seed=7),
        Load("poisson", rate, warmup=1.0, window=window),
    )


def _stalled(stall: Behaviour, rate: float, users: int, window: float) -> list[Scenario]:
    """The same stall of the same server, met by an open and by a closed load."""
    words = f"{stall.delay * 1000:.0f} ms a job, and everything stands still for {stall.stall:g} s, once"
    return [
        Scenario("stall", words, stall, Load("constant", rate, window=window), server="stall"),
        Scenario(
            "stall-closed",
            f"the same server at the same time, by {users} closed users",
            stall,
            Load("closed", size=users, window=window),
            server="stall",
        ),
    ]


def _outcomes(delay: float, rate: float, seconds: float) -> list[Scenario]:
    """Every way in which a job can end, each by a script."""
    served: Deed = "serve"
    drops = (*[served] * 8, "close", "503", "504", "slow", "wrong")
    lies = (*[served] * 7, "lose")
    twice = (*[served] * 4, "twice")
    return [
        Scenario(
            "capacity",
            "2 workers, first come first served, offered one and a half times what they can do",
            Behaviour(delay=0.25, workers=2),
            Load("constant", 12.0, window=seconds + 0.1),
        ),
        Scenario(
            "drops",
            "of 13 jobs it drops, refuses, fails, delays and falsifies one each",
            Behaviour(delay=delay, script=drops, slow=delay + 2.5),
            Load("constant", rate, window=1.3 * seconds),
            deadline=delay + 1.5,
        ),
        Scenario(
            "lies",
            "says 202 to one in 8 and never finishes it",
            Behaviour("jobs", delay=delay, script=lies),
            Load("constant", rate, window=seconds),
            drain_limit=delay + 3.5,
        ),
        Scenario(
            "duplicates",
            "executes one in 5 twice",
            Behaviour("jobs", delay=delay, script=twice),
            Load("constant", rate, window=seconds),
        ),
        Scenario(
            "late",
            "a burst of 60 that the generator, held up, sends late; 10 are more than it may have in flight",
            Behaviour(delay=0.5),
            Load("burst", size=60, warmup=3.0, window=0.0),
            max_in_flight=50,
            hold=1.2,
        ),
    ]


def _plain(delay: float, window: float) -> Scenario:
    return Scenario(
        "plain",
        f"every job takes {delay * 1000:.0f} ms, by 8 closed users, and by an independent tool beside them",
        Behaviour(delay=delay),
        Load("closed", size=8, window=window),
    )


def _same(rate: float, window: float) -> Scenario:
    return Scenario(
        "same",
        "workers at 70 % load, first come first served; cut into trials that are compared (A/A)",
        Behaviour(delay=0.0, mean_extra=0.02, seed=11, workers=round(rate * 0.02 / 0.7)),
        Load("poisson", rate, window=window),
        times=False,
    )
