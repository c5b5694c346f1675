"""`bench selftest`: measure, judge, show; and again where the machine stood still."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

from rich.console import Console

from bench import environment, exits, folders
from bench.console import terminal
from bench.interrupt import Interrupted, interruptible
from bench.plan import Trial
from bench.progress import LiveLine, clock
from bench.records import RunFolder, RunFolderError, write_json
from bench.selftest import tool
from bench.selftest.broken import DEFECTS
from bench.selftest.catalogue import UNCAPPED, Catalogue, Scenario, full, quick, trial_of
from bench.selftest.findings import to_json
from bench.selftest.judging import HELD_UP, disturbed, evidence, judge, measured, scenario_checks
from bench.selftest.measuring import measure
from bench.spec import SpecError

ATTEMPTS = 3
START = 4.0
"""Seconds that generators take to start, for the ETA."""


@dataclass(frozen=True)
class Wish:
    """What was asked for."""

    quick: bool = False
    broken: str | None = None
    records: Path | None = None
    """Judge these records again; nothing is measured."""
    output: Path | None = None
    as_json: bool = False
    command: str = ""


def run(wish: Wish, console: Console) -> int:
    """Carry it out. Exit code: 0 the harness tells the truth, 3 it does not, 130 interrupted.

    Raises SpecError, RunFolderError and LoadError.
    """
    if wish.broken is not None and wish.broken not in DEFECTS:
        raise SpecError(f"--broken {wish.broken}: there is {', '.join(DEFECTS)}")
    if wish.records is not None and (wish.quick or wish.output is not None):
        raise SpecError("--records judges what was measured: neither --quick nor --output goes with it")
    target = RunFolder(wish.records or wish.output or folders.new("selftest"))
    if wish.records is None:
        folders.check_new(target.path)
    said = terminal(stderr=True) if wish.as_json else console
    try:
        with interruptible():
            if wish.records is None:
                with LiveLine(said).showing() as line:
                    Measuring(target, wish, said, line).all()
            return _present(target, wish, console)
    except Interrupted:
        if wish.records is not None:
            return exits.INTERRUPTED
        recorded = target.run_json.exists() and bool(target.read_run()["results"])
        return folders.interrupted(said, target.path, recorded=recorded)


class Measuring:
    """One self-test while it is measured."""

    def __init__(self, folder: RunFolder, wish: Wish, console: Console, line: LiveLine) -> None:
        self._folder, self._console, self._line = folder, console, line
        self._catalogue = quick() if wish.quick else full()
        self._tool = tool.find()
        self._printed = ""
        self._state = first_state(folder, wish, self._catalogue)

    def all(self) -> None:
        """Measure every group, and again what the machine spoiled. Raises LoadError."""
        self._folder.write_run(self._state)
        if self._tool is None:
            self._say(f"an independent tool: {tool.INSTALL}")
        groups = self._catalogue.groups
        for n, group in enumerate(groups, start=1):
            left = sum(START + max(s.length for s in g) for g in groups[n:])
            self._group(group, f"group {n} of {len(groups)}", left)
        self._state["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
        self._folder.write_run(self._state)

    def _group(self, group: Sequence[Scenario], title: str, left: float) -> None:
        """Measure a group until every scenario passes or may no longer be repeated."""
        for attempt in range(1, ATTEMPTS + 1):
            pause = self._once(group, title if attempt == 1 else f"{title}, attempt {attempt}", left)
            spoiled = self._spoiled(group, pause)
            if not spoiled:
                return
            if attempt == ATTEMPTS:
                self._state["selftest"]["disturbed"] |= spoiled
                self._folder.write_run(self._state)
                return
            for name, why in spoiled.items():
                text = f"{name}: measured again, because the machine stood still ({why})"
                self._state["selftest"]["repeats"].append(text)
                self._say(text)
            hosts = {self._catalogue.scenario(name).host for name in spoiled}
            group = [s for s in group if s.host in hosts]

    def _once(self, group: Sequence[Scenario], title: str, left: float) -> float:
        """Measure once; the longest pause of the machine, seconds."""
        names = ", ".join(s.name for s in group)
        length = max(s.length for s in group)
        began = monotonic()

        def show(elapsed: float) -> None:
            doing = f"{elapsed:.0f} s" if elapsed else "starting"
            eta = left + (length - elapsed if elapsed else START + length)
            self._line.update(f"{title}: {names}  {doing}  ETA {clock(eta)}")

        beside = (self._catalogue.plain, self._aside) if self._tool and self._with_plain(group) else None
        kept = measure(self._folder, group, show, beside)
        for scenario in group:
            self._state["results"][scenario.name] = {
                "status": "done",
                "seconds": monotonic() - began,
                "measured_seconds": kept.seconds[scenario.name],
            }
        self._state["selftest"]["printed"] = self._printed
        self._folder.write_run(self._state)
        self._say(f"{title}: {names}  done in {monotonic() - began:.0f} s, ETA {clock(left)}")
        return kept.pause

    def _spoiled(self, group: Sequence[Scenario], pause: float) -> dict[str, str]:
        """Scenarios that missed a check while the machine stood still, and how it did."""
        found = evidence(self._folder, group, _reading(self._state))
        spoiled = {}
        for name, (_, got) in measured(found, group).items():
            scenario = self._catalogue.scenario(name)
            missed = [c for c in scenario_checks(found, scenario, got, self._catalogue.plain) if not c.passed]
            why = disturbed(scenario, got, pause)
            if any(c.figure == HELD_UP for c in missed):
                why = why or "the generator was not stopped in time"
            if missed and why:
                spoiled[name] = why
        return spoiled

    def _with_plain(self, group: Sequence[Scenario]) -> bool:
        return any(s.name == self._catalogue.plain for s in group)

    def _aside(self, url: str, stop: Event) -> None:
        plain = self._catalogue.scenario(self._catalogue.plain)
        assert self._tool is not None
        self._printed = tool.run(self._tool, f"{url}/run", plain.load.size, plain.load.window, stop)

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def first_state(folder: RunFolder, wish: Wish, catalogue: Catalogue) -> dict[str, Any]:
    """run.json before anything is measured: a run of external systems, and what the self-test adds."""
    trials: list[Trial] = [trial_of(s) for s in catalogue.scenarios]
    return {
        "id": folder.path.name,
        "experiment": {"name": "selftest", "title": "The harness against servers whose truth is known"},
        "command": wish.command,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "finished": None,
        "environment": environment.describe(),
        "box": asdict(UNCAPPED),
        "notes": [],
        "trials": [t.to_json() for t in trials],
        "results": {},
        "selftest": {"quick": wish.quick, "tool": tool.find(), "printed": "", "repeats": [], "disturbed": {}},
    }


def _reading(state: dict[str, Any]) -> tool.Reading | None:
    """What the independent tool said; None where there is none, or it can't be understood."""
    kept = state["selftest"]
    catalogue = _catalogue(state)
    users = catalogue.scenario(catalogue.plain).load.size
    return tool.read(kept["tool"], users, kept["printed"]) if kept["tool"] else None


