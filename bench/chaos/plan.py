"""What is to go wrong and when: a seeded plan of strikes. Pure."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations


class Kind(StrEnum):
    """What a strike does."""

    KILL_WORKER = "kill-worker"
    STOP_WORKER = "stop-worker"
    """SIGSTOP for longer than heartbeat and lease, then SIGCONT: a machine that hangs and comes back."""
    KILL_WEB = "kill-web"
    KILL_BROKER = "kill-broker"
    KILL_STORE = "kill-store"
    KILL_GATEWAY = "kill-gateway"
    CUT_WORKER = "cut-worker"
    """The network between the workers and the broker: frozen, then reset."""
    CUT_WEB = "cut-web"
    """The same between the web and the broker."""
    PAIR = "pair"
    """Two of the others at once."""
    SEAM = "seam"
    """A process kills itself between two steps that must not come apart."""


SEAMS = ("after-record", "after-confirm", "after-store", "before-retry-ack", "after-due-publish")
"""Places in `queued` where a file of this name kills the process that comes by."""
SINGLE = tuple(kind for kind in Kind if kind not in (Kind.PAIR, Kind.SEAM))
KINDS = (*SINGLE, Kind.PAIR)
"""Every kind that is not a seam."""
LASTING = {Kind.STOP_WORKER, Kind.CUT_WORKER, Kind.CUT_WEB}
"""Kinds that last; the others are over at once."""
ROLES = {
    Kind.KILL_WORKER: "worker",
    Kind.STOP_WORKER: "worker",
    Kind.KILL_WEB: "web",
    Kind.KILL_BROKER: "broker",
    Kind.KILL_STORE: "store",
    Kind.KILL_GATEWAY: "gateway",
    Kind.CUT_WORKER: "worker",
    Kind.CUT_WEB: "web",
}
"""Whom a kind strikes."""


@dataclass(frozen=True)
class Strike:
    """One thing that goes wrong."""

    at: float
    """Seconds after the storm's beginning."""
    kind: Kind
    parts: tuple[Kind, ...]
    """What it consists of: itself, two others for a pair, nothing for a seam."""
    worker: int = 0
    """Which worker, from 0, where one is struck."""
    lasts: float = 0.0
    """Seconds that a stop or a cut lasts."""
    seam: str = ""

    @property
    def name(self) -> str:
        """In words, e.g. `kill-store + cut-worker` or `seam after-store`."""
        return f"seam {self.seam}" if self.seam else " + ".join(self.parts)


@dataclass(frozen=True)
class Pace:
    """How close strikes follow one another. All in seconds."""

    gap: float
    """Mean time from one strike to the next."""
    broker: float
    """So much more after RabbitMQ was killed, which takes long to boot."""
    stop: float
    """How long a worker hangs: longer than two heartbeats and than the lease."""
    cut: float
    """How long the network is frozen before it is reset."""
    lead: float = 2.0
    """Before the first strike."""
    tail: float = 4.0
    """After the last one, with jobs still arriving."""


@dataclass(frozen=True)
class Plan:
    """All strikes in order, and how long the storm is."""

    strikes: tuple[Strike, ...]
    span: float
    """Seconds over which jobs arrive."""


def plan(
    seed: int,
    pace: Pace,
    *,
    rounds: int,
    seam_rounds: int,
    workers: int,
    kinds: Sequence[Kind] = KINDS,
    seams: Sequence[str] = SEAMS,
) -> Plan:
    """Each kind `rounds` times and each seam `seam_rounds` times, in a random order, at random distances.

    The same seed gives the same plan. Where there is one round only, the pair leaves the broker alone: it is
    killed by itself already, and its boot takes longer than all the rest.
    """
    rng = random.Random(f"plan {seed}")
    names: list[tuple[Kind, str]] = [(kind, "") for kind in kinds for _ in range(rounds)]
    names += [(Kind.SEAM, seam) for seam in seams for _ in range(seam_rounds)]
    rng.shuffle(names)
    pairs = _pairs(rng, kinds, with_broker=rounds > 1)
    strikes, at, paired = [], pace.lead, 0
    for kind, seam in names:
        parts: tuple[Kind, ...] = () if seam else (kind,)
        if kind is Kind.PAIR:
            parts, paired = pairs[paired % len(pairs)], paired + 1
        strikes.append(
            Strike(
                at=round(at, 3),
                kind=kind,
                parts=parts,
                worker=rng.randrange(workers),
                lasts=max((_lasts(part, pace) for part in parts), default=0.0),
                seam=seam,
            )
        )
        at += pace.gap * rng.uniform(0.5, 1.5) + (pace.broker if Kind.KILL_BROKER in parts else 0.0)
    last = max((s.at + s.lasts for s in strikes), default=0.0)
    return Plan(tuple(strikes), round(max(at, last) + pace.tail, 3))


def _lasts(kind: Kind, pace: Pace) -> float:
    if kind is Kind.STOP_WORKER:
        return pace.stop
    return pace.cut if kind in LASTING else 0.0


def _pairs(rng: random.Random, kinds: Sequence[Kind], *, with_broker: bool) -> list[tuple[Kind, ...]]:
    """Every two single kinds that strike different parts, shuffled; of those asked for where they suffice."""
    single = [kind for kind in kinds if kind in SINGLE and (with_broker or kind is not Kind.KILL_BROKER)]
    if len({ROLES[kind] for kind in single}) < 2:
        single = list(SINGLE)
    found: list[tuple[Kind, ...]] = [
        pair for pair in combinations(single, 2) if ROLES[pair[0]] != ROLES[pair[1]]
    ]
    rng.shuffle(found)
    return found
