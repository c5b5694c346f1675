"""`bench reproduce`: runs what the claims need, judges them, and writes what came of it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from rich.console import Console

from bench import environment, exits, folders, runtimes
from bench.analysis.comparing.claims import Row
from bench.analysis.words import count
from bench.execution import Execution, now
from bench.interrupt import Interrupted, interruptible
from bench.load.errors import LoadError
from bench.plan import Box
from bench.progress import Progress, clock
from bench.records import RunFolder, RunFolderError, write_json
from bench.report.columns import COLUMNS
from bench.report.reading import read
from bench.reproduce import outcome
from bench.reproduce.claim import Claim
from bench.reproduce.lab import Figures, Lab, Place, rows
from bench.reproduce.needs import Sweep, choose, needs, profile_experiment
from bench.reproduce.verdicts import Told, tell, untold
from bench.request import Request, check_tasks, resolve_box
from bench.spec import SpecError
from bench.stack import StackError
from bench.stack.box import Caps
from bench.stack.local import Local
from bench.stack.services import Services


@dataclass(frozen=True)
class Wish:
    """What was asked for."""

    profile: str
    claims: tuple[Claim, ...]
    folder: Path
    only: tuple[str, ...] = ()
    whole: bool = False
    command: str = ""


@dataclass
class Found:
    """What has been measured so far."""

    rows: dict[str, Sequence[Row]] = field(default_factory=dict)
    """Claim → the trials or repeats that it is judged by."""
    lost: dict[str, str] = field(default_factory=dict)
    """Claim → why nothing could be measured for it."""
    labs: dict[str, list[Figures]] = field(default_factory=dict)
    seconds: float = 0.0
    """Of labs, and of trials' warm-up, window and drain."""


def run(wish: Wish, console: Console) -> int:
    """Carry it out. Exit code: see `bench.reproduce.verdicts.exit_code`; 130 when interrupted.

    A sweep or lab that fails costs its own claims only. Raises SpecError before anything is started.
    """
    chosen = choose(wish.claims, wish.only)
    wanted = needs(chosen, wish.profile, whole=wish.whole)
    folders.check_new(wish.folder)
    for sweep in wanted.sweeps:
        check_tasks(sweep.experiment)
    here = runtimes.choose("local")
    boxes = {sweep.name: resolve_box(sweep.experiment, here) for sweep in wanted.sweeps}
    box = next(iter(boxes.values())) if boxes else resolve_box(profile_experiment(wish.profile), here)
    wish.folder.mkdir(parents=True, exist_ok=True)
    progress = Progress(console)
    console.print(
        f"{count(len(chosen) - len(wanted.absent), 'claim')}, profile {wish.profile}", highlight=False
    )
    console.print(f"folder: {wish.folder}", highlight=False, soft_wrap=True)
    began, found = time.monotonic(), Found()
    try:
        with interruptible(), progress.showing(), Services(wish.folder) as services:
            progress.later = sum(lab.seconds * lab.repeats for lab in wanted.labs)
            for sweep in wanted.sweeps:
                request = Request(sweep.experiment, RunFolder(wish.folder / sweep.name), wish.command)
                _sweep(sweep, request, here.caps, boxes[sweep.name], services, progress, found)
            place = Place(services, box, wish.folder / "labs", progress.stage)
            _labs(wanted.labs, chosen, place, progress, found)
            progress.stage("judging")
    except Interrupted:
        return folders.interrupted(console, wish.folder, recorded=_recorded(wish.folder, wanted.sweeps))
    told = judge(chosen, found)
    seconds = time.monotonic() - began
    state = {
        "profile": wish.profile,
        "command": wish.command,
        "ended": now(),
        "environment": environment.describe(),
        "box": asdict(box),
        "seconds": seconds,
        "measured_share": found.seconds / seconds,
        "labs": found.labs,
    }
    code = outcome.write(wish.folder, state, told, wanted)
    outcome.present(wish.folder, console)
    return code


def _recorded(folder: Path, sweeps: Sequence[Sweep]) -> bool:
    """Whether a trial or a lab has ended."""
    runs = [RunFolder(folder / sweep.name) for sweep in sweeps]
    begun = [run.read_run() for run in runs if run.run_json.exists()]
    return any(state["results"] for state in begun) or any((folder / "labs").glob("*.json"))


def judge(claims: Sequence[Claim], found: Found) -> list[Told]:
    """The verdict on every claim that this profile has, in order."""
    return [_told(c, found) for c in claims if c.id in found.rows or c.id in found.lost]


def _told(claim: Claim, found: Found) -> Told:
    if claim.id in found.lost:
        return untold(claim, found.lost[claim.id])
    try:
        return tell(claim, found.rows[claim.id])
    except SpecError as error:  # not worth losing the others, which took minutes
        return untold(claim, str(error), exits.USAGE)


def trial_rows(folder: Path) -> list[Row]:
    """What trials.csv says of a run's trials, unrounded. Raises RunFolderError."""
    return [{c.name: c.value(f) for c in COLUMNS} for f in read(folder).rows]


def _sweep(
    sweep: Sweep,
    request: Request,
    caps: Caps,
    box: Box,
    services: Services,
    progress: Progress,
    found: Found,
) -> None:
    """Run an experiment, for the claims that ask for it."""
    ids = [claim.id for claim in sweep.claims]
    try:
        execution = Execution(request, caps, box, progress, Local(services))
        execution.run_all()
        execution.finish(calibrate=False)  # most of S here is given, not measured
        rows = trial_rows(request.folder.path)
        found.seconds += sum(r["measured_seconds"] for r in request.folder.read_run()["results"].values())
    except (StackError, LoadError, RunFolderError) as error:
        progress.warn(f"{sweep.name} failed: {error}")
        found.lost |= dict.fromkeys(ids, f"{sweep.name} failed: {_first_line(error)}")
    else:
        found.rows |= dict.fromkeys(ids, rows)


def _labs(
    labs: Sequence[Lab], claims: Sequence[Claim], place: Place, progress: Progress, found: Found
) -> None:
    """Run each lab as often as it wants, for the claims that ask for it."""
    left = progress.later
    place.folder.mkdir(exist_ok=True)
    for n, lab in enumerate(labs, start=1):
        ids = [claim.id for claim in claims if claim.spec.lab == lab.name]
        each: list[Figures] = []
        began = time.monotonic()
        after = left - lab.seconds * lab.repeats
        try:
            for repeat in range(1, lab.repeats + 1):
                title = f"lab {n} of {len(labs)}  {lab.title}, {repeat} of {lab.repeats}"
                at = replace(place, folder=place.folder / lab.name, say=_teller(progress, title, left))
                each.append(lab.run(at))
                left -= lab.seconds
        except (StackError, OSError) as error:
            progress.warn(f"{lab.title}: failed: {error}")
            found.lost |= dict.fromkeys(ids, f"the lab failed: {_first_line(error)}")
        else:
            found.rows |= dict.fromkeys(ids, rows(each))
            found.labs[lab.name] = each
            write_json(place.folder / f"{lab.name}.json", each)
        found.seconds += time.monotonic() - began
        left = after


def _teller(progress: Progress, title: str, left: float) -> Callable[[str], None]:
    """Shows a lab's steps; `left` is seconds to the end, as it begins."""
    began = time.monotonic()
    return lambda text: progress.stage(f"{title}: {text}  ETA {clock(left - (time.monotonic() - began))}")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
