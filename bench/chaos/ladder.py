"""`bench chaos --ladder`: a bare queue with one measure more at a time, each struck in every way."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import folders
from bench.chaos import ledger, outcome
from bench.chaos.audit import Findings, Least, audit
from bench.chaos.bare.measures import Measures, steps
from bench.chaos.drive import Users
from bench.chaos.face import face_of
from bench.chaos.ground import Build, Ground, Site, build_of, ground, trial_of
from bench.chaos.plan import ROLES, SINGLE, Kind, Pace, plan
from bench.chaos.show import Show
from bench.chaos.storm import TICK, check
from bench.chaos.storm import Wish as StormWish
from bench.chaos.stream import Mix, orders
from bench.chaos.strikes import Striker
from bench.chaos.work import TASK, given
from bench.interrupt import Interrupted, interruptible
from bench.journal import executions
from bench.stack.process import Command
from bench.stack.systems import SYSTEMS, Settings, commands

WORKERS = 2
HEARTBEAT, LEASE = 3.0, 3.0
"""Seconds."""
NO_FILE = "appendonly no\n"
"""Redis keeps everything in memory only: its own default is little better."""
FILE = "appendfsync always\n"
NEW = {
    "ack": "manual ack, one message at a time",
    "persistent": "durable queue, persistent messages",
    "confirms": "publisher confirms",
    "store_first": "result stored before the ack",
}
"""What a step adds, in words."""


@dataclass(frozen=True)
class Rung:
    """One system of the ladder."""

    name: str
    kind: str
    build: Build
    store_config: str
    patience: float
    """Seconds without any job ending after which what has not ended is lost."""


@dataclass(frozen=True)
class Wish:
    """What was asked for."""

    seed: int = 1
    short: bool = False
    output: Path | None = None
    command: str = ""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Strikes, the store's last: it takes with it what is known of all jobs before."""
        chosen = (Kind.KILL_WORKER, Kind.KILL_BROKER, Kind.KILL_STORE) if self.short else SINGLE
        return tuple(sorted(chosen, key=lambda kind: kind is Kind.KILL_STORE))


def rungs(wish: Wish) -> list[Rung]:
    """From the least to everything; with `short` only the ends and the middle."""
    system = replace(SYSTEMS["queued"], workers=WORKERS, heartbeat=HEARTBEAT)
    trial = trial_of(system, task=TASK, probe=given(0, 0.02))
    made = []
    for n, measures in enumerate(steps()):
        added = next((words for name, words in list(NEW.items())[n - 1 : n] if n), "")
        name = f"+ {added}" if n else "auto-ack, and nothing else"
        made.append(Rung(name, "queued", bare(measures), NO_FILE, patience=15.0))
        last = measures
    made.append(Rung("+ Redis on disk, fsync always", "queued", bare(last), FILE, patience=15.0))
    made.append(Rung("queued: everything", "queued", build_of(system, trial), FILE, patience=30.0))
    return [made[0], made[-2], made[-1]] if wish.short else made


def bare(measures: Measures) -> Build:
    """The commands of the bare queue: what `queued` is started with, with other words."""
    system = replace(SYSTEMS["queued"], workers=WORKERS, heartbeat=HEARTBEAT)
    trial = trial_of(system, task=TASK, probe=given(0, 0.02))

    def build(settings: Settings) -> list[Command]:
        made = []
        for command in commands(trial, settings):
            words: tuple[str, ...] = (sys.executable, "-m", "bench.chaos.bare", command.role)
            if command.role == "web":
                words += ("--host", "127.0.0.1", "--port", str(settings.web_port))
            made.append(replace(command, argv=(*words, "--with", measures.words)))
        return made

    return build


def run(wish: Wish, console: Console) -> int:
    """Climb it. Exit code: 0 the last rung lost nothing, 1 it did, 130 interrupted. Raises StackError."""
    check(StormWish(output=wish.output))
    folder = wish.output or folders.new("chaos-ladder")
    folders.check("--output", folder)
    folder.mkdir(parents=True, exist_ok=True)
    show = Show(console)
    console.print(f"chaos: the ladder\nfolder: {folder}", highlight=False, soft_wrap=True)
    started = outcome.now()
    try:
        with interruptible(), show.showing():
            ladder = rungs(wish)
            found = [
                _climb(rung, n, wish, folder, show, left=lambda n=n: len(ladder) - n)  # type: ignore[misc]  # n= binds
                for n, rung in enumerate(ladder)
            ]
    except Interrupted:
        struck = [path for path in folder.glob("rung-*/*.jsonl") if path.stem in wish.kinds]
        return folders.interrupted(console, folder, recorded=bool(struck))
    told = tell(ladder, wish.kinds, found)
    outcome.write(folder, started, wish.command, {"ladder": told})
    outcome.present(folder, console)
    return 1 if told["unmet"] else 0


