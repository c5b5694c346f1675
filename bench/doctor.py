"""`bench doctor`: what is there, which version, what can be capped, and what to do about each gap.

`python -m bench.doctor --missing` prints the names of missing programs only, one a line, for the set-up.
"""

import os
import platform
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich import box as borders
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.console import terminal
from bench.environment import usable_cores
from bench.expand import default_cpus
from bench.stack import browser, rabbitmq, redis
from bench.stack.box import Caps, detect_caps
from bench.stack.errors import StackError
from bench.stack.installed import BROKER_VARIABLE, PROGRAMS, Program, dotted
from bench.stack.services import DISK_NEEDED
from bench.stack.workspace import temporary_root
from bench.units import format_size

PYTHON_NEEDED = (3, 11)
BOX_MEMORY = 2 * 2**30
"""Bytes of the box in the built-in experiments."""


@dataclass(frozen=True)
class Finding:
    """One line of the table."""

    what: str
    found: str
    needed: str
    ok: bool
    advice: str = ""
    """What to do about it; empty where nothing need be done."""
    vital: bool = True
    """Whether the main job can't run without it."""


def run(console: Console | None = None) -> int:
    """Print the table and the verdict; return 1 where the main job can't run, else 0."""
    console = console or terminal()
    findings = examine()
    console.print(table(findings))
    vital = [finding.what for finding in findings if finding.vital and not finding.ok]
    if vital:
        console.print(f"\nNot ready: {', '.join(vital)}. See what to do above; `make setup` does most of it.")
        return 1
    gaps = [finding.what for finding in findings if not finding.ok]
    console.print(
        "\nReady: `make bench` or `bench run quick`." + (f" Weaker: {', '.join(gaps)}." if gaps else "")
    )
    return 0


def examine() -> list[Finding]:
    """Look at everything."""
    findings = [_python(), *(_program(program) for program in PROGRAMS.values())]
    findings += [_caps(detect_caps()), _cores(), _memory(), _disk(), _containers(), _browser()]
    return findings


def table(findings: list[Finding]) -> Table:
    """Lay the findings out for a terminal."""
    laid = Table(box=borders.SIMPLE_HEAD, pad_edge=False)
    for heading in ("what", "found", "needed", "", "what to do"):
        laid.add_column(heading, overflow="fold")
    for finding in findings:
        mark = (
            Text("ok", "green")
            if finding.ok
            else Text("missing", "bold red")
            if finding.vital
            else Text("weaker", "yellow")
        )
        laid.add_row(finding.what, finding.found, finding.needed, mark, finding.advice)
    return laid


def missing() -> list[str]:
    """Return the packages of programs that are not there, or are too old, and that nothing stands in for."""
    return [program.package for program in PROGRAMS.values() if not _program(program).ok]


def _python() -> Finding:
    ok = sys.version_info >= PYTHON_NEEDED
    return Finding(
        "Python", platform.python_version(), "3.11 or later", ok, "" if ok else "run `make setup PYTHON=…`"
    )


def _program(program: Program) -> Finding:
    needed = f"{dotted(program.minimum)} or later"
    url = os.environ.get(program.elsewhere) if program.elsewhere else None
    if url:
        return _elsewhere(program, url)
    found = program.find()
    if found is None:
        return Finding(program.name, "not found", needed, False, how_to_get(program))
    version = found.version
    if version and version < program.minimum:
        return Finding(program.name, dotted(version), needed, False, how_to_get(program, newer=True))
    return Finding(program.name, dotted(version) or "version unknown", needed, True)


def _elsewhere(program: Program, url: str) -> Finding:
    """Ask the running one that the environment names."""
    try:
        if program.elsewhere == BROKER_VARIABLE:
            rabbitmq.check_external(url, program.elsewhere)
        else:
            redis.check_external(url, program.elsewhere)
    except StackError as error:
        return Finding(program.name, "does not answer", f"as {program.elsewhere} says", False, error.what)
    return Finding(program.name, "running elsewhere", f"as {program.elsewhere} says", True)


def how_to_get(program: Program, *, newer: bool = False) -> str:
    """Say what to type, by what this machine has."""
    if sys.platform == "darwin":
        return f"brew {'upgrade' if newer else 'install'} {program.package.removesuffix('-server')}"
    pointing = f", or point {program.elsewhere} at a running one" if program.elsewhere else ""
    if newer:
        return f"this system's package is too old: install a newer one by hand{pointing}"
    if shutil.which("apt-get"):
        sudo = "" if os.geteuid() == 0 else "sudo "
        return f"`make setup`, or {sudo}apt-get install {program.package}{pointing}"
    return f"install it by hand{pointing}"


def _caps(caps: Caps) -> Finding:
    has = [word for word, there in (("CPU", caps.cpu), ("memory", caps.memory)) if there]
    advice = (
        ""
        if len(has) == 2
        else f"{caps.why}. Charts will say 'not capped'; trials that need a cap are left out"
    )
    if len(has) < 2 and sys.platform.startswith("linux"):
        advice += (
            ". A container needs its control groups writable (--privileged)"
            if os.geteuid() == 0
            else ". Run as root, or in a login session of systemd"
        )
    return Finding(
        "caps",
        f"{' and '.join(has) or 'none'} ({caps.kind})" if has else "none",
        "CPU and memory",
        len(has) == 2,
        advice,
        vital=False,
    )


def _cores() -> Finding:
    cores = usable_cores()
    cpus = default_cpus(cores)
    spare = cores - cpus
    ok = spare >= 1
    return Finding(
        "cores",
        f"{cores}, {spare:g} to spare",
        "3: a box of 2 and 1 for the generator",
        ok,
        "" if ok else f"the default box is {cpus:g} vCPU here, and the report says so",
        vital=False,
    )


def _memory() -> Finding:
    free = psutil.virtual_memory().available
    ok = free >= BOX_MEMORY + 2**29
    return Finding(
        "memory",
        f"{format_size(free)} free",
        f"{format_size(BOX_MEMORY)} for the box, 512 MiB beside it",
        ok,
        "" if ok else "end something, or choose a smaller box",
        vital=False,
    )


def _disk() -> Finding:
    places = {Path.cwd(), temporary_root()}
    free, place = min((shutil.disk_usage(place).free, str(place)) for place in places)
    ok = free >= DISK_NEEDED
    return Finding(
        "disk",
        f"{format_size(free)} free",
        format_size(DISK_NEEDED),
        ok,
        "" if ok else f"free some space under {place}, or set TMPDIR",
    )


def _containers() -> Finding:
    """Whether `--runtime docker` can be used."""
    from bench.stack.containers.engine import find_engine

    needed = "for --runtime docker only"
    try:
        engine = find_engine()
    except StackError as error:
        return Finding("containers", "no", needed, False, error.what, vital=False)
    engine.close()
    return Finding(
        "containers", f"engine {engine.version}, Compose {engine.compose}", needed, True, vital=False
    )


def _browser() -> Finding:
    found = browser.find()
    return Finding(
        "Chromium",
        str(found) if found else "not found",
        "for the tests of the page only",
        found is not None,
        "" if found else "`make test` installs it where the system has a package of it (a snap is of no use)",
        vital=False,
    )


def main(arguments: Sequence[str]) -> int:
    """Run without the `bench` command around it, as the set-up does."""
    if arguments == ["--missing"]:
        sys.stdout.writelines(f"{package}\n" for package in missing())
        return 0
    return run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
