"""`bench soak`: a steady load for a long time, and whether anything grows."""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import folders
from bench.chaos import ledger, outcome
from bench.chaos.drive import Users
from bench.chaos.face import face_of
from bench.chaos.ground import Ground, Site, build_of, ground, trial_of
from bench.chaos.sampling import Sample, channels, look
from bench.chaos.show import Show
from bench.chaos.slopes import Growth, Tolerance, growth, steady
from bench.chaos.stream import Mix, orders
from bench.chaos.work import TASK, given
from bench.interrupt import Interrupted, interruptible
from bench.spec import SpecError
from bench.stack.systems import SYSTEMS

SPEND = 0.1
"""Seconds of one job, which waits and does not compute: capacity is workers / SPEND."""
TTL = 60.0
"""Seconds that the queue keeps a result: then the number of keys levels off within the first minutes."""
MIB = 2**20
WAL = 2 * MIB
"""Bytes of RabbitMQ's write-ahead log before it begins a new one. Quorum queues hold in memory what is in it:
at RabbitMQ's own 512 MiB its memory would grow for hours before it can be seen to level off."""
TOLERANCES = {
    "memory": Tolerance(3 * MIB, 0.05),
    "handles": Tolerance(2, 0.05),
    "connections": Tolerance(1, 0.05),
    "channels": Tolerance(1, 0.05),
    "keys": Tolerance(20, 0.1),
}
"""What may be added over the samples."""
WORDS = {
    "memory": (
        "Memory",
        f"PSS of each process, in MiB; RabbitMQ's write-ahead log is limited to {WAL // MIB}.",
    ),
    "handles": ("File handles", "Open files and sockets of each process."),
    "connections": ("Connections", "AMQP connections that RabbitMQ has."),
    "channels": ("Channels", "AMQP channels, by rabbitmqctl."),
    "keys": ("Keys", f"Of Redis; results are kept for {TTL:g} s."),
}
LOST_PATIENCE = 30.0
"""Seconds without any job ending, after the last arrival, after which the rest counts as lost."""


@dataclass(frozen=True)
class Wish:
    """What was asked for."""

    minutes: float = 30.0
    load: float = 0.8
    """Share of the capacity."""
    system: str = "queued"
    workers: int = 2
    seed: int = 1
    output: Path | None = None
    command: str = ""

    @property
    def rate(self) -> float:
        """Jobs per second."""
        return self.load * self.workers / SPEND


def check(wish: Wish) -> None:
    """Raises SpecError with all that is wrong."""
    wrong = []
    able = [name for name, system in SYSTEMS.items() if system.kind == "queued"]
    if wish.system not in able:
        wrong.append(f"--system {wish.system!r}: choose one of {', '.join(able)}")
    if not 0.1 <= wish.minutes <= 1440:
        wrong.append("--minutes must be from 0.1 to 1440")
    if not 0.01 <= wish.load <= 0.99:
        wrong.append("--load must be from 0.01 to 0.99: a queue at its capacity grows without end")
    if not 1 <= wish.workers <= 64:
        wrong.append("--workers must be from 1 to 64")
    if wish.output is not None and (why := folders.new_trouble(wish.output)):
        wrong.append(why)
    if wrong:
        raise SpecError("\n".join(wrong))


def run(wish: Wish, console: Console) -> int:
    """Carry it out. Exit code: 0 everything is flat and no job lost, 1 not so, 130 interrupted.

    Raises SpecError and StackError.
    """
    check(wish)
    folder = wish.output or folders.new(f"soak-{wish.system}")
    folders.check("--output", folder)
    folder.mkdir(parents=True, exist_ok=True)
    show = Show(console)
    console.print(
        f"soak: {wish.system}, {wish.minutes:g} min at {wish.load:g} of its capacity "
        f"({wish.rate:.1f} jobs/s)\nfolder: {folder}",
        highlight=False,
        soft_wrap=True,
    )
    started = outcome.now()
    samples: list[tuple[float, Sample]] = []
    try:
        with interruptible(), show.showing():
            users = _soak(wish, folder, show, samples)
    except Interrupted:
        if samples:
            _write(folder, samples)
        return folders.interrupted(console, folder, recorded=bool(samples))
    _write(folder, samples)
    told = tell(wish, users, samples)
    outcome.write(folder, started, wish.command, {"soak": told})
    outcome.present(folder, console)
    return 1 if told["unmet"] else 0


def _write(folder: Path, samples: Iterable[tuple[float, Sample]]) -> None:
    ledger.write(
        folder / "samples.jsonl",
        ({"t": t, **{f"{a}: {b}": v for (a, b), v in one.items()}} for t, one in samples),
    )


