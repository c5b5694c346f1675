"""`bench find`: the highest rate that a system sustains, and the rate above which a queue wins."""

import re
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from bench import exits, folders, report, spec
from bench.analysis import Figures
from bench.analysis.across.knee import Crossover, Knee, kept, wins
from bench.analysis.across.search import Bounds, Edge, Rung, believed, edge, next_rate
from bench.analysis.trial.latency import arrivals_needed
from bench.execution import Execution
from bench.expand import drain_limit
from bench.interrupt import Interrupted, interruptible
from bench.objective import Objective, parse_objectives
from bench.plan import Load, Trial
from bench.progress import Progress
from bench.records import RunFolder, write_json
from bench.report import found as shown
from bench.report.reading import Growing
from bench.request import Request, assembled, check_tasks, resolve_box, slips
from bench.runtimes import Wanted, choose, opened
from bench.spec import MOST_WORKERS, Experiment, SpecError
from bench.stack.systems import SYSTEMS
from bench.sweep import Result
from bench.units import parse_duration, parse_length, parse_share

USUAL_RUNGS = 10
"""Trials that a search takes as a rule, for the ETA."""
LEAST_ARRIVALS = 60
LEAST_WINDOW = 12.0
"""Seconds: to bring a system up takes two, and no more than a seventh of a search shall be spent on that."""
START, LOWEST, HIGHEST = 0.7, 0.05, 4.0
"""Where the search begins, and between which rates it looks, in multiples of what S alone would allow."""
CROSSING = (0.7, 0.1, 3.0)
"""The same for the crossover, in multiples of C."""


@dataclass(frozen=True)
class Wish:
    """What the command line asked for."""

    system: str
    slo: str
    folder: RunFolder
    workers: tuple[int, ...] = (2,)
    against: str | None = None
    task: str | None = None
    input: Any = None
    deadline: str | None = None
    window: str = "30S"
    warmup: str = "4S"
    precision: str = "10%"
    seed: int = 1
    experiment: str | None = None
    """Where systems of one's own, the task and its limits come from."""
    command: str = ""
    runtime: Wanted = "local"
    least_window: float = LEAST_WINDOW
    """Seconds: no trial measures for less, however short its jobs are."""


