"""`bench chaos`: a storm from the wish to the page."""

import math
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import folders
from bench.chaos import ledger, outcome
from bench.chaos.audit import Findings, Least, audit, timeline
from bench.chaos.drive import Users
from bench.chaos.face import face_of
from bench.chaos.ground import Ground, Site, build_of, ground, trial_of
from bench.chaos.plan import KINDS, SEAMS, Kind, Pace, Plan, plan
from bench.chaos.show import Show
from bench.chaos.stream import Mix, orders
from bench.chaos.strikes import Striker
from bench.chaos.work import TASK, given
from bench.interrupt import Interrupted, interruptible
from bench.journal import executions
from bench.spec import SpecError
from bench.stack.systems import QUEUES, SYSTEMS

TICK = 0.1
"""Seconds between looks at how far it is."""
JOBS = "jobs.jsonl"


@dataclass(frozen=True)
class Weather:
    """How hard a storm is."""

    rounds: int
    """Strikes of each kind."""
    seam_rounds: int
    """Hits of each seam."""
    pace: Pace
    heartbeat: float
    """Seconds; a stopped worker hangs for longer than two."""
    lease: float
    """Seconds."""
    patience: float
    """Seconds without any job ending after which what has not ended is lost."""
    jobs: int
    mix: Mix = field(default_factory=Mix)
    least_kinds: int = 5
    least_seams: int = 3


LONG = Weather(
    rounds=5,
    seam_rounds=3,
    pace=Pace(gap=7.0, broker=4.0, stop=13.0, cut=7.0, lead=3.0, tail=6.0),
    heartbeat=5.0,
    lease=5.0,
    patience=90.0,
    jobs=10_000,
)
SHORT = Weather(
    rounds=1,
    seam_rounds=1,
    pace=Pace(gap=0.8, broker=1.0, stop=5.0, cut=1.5, lead=1.0, tail=2.0),
    heartbeat=2.0,
    lease=2.0,
    patience=25.0,
    jobs=200,
    mix=Mix(fails=0.3),
    least_kinds=1,
    least_seams=1,
)


@dataclass(frozen=True)
class Wish:
    """What `bench chaos` was asked for."""

    system: str = "queued"
    jobs: int | None = None
    seed: int = 1
    short: bool = False
    workers: int = 2
    output: Path | None = None
    """Folder; None: `reports/chaos-SYSTEM-TIME`."""
    kinds: tuple[str, ...] = ()
    """Only these kinds of strikes; empty: every kind."""
    command: str = ""

    @property
    def weather(self) -> Weather:
        """How hard."""
        chosen = SHORT if self.short else LONG
        return chosen if self.jobs is None else replace(chosen, jobs=self.jobs)


def check(wish: Wish) -> None:
    """Raises SpecError with all that is wrong."""
    wrong = []
    able = [name for name, system in SYSTEMS.items() if system.kind in QUEUES]
    if wish.system not in able:
        wrong.append(f"--system {wish.system!r}: choose one of {', '.join(able)}")
    if wish.jobs is not None and not 1 <= wish.jobs <= 1_000_000:
        wrong.append("--jobs must be from 1 to 1000000")
    if not 1 <= wish.workers <= 64:
        wrong.append("--workers must be from 1 to 64")
    unknown = [kind for kind in wish.kinds if kind not in [*KINDS, Kind.SEAM]]
    if unknown:
        wrong.append(f"--only {', '.join(unknown)}: the kinds are {', '.join([*KINDS, Kind.SEAM])}")
    if wish.output is not None and (why := folders.new_trouble(wish.output)):
        wrong.append(why)
    if wrong:
        raise SpecError("\n".join(wrong))


def run(wish: Wish, console: Console) -> int:
    """Carry the storm out. Exit code: 0 nothing lost and heavy enough, 1 not so, 130 interrupted.

    Raises SpecError for a wish that makes no sense, StackError where the system does not come up.
    """
    check(wish)
    folder = wish.output or folders.new(f"chaos-{wish.system}")
    folders.check("--output", folder)
    folder.mkdir(parents=True, exist_ok=True)
    show = Show(console)
    console.print(f"chaos: {wish.system}\nfolder: {folder}", highlight=False, soft_wrap=True)
    try:
        with interruptible(), show.showing():
            told = storm(wish, folder, show)
    except Interrupted:
        return folders.interrupted(console, folder, recorded=(folder / JOBS).exists())
    outcome.present(folder, console)
    return 0 if told.ok else 1


