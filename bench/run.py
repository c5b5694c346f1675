"""`bench run`: an experiment from its file to its page."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

from rich.console import Console

from bench import exits, folders
from bench.analysis.words import count
from bench.execution import Execution
from bench.interrupt import Interrupted, interruptible, uninterrupted
from bench.plan import Box
from bench.progress import Progress
from bench.records import RunFolder
from bench.request import Request, check_tasks, resolve_box
from bench.runtimes import Chosen, choose, opened
from bench.sweep import Result
from bench.units import format_size

if TYPE_CHECKING:
    from bench.report import Built


def run(request: Request, console: Console) -> int:
    """Carry the run out. Exit code: 0 fine, 1 a trial failed, 3 a trial is INVALID after every attempt, 130
    interrupted (what is done is kept).

    Raises SpecError and StackError when it can't begin.
    """
    experiment, folder = request.experiment, request.folder
    check_tasks(experiment)
    # matplotlib takes half a second to import: not before bad usage has been told. And it goes on without the
    # part of itself whose import is interrupted: Ctrl-C would be lost.
    with uninterrupted():
        from bench import report

    apart = experiment.worker_box is not None and not request.url
    chosen = choose("local" if request.url else request.runtime, apart=apart)
    box = resolve_box(experiment, chosen, checked=request.url is None)
    progress = Progress(console)
    announce(console, request, chosen, box)
    try:
        with interruptible(), progress.showing():
            results = _measure(request, chosen, box, progress)
            progress.stage("drawing the report")
            built = report.build_and_tell(folder.path)
    except Interrupted:
        return _interrupted(folder, console)
    done = built.analysis.done
    failed = any(result.status == "failed" for result in results.values())
    hollow = sum(not f.validity.believable for f in done)
    why = "" if failed or not hollow else f"Exit code {exits.INVALID}: {_without(hollow, len(done))}"
    tell(console, built, why)
    return exits.FAILED if failed else exits.INVALID if hollow else exits.FINE


def _without(hollow: int, done: int) -> str:
    return (
        f"{hollow} of {count(done, 'trial')} INVALID, for the reasons above. They have no part in the "
        "verdict, which stands on the others."
    )


def tell(console: Console, built: "Built", more: str = "") -> None:
    """The verdict, what to know, `more` of it, and where the page is."""
    from bench.report import summary

    words = summary.terminal(built.analysis, None if console.soft_wrap else console.width)
    console.print(words, highlight=False, markup=False, soft_wrap=True)
    if more:
        console.print(f"\n{more}", highlight=False)
    console.print(f"\nReport: {built.page}", highlight=False, soft_wrap=True)


def _measure(request: Request, chosen: Chosen, box: Box, progress: Progress) -> dict[str, Result]:
    with ExitStack() as stack:
        runtime = None
        if not request.url:
            runtime = stack.enter_context(opened(chosen.name, request.folder.path, progress.stage))
        execution = Execution(request, runtime.caps(box) if runtime else chosen.caps, box, progress, runtime)
        results = execution.run_all()
        execution.finish()
    return results


def announce(console: Console, request: Request, chosen: Chosen, box: Box) -> None:
    """Say what is about to happen, and loudly when nothing will be capped."""
    experiment, caps = request.experiment, chosen.caps
    if chosen.why:
        console.print(f"runtime: {chosen.name}, because {chosen.why}", highlight=False)
    console.print(
        f"{experiment.title or experiment.name}\nrun folder: {request.folder.path}", highlight=False
    )
    if request.url:
        console.print(f"driving {request.url}: nothing is started, nothing is capped", highlight=False)
    elif caps.cpu and caps.memory:
        console.print(f"box: {box.cpus:g} vCPU, {format_size(box.memory)} ({caps.kind})", highlight=False)
    else:
        console.print(f"NOT CAPPED: {caps.why}", style="bold red", highlight=False)


def _interrupted(folder: RunFolder, console: Console) -> int:
    from bench import report

    if not folder.run_json.exists():
        return folders.interrupted(console, folder.path, recorded=False)
    console.print("\ninterrupted; everything that was started has been ended", highlight=False)
    page = report.build(folder.path)
    console.print(f"What is done is kept: {page}", highlight=False, soft_wrap=True)
    console.print(f"Go on with: bench run --resume {folder.path}", highlight=False, soft_wrap=True)
    return exits.INTERRUPTED