def tell(
    ladder: Sequence[Rung], kinds: Sequence[Kind], found: Sequence[Sequence[Findings]]
) -> dict[str, Any]:
    """The tables of the page, from the findings of each rung under each kind of strike."""

    def rows(count: Callable[[Findings], str]) -> list[list[str]]:
        return [[rung.name, *map(count, each)] for rung, each in zip(ladder, found, strict=True)]

    def bad(f: Findings) -> int:
        return f.lost + f.wrong + f.failed + f.changed

    alarm = [n for n, each in enumerate(found) if any(map(bad, each))]
    last = sum(map(bad, found[-1]))
    first = sum(map(bad, found[0]))
    accepted = sum(f.accepted for f in found[0])
    head = ["measure", *kinds]
    return {
        "lead": f"Of {accepted:,} accepted jobs the queue with nothing but auto-ack lost {first:,} to "
        f"{len(kinds)} sorts of strikes; with everything on, {last:,} of "
        f"{sum(f.accepted for f in found[-1]):,} were lost.",
        "unmet": [f"{ladder[-1].name}: {last} {'job' if last == 1 else 'jobs'} lost, wrong or failed"]
        if last
        else [],
        "tables": [
            {
                "title": "Lost",
                "how": "Accepted jobs without their result when the drain was over, of those accepted. Each "
                "line has all measures of the lines above it.",
                "head": head,
                "rows": rows(lambda f: f"{bad(f)} of {f.accepted}"),
                "alarm": alarm,
            },
            {
                "title": "Done twice",
                "how": "Completed executions beyond a job's first: what it costs not to lose.",
                "head": head,
                "rows": rows(lambda f: str(f.duplicates)),
            },
            {
                "title": "Recovered",
                "how": "From the strike to the first job accepted after it that had its result; the slowest.",
                "head": head,
                "rows": rows(_slowest),
            },
        ],
    }


def _slowest(f: Findings) -> str:
    times = [r.seconds for r in f.recoveries if r.jobs]
    known = [t for t in times if t is not None]
    return "never" if len(known) < len(times) or not times else f"{max(known):.1f} s"


def _climb(
    rung: Rung, number: int, wish: Wish, folder: Path, show: Show, *, left: Callable[[], int]
) -> list[Findings]:
    """One rung under every kind of strike."""
    place_folder = folder / f"rung-{number}"
    site = Site(
        kind=rung.kind,
        build=rung.build,
        folder=place_folder,
        probe=given(0, 0.02),
        workers=WORKERS,
        environment={"QUEUED_LEASE": f"{LEASE:g}", "QUEUED_RETRY_AFTER": "1"},
        store_config=rung.store_config,
    )
    show.stage(f"{rung.name} ({left()} to go): bringing it up …")
    found = []
    with ExitStack() as stack:
        place = stack.enter_context(ground(site))
        for n, kind in enumerate(wish.kinds):
            show.stage(f"{rung.name}: {kind}")
            found.append(_strike(place, kind, rung, wish, seed=wish.seed * 10_000 + number * 100 + n))
            ledger.write(place_folder / f"{kind}.jsonl", [found[-1].to_json()])
    return found


def _strike(place: Ground, kind: Kind, rung: Rung, wish: Wish, *, seed: int) -> Findings:
    """A stream of jobs and strikes of one kind, drained and audited."""
    rounds = 1 if wish.short else 2
    pace = Pace(gap=3.0, broker=3.0, stop=3 * HEARTBEAT, cut=2.0, lead=1.5, tail=1.5)
    made = plan(seed, pace, rounds=rounds, seam_rounds=0, workers=WORKERS, kinds=(kind,), seams=())
    # Close to what two workers can do, so that a queue stands there when something dies.
    mix = Mix(keyless=1.0, fails=0.0, push=0.0, repeats=0.0, spend=(0.05, 0.09))
    jobs = orders(seed, round(made.span * 25), made.span, mix)
    striker = Striker(place, made, time.time() + 0.2, patience=15.0)
    users = Users(
        place.url,
        face_of(rung.kind),
        jobs,
        place.site.folder,
        seed=seed,
        span=made.span,
        clock=striker.clock,
    )
    try:
        users.start()
        striker.start(lambda: users.last_accepted)
        last, quiet = -1, time.monotonic()
        while not (users.settled and striker.over):
            time.sleep(TICK)
            counts = users.counts()
            all_up = all(place.up(role) for role in dict.fromkeys(ROLES.values()))
            if counts.ended != last or not striker.over or not all_up:
                last, quiet = counts.ended, time.monotonic()
            if time.monotonic() - quiet > rung.patience:
                users.cut_off()
        striker.stop()
        users.close_books()
        while not users.closed:
            time.sleep(TICK)
            users.counts()
    finally:
        striker.stop()
        users.stop()
    strikes = striker.rows()
    requests = {row.request for row in users.rows}
    died = {int(e["pid"]): float(e["t"]) for e in place.events() if e["event"] == "died"}
    ran = [
        e for e in executions(place.site.folder / "journal.jsonl", died, time.time()) if e["job"] in requests
    ]
    return audit(users.rows, ran, strikes, Least({kind: rounds}, {}, near=0.0))