def counts(text: str) -> tuple[int, ...]:
    """Read worker counts, `1,2,4`. Raises SpecError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"[1-9]\d{0,2}", part) and int(part) <= MOST_WORKERS for part in parts):
        raise SpecError(f'--workers {text}: write worker counts up to {MOST_WORKERS}, as in "2" or "1,2,4"')
    return tuple(dict.fromkeys(int(part) for part in parts))


def find(wish: Wish, console: Console) -> int:
    """Search, and write page and found.json. Exit code: 0; 1 nothing is sustainable or a trial failed; 3 a
    search had no trial that could be believed; 130 interrupted, with what is done kept.

    Raises SpecError and StackError where it can't begin.
    """
    objectives, precision = _objectives(wish.slo), _precision(wish.precision)
    experiment = made(wish)
    check_tasks(experiment)
    chosen = choose(wish.runtime, apart=experiment.worker_box is not None)
    box = resolve_box(experiment, chosen)
    progress = Progress(console)
    request = Request(experiment, wish.folder, wish.command)
    console.print(f"{experiment.title}\nrun folder: {wish.folder.path}", highlight=False, markup=False)
    try:
        with interruptible(), progress.showing(), ExitStack() as stack:
            runtime = stack.enter_context(opened(chosen.name, wish.folder.path, progress.stage))
            execution = Execution(request, runtime.caps(box), box, progress, runtime, planned=False)
            searching = _Searching(execution, wish, objectives, precision)
            knees = [searching.knee(pattern) for pattern in searching.patterns]
            crossover = searching.crossover() if wish.against else None
            execution.finish()
            progress.stage("drawing the report")
            page = report.build(wish.folder.path)
    except Interrupted:
        recorded = wish.folder.run_json.exists() and bool(wish.folder.read_run()["trials"])
        code = folders.interrupted(console, wish.folder.path, recorded=recorded)
        if recorded:
            page = report.build(wish.folder.path)
            console.print(f"Report: {page}", highlight=False, markup=False, soft_wrap=True)
        return code
    told = shown.Found(wish.system, wish.slo, tuple(knees), crossover)
    write_json(wish.folder.path / "found.json", shown.as_json(told))
    console.print(shown.terminal(told), highlight=False, markup=False)
    console.print(f"\nReport: {page}", highlight=False, markup=False, soft_wrap=True)
    return _code(told, execution.results)


def made(wish: Wish) -> Experiment:
    """The experiment whose parts are the patterns of the rungs. Raises SpecError: all that is wrong."""
    base = spec.load(wish.experiment) if wish.experiment else None
    known = {*SYSTEMS, *(base.systems if base else {})}
    there = ", ".join(sorted(known))
    wrong = [f"no system {name!r}; there are {there}" for name in _systems(wish) if name not in known]
    if wish.against == wish.system:
        wrong.append(f"--against {wish.against}: that is the system itself")
    wrong += slips(
        ("--window", wish.window, parse_length),
        ("--warmup", wish.warmup, parse_duration),
        ("--deadline", wish.deadline, parse_length),
    )
    if wrong:
        raise SpecError("\n".join(wrong))
    parts = [
        {
            "name": "find",
            "shows": "load",
            "systems": list(_systems(wish)),
            "workers": list(wish.workers),
            "rates": ["1C"],
            "warmup": wish.warmup,
            "window": wish.window,
        }
    ]
    return assembled(
        base,
        "bench find",
        task=wish.task,
        value=wish.input,
        deadline=wish.deadline,
        name="find",
        title=f"How much {wish.system} sustains within {wish.slo}",
        repeats=1,
        reference_workers=wish.workers[0],
        parts=parts,
        seed=wish.seed,
    )


class _Searching:
    """The rungs of a run of searches."""

    def __init__(
        self, execution: Execution, wish: Wish, objectives: tuple[Objective, ...], precision: float
    ) -> None:
        self._execution, self._wish = execution, wish
        self._objectives, self._precision = objectives, precision
        self._number = 0
        self._run_so_far = Growing(wish.folder.path)
        self._began = time.monotonic()
        self._planned = USUAL_RUNGS * len(self.patterns) + (2 * USUAL_RUNGS if wish.against else 0)

    @property
    def patterns(self) -> list[Trial]:
        """What is to be searched: the system with each worker count; once where threads do the work."""
        return _in_order(self._execution.patterns, self._wish.system, self._wish.workers)

    def knee(self, pattern: Trial) -> Knee:
        """The highest rate that this one's system sustains."""
        rows: list[Figures] = []

        def climb(rate: float, repeat: int) -> bool | None:
            f = self._run(pattern, rate, repeat)
            if f is None:
                return None
            rows.append(f)
            return kept(f, self._objectives)

        able = pattern.capacity
        bounds = Bounds(START * able, LOWEST * able, HIGHEST * able, self._precision)
        found, rungs = _search(bounds, climb)
        workers = None if pattern.system.kind == "blocking" else pattern.system.workers
        return Knee(workers, found, able, tuple(rungs), tuple(rows))

    def crossover(self) -> Crossover:
        """The rate above which the system gives more users a result in time than its rival."""
        assert self._wish.against is not None
        workers = self._wish.workers[0]
        ours, theirs = (
            _in_order(self._execution.patterns, name, (workers,))[0] for name in _systems(self._wish)
        )
        pairs: list[tuple[Figures, Figures]] = []

        def climb(rate: float, repeat: int) -> bool | None:
            f = self._run(ours, rate, repeat)
            rival = self._run(theirs, rate, repeat) if f is not None else None
            if f is None or rival is None:
                return None
            pairs.append((f, rival))
            return not wins(f, rival)

        start, lowest, highest = (factor * self._execution.capacity for factor in CROSSING)
        found, rungs = _search(Bounds(start, lowest, highest, self._precision), climb)
        return Crossover(self._wish.against, workers, found, tuple(rungs), tuple(pairs))

    def _run(self, pattern: Trial, rate: float, repeat: int) -> Figures | None:
        """One rung; None where its trial failed or must not be believed."""
        self._number += 1
        trial = self._rung(pattern, rate, repeat)
        pace = (time.monotonic() - self._began) / (self._number - 1) if self._number > 1 else 20.0
        total = max(self._planned, self._number)
        result = self._execution.run_one(trial, self._number, total, pace * (total - self._number + 1))
        if result.status != "done":
            return None
        found = self._run_so_far.add(trial.id)
        return found if found.validity.believable else None

    def _rung(self, pattern: Trial, rate: float, repeat: int) -> Trial:
        load = self._load(pattern.load, rate)
        name = f"{self._number:03d}-{pattern.system.name}-w{pattern.system.workers}-{load.label}-r{repeat}"
        return replace(
            pattern,
            id=name.replace("/", "p"),
            load=load,
            repeat=repeat,
            seed=zlib.crc32(f"{self._wish.seed}/{load.label}/{repeat}".encode()),
            drain_limit=drain_limit(load, pattern.capacity, pattern.deadline),
        )

    def _load(self, load: Load, rate: float) -> Load:
        """At this rate, for long enough that every percentile asked for has arrivals enough."""
        shares = [float(o.metric[1:]) / 100 for o in self._objectives if o.metric.startswith("p")]
        needed = max([LEAST_ARRIVALS, *(arrivals_needed(p) for p in shares)])
        return replace(
            load,
            rate=rate,
            label=f"{rate:.3g}/s",
            relative=rate / self._execution.capacity,
            window=max(load.window, self._wish.least_window, (needed + 0.5) / rate),
        )


