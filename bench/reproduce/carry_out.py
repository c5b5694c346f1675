"""`bench reproduce`: runs what the claims need, judges them, and writes what came of it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import environment, exits
from bench.analysis.claims import Row
from bench.execution import Execution, now
from bench.interrupt import Interrupted, interruptible
from bench.plan import Box
from bench.progress import Progress
from bench.records import RunFolder, write_json
from bench.report.columns import COLUMNS, took_place
from bench.report.reading import read
from bench.reproduce import outcome
from bench.reproduce.claim import Claim
from bench.reproduce.lab import Figures, Lab, Place, rows
from bench.reproduce.needs import Needs, Sweep, choose, needs, profile_experiment
from bench.reproduce.verdicts import Told, tell
from bench.request import Request, check_tasks, resolve_box
from bench.spec import SpecError
from bench.stack.box import Caps, detect_caps
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


def run(wish: Wish, console: Console) -> int:
    """Carry it out. Exit code: see `bench.reproduce.verdicts.exit_code`; 1 too where a trial failed; 130.

    Raises SpecError before anything is started, StackError where nothing can be.
    """
    chosen = choose(wish.claims, wish.only)
    wanted = needs(chosen, wish.profile, whole=wish.whole)
    for sweep in wanted.sweeps:
        check_tasks(sweep.experiment)
    caps = detect_caps()
    boxes = {sweep.name: resolve_box(sweep.experiment, caps) for sweep in wanted.sweeps}
    usual = resolve_box(profile_experiment(wish.profile), caps)
    progress = Progress(console)
    console.print(f"{len(chosen) - len(wanted.absent)} claims, profile {wish.profile}", highlight=False)
    console.print(f"folder: {wish.folder}", highlight=False, soft_wrap=True)
    if wish.folder.exists() and any(wish.folder.iterdir()):
        raise SpecError(f"--output {wish.folder}: there is something in it already; name another folder")
    wish.folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    try:
        with interruptible(), progress.showing(), Services(wish.folder) as services:
            failed, spent = _sweeps(wanted.sweeps, wish, caps, boxes, services, progress)
            box = next(iter(boxes.values()), usual)
            figures = _labs(wanted.labs, services, box, wish.folder, progress)
            progress.stage("judging")
    except Interrupted:
        console.print("\ninterrupted; everything that was started has been ended", highlight=False)
        return exits.INTERRUPTED
    told = judge(chosen, wanted, wish, figures)
    seconds = time.monotonic() - began
    state = {
        "profile": wish.profile,
        "command": wish.command,
        "ended": now(),
        "environment": environment.describe(),
        "box": asdict(box),
        "seconds": seconds,
        "measured_share": (spent + sum(f["seconds"] for f in figures.values())) / seconds,
        "labs": {name: f["figures"] for name, f in figures.items()},
    }
    code = outcome.write(wish.folder, state, told, wanted)
    outcome.present(wish.folder, console)
    return exits.FAILED if failed else code


def new_folder(profile: str) -> Path:
    """`reports/reproduce-<profile>-<UTC time>`."""
    return Path("reports") / f"reproduce-{profile}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def judge(
    claims: Sequence[Claim], wanted: Needs, wish: Wish, figures: Mapping[str, Mapping[str, Any]]
) -> list[Told]:
    """The verdict on every claim that was measured, in order. Raises SpecError where a measure fits none."""
    measured: dict[str, list[Row]] = {}
    for sweep in wanted.sweeps:
        found = trial_rows(wish.folder / sweep.name)
        measured |= {claim.id: found for claim in sweep.claims}
    for claim in claims:
        if claim.spec.lab:
            measured[claim.id] = list(rows(figures[claim.spec.lab]["figures"]))
    return [tell(claim, measured[claim.id]) for claim in claims if claim.id in measured]


def trial_rows(folder: Path) -> list[Row]:
    """What trials.csv says of a run's trials, unrounded. Raises RunFolderError."""
    return [{c.name: c.value(f) for c in COLUMNS} for f in read(folder).rows if took_place(f)]


def _sweeps(
    sweeps: Sequence[Sweep],
    wish: Wish,
    caps: Caps,
    boxes: Mapping[str, Box],
    services: Services,
    progress: Progress,
) -> tuple[int, float]:
    """Run each experiment; how many trials failed, and the seconds of warm-up, window and drain."""
    failed, spent = 0, 0.0
    for sweep in sweeps:
        folder = RunFolder(wish.folder / sweep.name)
        request = Request(sweep.experiment, folder, wish.command)
        execution = Execution(request, caps, boxes[sweep.name], progress, services)
        failed += sum(result.status == "failed" for result in execution.run_all().values())
        execution.finish()
        spent += sum(r["measured_seconds"] for r in folder.read_run()["results"].values())
    return failed, spent


def _labs(
    labs: Sequence[Lab], services: Services, box: Box, folder: Path, progress: Progress
) -> dict[str, dict[str, Any]]:
    """Run each lab as often as it wants; its figures and the seconds that it took."""
    found: dict[str, dict[str, Any]] = {}
    for lab in labs:
        say: Callable[[str], None] = lambda text, lab=lab: progress.stage(f"{lab.title}: {text}")  # type: ignore[misc]  # noqa: E731 - lab= binds
        began = time.monotonic()
        each: list[Figures] = [
            lab.run(Place(services, box, folder / "labs" / lab.name, say)) for _ in range(lab.repeats)
        ]
        found[lab.name] = {"figures": each, "seconds": time.monotonic() - began}
        write_json(folder / "labs" / f"{lab.name}.json", each)
    return found