def _catalogue(state: dict[str, Any]) -> Catalogue:
    return quick() if state["selftest"]["quick"] else full()


def _present(folder: RunFolder, wish: Wish, console: Console) -> int:
    """Judge what is in the folder, show it, and make the page (not of a harness broken on purpose)."""
    state = folder.read_run()
    if not isinstance(state.get("selftest"), dict):
        raise RunFolderError(f"{folder.path} is not of a self-test.")
    try:
        catalogue, reading, named = _catalogue(state), _reading(state), state["selftest"]["tool"]
    except (KeyError, TypeError) as error:
        raise RunFolderError(f"{folder.run_json} is damaged: {error!r}. Measure again.") from None
    findings = judge(folder, catalogue, (named, reading) if named else None, wish.broken)
    document = to_json(findings, catalogue, state, wish.broken)
    name = f"selftest-broken-{wish.broken}.json" if wish.broken else "selftest.json"
    write_json(folder.path / name, document)
    from bench.report import selftest as page

    if wish.as_json:
        console.print_json(data=document)
    else:
        console.print(page.terminal(document), highlight=False, markup=False, soft_wrap=True)
    if wish.broken is None:
        made = page.build(folder.path)
        if not wish.as_json:
            console.print(f"\nPage: {made}", highlight=False, soft_wrap=True)
    return exits.INVALID if findings.unmet else exits.FINE