def _search(bounds: Bounds, climb: Callable[[float, int], bool | None]) -> tuple[Edge, list[Rung]]:
    rungs: list[Rung] = []
    while (rate := next_rate(rungs, bounds)) is not None:
        repeat = 1 + sum(rung.rate == rate for rung in rungs)
        rungs.append(Rung(rate, climb(rate, repeat)))
    return edge(rungs), rungs


def _in_order(patterns: Iterable[Trial], system: str, workers: Sequence[int]) -> list[Trial]:
    """The system's trials in the order of these worker counts: the plan's own is shuffled."""
    own = {t.system.workers: t for t in patterns if t.system.name == system}
    return [own[n] for n in workers if n in own]


def _systems(wish: Wish) -> tuple[str, ...]:
    return (wish.system, wish.against) if wish.against else (wish.system,)


def _objectives(text: str) -> tuple[Objective, ...]:
    try:
        return parse_objectives(text)
    except ValueError as error:
        raise SpecError(f"--slo: {error}") from None


def _precision(text: str) -> float:
    try:
        share = parse_share(text)
    except ValueError as error:
        raise SpecError(f"--precision: {error}") from None
    if not 0.01 <= share <= 0.5:
        raise SpecError(f"--precision {text}: must be from 1% to 50%")
    return share


def _code(told: shown.Found, results: Mapping[str, Result]) -> int:
    searches = [knee.rungs for knee in told.knees] + ([told.crossover.rungs] if told.crossover else [])
    failed = any(result.status == "failed" for result in results.values())
    nothing = any(believed(knee.rungs) and knee.edge.low == 0 for knee in told.knees)
    edges = [knee.edge for knee in told.knees] + ([told.crossover.edge] if told.crossover else [])
    unknown = not all(believed(rungs) for rungs in searches) or any(edge.hidden for edge in edges)
    return exits.gravest(
        exits.FAILED if failed or nothing else exits.FINE, exits.INVALID if unknown else exits.FINE
    )