def _soak(wish: Wish, folder: Path, show: Show, samples: list[tuple[float, Sample]]) -> Users:
    """Bring it up, load it to the end, and add what was seen of it to the samples."""
    system = replace(SYSTEMS[wish.system], workers=wish.workers)
    probe = given(0, 0.02)
    site = Site(
        kind=system.kind,
        build=build_of(system, trial_of(system, task=TASK, probe=probe)),
        folder=folder,
        probe=probe,
        workers=wish.workers,
        broker_config=f"raft.wal_max_size_bytes = {WAL}\n",
        environment={"QUEUED_RESULT_TTL": f"{TTL:g}", "QUEUED_RETRY_AFTER": "1"},
    )
    span = 60 * wish.minutes
    mix = Mix(fails=0.02, repeats=0.0, spend=(SPEND, SPEND))
    with ExitStack() as stack:
        show.stage(f"bringing up {wish.system} (RabbitMQ takes 5 to 10 s) …")
        place = stack.enter_context(ground(site))
        markers = folder / "markers"
        markers.mkdir()
        began = time.time()
        jobs = orders(wish.seed, round(span * wish.rate), span, mix)
        users = Users(
            place.url,
            face_of(site.kind),
            jobs,
            markers,
            seed=wish.seed,
            span=span,
            clock=lambda: time.time() - began,
        )
        stack.callback(users.stop)
        users.start()
        _watch(place, users, span, began, show, samples)
        _drain(users)
    return users


def _watch(
    place: Ground,
    users: Users,
    span: float,
    began: float,
    show: Show,
    samples: list[tuple[float, Sample]],
) -> None:
    """Sample until the last job has arrived."""
    every, rarely = max(1.0, span / 180), max(15.0, span / 30)
    counted = 0.0
    end = began + span
    while (now := time.time()) < end:
        one = look(place)
        if now - counted >= rarely:
            counted = now
            if (count := channels(place)) is not None:
                one["channels", "RabbitMQ"] = count
        samples.append((now - began, one))
        counts = users.counts()
        show.counts(f"due {counts.due:,}  ended {counts.ended:,}", max(0.0, end - now))
        while time.time() < min(end, now + every):
            time.sleep(0.1)


def _drain(users: Users) -> None:
    last, quiet = -1, time.monotonic()
    while not users.settled:
        time.sleep(0.1)
        ended = users.counts().ended
        if ended != last:
            last, quiet = ended, time.monotonic()
        if time.monotonic() - quiet > LOST_PATIENCE:
            users.cut_off()


def series(samples: Iterable[tuple[float, Sample]]) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Samples by what they are of."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for t, one in samples:
        for key, value in one.items():
            found.setdefault(key, []).append((round(t, 1), value))
    return found


def tell(wish: Wish, users: Users, samples: Sequence[tuple[float, Sample]]) -> dict[str, Any]:
    """The tables of the page."""
    rows = [row for row in users.rows if row.accepted is not None]
    lost = sum(row.done is None for row in rows)
    wrong = sum(row.state == "done" and row.right is not True for row in rows)
    failed = sum(row.done is not None and row.state != "done" for row in rows)
    found = series(samples)
    warmup = max(12 * wish.minutes, TTL + 30)
    grown = {key: growth(steady(points, warmup), TOLERANCES[key[0]]) for key, points in found.items()}
    growing = [f"{what} of {name} grows" for (what, name), g in grown.items() if not g.flat]
    unmet = [
        f"{n} {'job' if n == 1 else 'jobs'} {what}"
        for n, what in ((lost, "lost"), (wrong, "wrong"), (failed, "failed"))
        if n
    ]
    unmet += growing
    return {
        "system": wish.system,
        "lead": f"{len(rows):,} jobs over {wish.minutes:g} minutes at {wish.load:.0%} of the capacity "
        f"({wish.rate:.1f} jobs/s): {lost} lost, {wrong} wrong, {failed} failed. "
        + ("Everything is flat." if not growing else f"{len(growing)} of {len(grown)} series grow."),
        "unmet": unmet,
        "tables": [_table(what, found, grown) for what in WORDS if any(key[0] == what for key in found)],
    }


def _table(
    what: str,
    found: Mapping[tuple[str, str], list[tuple[float, float]]],
    grown: Mapping[tuple[str, str], Growth],
) -> dict[str, Any]:
    title, how = WORDS[what]
    unit = MIB if what == "memory" else 1.0
    keys = [key for key in found if key[0] == what]
    return {
        "title": title,
        "how": f"{how} The slope leaves the first minutes out; added: what it amounts to over the rest.",
        "head": ["of", "median", "slope per hour", "added", "may be", "verdict"],
        "rows": [
            [
                key[1],
                f"{grown[key].median / unit:,.1f}",
                f"{3600 * grown[key].slope / unit:+,.2f}",
                f"{grown[key].added / unit:+,.2f}",
                f"{grown[key].limit / unit:,.1f}",
                "flat" if grown[key].flat else "GROWS",
            ]
            for key in keys
        ],
        "alarm": [n for n, key in enumerate(keys) if not grown[key].flat],
        "charts": [found[key] for key in keys],
    }