def storm(wish: Wish, folder: Path, show: Show) -> Findings:
    """Bring the system up, let users and strikes at it, drain, close the books, and write the records."""
    weather, system = wish.weather, SYSTEMS[wish.system]
    seams = SEAMS if system.kind == "queued" and (not wish.kinds or Kind.SEAM in wish.kinds) else ()
    kinds = tuple(Kind(kind) for kind in wish.kinds if kind != Kind.SEAM) or (KINDS if not wish.kinds else ())
    made = plan(
        wish.seed,
        weather.pace,
        rounds=weather.rounds,
        seam_rounds=weather.seam_rounds,
        workers=wish.workers,
        kinds=kinds,
        seams=seams,
    )
    least = Least(dict.fromkeys(kinds, weather.least_kinds), dict.fromkeys(seams, weather.least_seams))
    started, began = outcome.now(), time.monotonic()
    with ExitStack() as stack:
        show.stage(f"bringing up {wish.system} (RabbitMQ takes 5 to 10 s) …")
        site = site_of(wish, weather, folder)
        place = stack.enter_context(ground(site))
        users, striker = begin(place, made, wish, weather, stack)
        stack.callback(_write_rows, folder, users, striker, place)  # of an interrupted storm too
        watch(users, striker, made, weather, show)
        settings = dict(site.environment)
        events = place.events()
        strikes = striker.rows()
        keys = place.keys()
    died = {int(e["pid"]): float(e["t"]) for e in events if e["event"] == "died"}
    ran = executions(folder / "journal.jsonl", died, time.time())
    findings = audit(users.rows, ran, strikes, least)
    ledger.write(folder / "executions.jsonl", ({**e, **_no_nan(e)} for e in ran))
    told = {
        "system": wish.system,
        "seed": wish.seed,
        "short": wish.short,
        "workers": wish.workers,
        "span": made.span,
        "seconds": round(time.monotonic() - began, 1),
        "settings": settings,
        "store_config": site.store_config.strip(),
        "least": asdict(least),
        "keys": keys,
        "restarts": sum(e["event"] == "restarted" for e in events),
        "timeline": timeline(users.rows, strikes),
        "findings": {**findings.to_json(), "ok": findings.ok},
    }
    outcome.write(folder, started, wish.command, {"storm": told})
    return findings


def site_of(wish: Wish, weather: Weather, folder: Path) -> Site:
    """What is brought up for a wish."""
    system = replace(SYSTEMS[wish.system], workers=wish.workers, heartbeat=weather.heartbeat)
    probe = given(0, 0.02)
    trial = trial_of(system, task=TASK, probe=probe)
    return Site(
        kind=system.kind,
        build=build_of(system, trial),
        folder=folder,
        probe=probe,
        workers=wish.workers,
        environment={
            "QUEUED_LEASE": f"{weather.lease:g}",
            "QUEUED_RETRY_FIRST": "0.5",
            # The harness's own clients poll as a trial says; these heed what the service advises.
            "QUEUED_RETRY_AFTER": "1",
            "QUEUED_GATEWAY_TIMEOUT": f"{trial.gateway_timeout:g}",
        }
        if system.kind == "queued"
        else {},
    )


def begin(place: Ground, made: Plan, wish: Wish, weather: Weather, stack: ExitStack) -> tuple[Users, Striker]:
    """Let users and strikes at a system that is up; the stack ends them."""
    markers = place.site.folder / "markers"
    markers.mkdir(exist_ok=True)
    jobs = orders(wish.seed, weather.jobs, made.span, weather.mix)
    striker = Striker(place, made, time.time() + 0.5, weather.patience / 2)
    users = Users(
        place.url,
        face_of(place.site.kind),
        jobs,
        markers,
        seed=wish.seed,
        span=made.span,
        clock=striker.clock,
    )
    stack.callback(users.stop)
    stack.callback(striker.stop)
    users.start()
    striker.start(lambda: users.last_accepted)
    return users, striker


def watch(users: Users, striker: Striker, made: Plan, weather: Weather, show: Show) -> None:
    """Wait until the storm is over, everybody has drained or is lost, and the books are closed."""
    show.stage(f"{len(users.rows):,} jobs and {len(made.strikes)} strikes over {made.span:.0f} s")
    last, quiet = 0, time.monotonic()
    while not (users.settled and striker.over):
        time.sleep(TICK)
        counts = users.counts()
        show.counts(
            f"strikes {striker.carried_out}/{len(made.strikes)}  due {counts.due:,}  "
            f"accepted {counts.accepted:,}  ended {counts.ended:,}",
            max(0.0, made.span - striker.clock()),
        )
        if counts.ended != last or not striker.over or striker.clock() < made.span:
            last, quiet = counts.ended, time.monotonic()
        if time.monotonic() - quiet > weather.patience:
            users.cut_off()
    striker.stop()
    show.stage("reading every accepted job once more")
    users.close_books()
    while not users.closed:
        time.sleep(TICK)
        users.counts()


def _write_rows(folder: Path, users: Users, striker: Striker, place: Ground) -> None:
    ledger.write(folder / JOBS, users.rows)
    ledger.write(folder / "strikes.jsonl", striker.rows())
    ledger.write(folder / "events.jsonl", place.events())


def _no_nan(row: Mapping[str, Any]) -> dict[str, None]:
    """JSON has no NaN."""
    return {key: None for key, value in row.items() if isinstance(value, float) and math.isnan(value)}
