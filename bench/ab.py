"""`bench ab`: two systems under the same load, in turns, and a verdict on each figure.

An experiment of two parts, one system each; the repeats of a part are the trials, and `bench.expand` draws
the order of the two within each pair and gives both the same arrivals.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import compare, exits, request, run, spec
from bench.analysis.comparing.comparison import ENOUGH
from bench.plan import Kind, System
from bench.report.reading import read
from bench.runtimes import Wanted
from bench.spec import MOST_WORKERS, Experiment, SpecError
from bench.stack.systems import SYSTEMS
from bench.units import parse_duration, parse_length, parse_rate

_SYSTEM = re.compile(r"([a-z0-9][a-z0-9-]*)(?::(\d+))?")


@dataclass(frozen=True)
class Wish:
    """What the command line asked for."""

    a: str
    """`queued:2`: name and worker count; two workers where it is left out."""
    b: str
    load: str = "0.8C"
    pairs: int = ENOUGH
    window: str = "10s"
    warmup: str = "2S"
    task: str | None = None
    input: Any = None
    deadline: str | None = None
    seed: int | None = None
    experiment: str | None = None
    """Where systems of one's own, the task and its limits come from."""
    reports: Path = Path("reports")
    command: str = ""
    runtime: Wanted = "local"


def ab(wish: Wish, asked: compare.Wish, console: Console) -> int:
    """Run both and compare them; compare.json and compare.md go into the run folder.

    Exit code: 0, 1 for a failed trial or a broken limit, 3 where nothing can be compared, 130 interrupted.
    Raises SpecError and StackError when it can't begin.
    """
    how = compare.way(asked)
    wanted = experiment(wish)
    folder = request.new_folder(wish.reports, wanted.name)
    if wish.pairs < ENOUGH:
        console.print(
            f"{wish.pairs} pairs: no verdict, which takes {ENOUGH}", style="bold red", highlight=False
        )
    ended = run.run(request.Request(wanted, folder, wish.command, runtime=wish.runtime), console)
    if ended == exits.INTERRUPTED and not folder.run_json.exists():
        return ended
    if ended == exits.INTERRUPTED:
        console.print(f"and then compare with: bench compare {folder.path}", highlight=False, soft_wrap=True)
        return ended
    told = compare.between_systems(read(folder.path), how)
    compare.keep(told, folder.path)
    console.print()
    compare.present(told, how, console)
    return exits.gravest(ended, compare.code(told, how))


def experiment(wish: Wish) -> Experiment:
    """The experiment that compares the two. Raises SpecError: all that is wrong at once."""
    base = spec.load(wish.experiment) if wish.experiment else None
    own = base.systems if base else {}
    kinds = {name: system.kind for name, system in SYSTEMS.items()}
    kinds |= {name: system.kind for name, system in own.items()}
    wrong = [why for text in dict.fromkeys((wish.a, wish.b)) if (why := _slip(text, kinds))]
    wrong += request.slips(
        ("--load", wish.load, parse_rate),
        ("--window", wish.window, parse_length),
        ("--warmup", wish.warmup, parse_duration),
        ("--deadline", wish.deadline, parse_length),
    )
    if wrong:
        raise SpecError("\n".join(wrong))
    sides = [_side(text) for text in (wish.a, wish.b)]
    parts = [
        {
            "name": name,
            "shows": "load",
            "systems": [system],
            "workers": [workers],
            "rates": [wish.load],
            "warmup": wish.warmup,
            "window": wish.window,
        }
        for name, (system, workers) in zip(compare.PARTS, sides, strict=True)
    ]
    return request.assembled(
        base,
        "bench ab",
        task=wish.task,
        value=wish.input,
        deadline=wish.deadline,
        name="ab",
        title=f"{wish.a} against {wish.b} at {wish.load}",
        repeats=wish.pairs,
        reference_workers=sides[0][1],
        parts=parts,
        **({} if wish.seed is None else {"seed": wish.seed}),
    )


def _slip(text: str, kinds: Mapping[str, Kind]) -> str | None:
    """What is wrong with a system and its workers, as a person wrote them; None where nothing is."""
    match = _SYSTEM.fullmatch(text)
    if match is None or match[1] not in kinds:
        there = ", ".join(sorted(kinds))
        return f'{text}: not a system; write for example "queued:2". There are {there}.'
    if match[2] is None:
        return None
    if kinds[match[1]] == "blocking" and int(match[2]) != 1:
        return f"{text}: its threads do not come in workers; write {match[1]}"
    if not 1 <= int(match[2]) <= MOST_WORKERS:
        return f"{text}: workers must be {'1 or more' if int(match[2]) < 1 else f'at most {MOST_WORKERS}'}"
    return None


def _side(text: str) -> tuple[str, int]:
    name, _, workers = text.partition(":")
    usual = SYSTEMS[name].workers if name in SYSTEMS else System.workers
    return name, int(workers) if workers else usual
