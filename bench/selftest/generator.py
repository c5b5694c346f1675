"""`bench selftest --generator`: the rate up to which this machine's generator is no part of what it measures.

Rates are doubled, then bisected to ±10 %, for one Locust process and for several, against a server that does
nothing. A rate at which the generator fell behind is tried again: what else the machine does can only make
it late, never early. Where it falls behind with most of a core unused, that is what was found, and no limit.
"""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import exits, folders, generator_limit
from bench.analysis.trial.generator import Limit, Way
from bench.console import terminal
from bench.environment import usable_cores
from bench.interrupt import Interrupted, interruptible
from bench.load.assignment import MAX_IN_FLIGHT
from bench.load.connections import connections_possible
from bench.load.idle import idle_server
from bench.load.overhead import Overhead, measure
from bench.plan import Kind
from bench.progress import Progress, clock
from bench.selftest.beside import measure_other
from bench.selftest.edge import edge

FIRST, LEAST, MOST = 100.0, 12.5, 12_800.0
"""Jobs per second: where the search begins, and between which it looks."""
JOBS, SHORTEST, LONGEST = 400, 3.0, 8.0
"""Of one rung: so many jobs, in no less and no more than so many seconds."""
RUNGS = 11
"""Of one search, about; for the ETA."""
KINDS: dict[Way, Kind] = {"blocking": "blocking", "polled": "queued"}
HELD_UP = 0.3
"""Share of a core below which a generator that is late was held up, and not at its limit."""
TRIES, TRIES_HELD_UP = 2, 6
"""Of a rate at which it was late: because it could not keep up, or for any reason."""
LOCUST_FILES = 10_000
"""Open files that Locust asks for where the limit is lower, and usually gets."""


class Disturbed(Exception):
    """The machine is too busy to tell; the message says so, for a person."""


Rung = Callable[[Way, float, int], Overhead]
"""(way, jobs per second, processes) → what was seen."""


def run(
    console: Console, reports: Path = Path("reports"), processes: Sequence[int] = (), rung: Rung | None = None
) -> int:
    """Find the limits, print them, and keep them beside the reports.

    Returns an exit code: 3 when the machine was too busy for some of them; the others are kept. Raises
    SpecError where they can't be kept.
    `processes`: how many to try; left out: 1, 2, 4, … and as many as there are cores.
    """
    folders.check("the limits are kept in", reports)
    wanted = processes or counts(usable_cores())
    searches: list[tuple[Way, int]] = [(way, number) for way in KINDS for number in wanted]
    progress = Progress(console)
    began, rungs = time.monotonic(), 0

    def look(way: Way, rate: float, number: int) -> Overhead:
        nonlocal rungs
        pace = (time.monotonic() - began) / rungs if rungs else 7.0
        left = clock(pace * max(1, RUNGS * len(searches) - rungs))
        progress.stage(f"{way}, {number} process(es): {rate:,.0f} jobs/s  ETA {left}")
        rungs += 1
        return (rung or measured)(way, rate, number)

    limits, disturbed = [], []
    try:
        with interruptible(), progress.showing():
            for way, number in searches:
                try:
                    limits.append(find(look, way, number))
                except Disturbed as why:
                    disturbed.append(f"{way}, {number} process(es): {why}")
    except Interrupted:
        console.print("interrupted; nothing is kept", highlight=False)
        return exits.INTERRUPTED
    for line in disturbed:
        console.print(line, highlight=False, soft_wrap=True)
    if limits:
        console.print(table(limits))
        path = generator_limit.write(reports, limits, datetime.now(UTC).isoformat(timespec="seconds"))
        console.print(f"Kept in {path}; `bench run` heeds it.", highlight=False, soft_wrap=True)
    return exits.INVALID if disturbed else exits.FINE


def counts(cores: int) -> list[int]:
    """How many processes to try on a machine with so many cores."""
    doubled = [2**n for n in range(cores.bit_length()) if 2**n <= cores]
    return sorted({*doubled, cores})


def find(rung: Rung, way: Way, processes: int) -> Limit:
    """Search one limit. Raises Disturbed when something else kept the generator from it."""
    seen: list[Overhead] = []

    def holds(rate: float) -> bool:
        late: list[Overhead] = []
        while sum(found.busy >= HELD_UP for found in late) < TRIES and len(late) < TRIES_HELD_UP:
            found = rung(way, rate, processes)
            if found.kept_up:
                seen.append(found)
                return True
            late.append(found)
        worst = max(late, key=lambda overhead: overhead.busy)
        if worst.busy < HELD_UP:
            raise Disturbed(
                f"{rate:,.0f} jobs/s were sent up to {worst.delay_p99 * 1e3:,.0f} ms late (p99) while the "
                f"generator used {worst.busy:.0%} of a core: something else holds this machine up. Try again "
                "when it is quiet."
            )
        return False

    found = edge(holds, FIRST, LEAST, MOST)
    if not found.holds:
        raise Disturbed(f"Not even {LEAST:g} jobs/s were sent in time.")
    best = max(seen, key=lambda overhead: overhead.rate)
    files = max(connections_possible(), LOCUST_FILES)
    return Limit(
        way=way,
        processes=processes,
        rate=found.holds,
        fails=found.fails,
        cpu_per_job=best.cpu_per_job,
        in_flight=min(MAX_IN_FLIGHT, processes * files),
    )


def measured(way: Way, rate: float, processes: int) -> Overhead:
    """One rung, really. Raises LoadError."""
    with idle_server() as url:
        window = min(LONGEST, max(SHORTEST, JOBS / rate))
        return measure(url, KINDS[way], rate, window, processes)


def table(limits: Iterable[Limit]) -> Table:
    """All limits, for a person."""
    made = Table(
        *("jobs are", "processes", "keeps up with", "CPU a job", "jobs in flight"), title="load generator"
    )
    for limit in limits:
        above = f", not with {limit.fails:,.0f}" if limit.fails else " and more"
        made.add_row(
            "one request" if limit.way == "blocking" else "submitted and polled",
            str(limit.processes),
            f"{limit.rate:,.0f}/s{above}",
            f"{limit.cpu_per_job * 1e3:.2f} ms",
            f"{limit.in_flight:,}",
        )
    return made


def beside(console: Console) -> None:
    """Print what one process costs and keeps up with, beside another tool on the same server.

    The other tool's rate is what it can send; how late it would be by a schedule it does not say.
    Raises LoadError.
    """
    with idle_server() as url:

        def rung(way: Way, rate: float, processes: int) -> Overhead:
            return measure(url, KINDS[way], rate, min(LONGEST, max(SHORTEST, JOBS / rate)), processes)

        cost = rung("blocking", FIRST, 1).cpu_per_job
        try:
            limit = f"{find(rung, 'blocking', 1).rate:,.0f}/s in time"
        except Disturbed as why:
            limit = "not known"
            console.print(str(why), highlight=False, soft_wrap=True)
        other = measure_other(url)
    made = Table("tool", "rate limit", "CPU a job", title="load generators on one server that does nothing")
    made.add_row("Queuebench, a connection for each job", limit, f"{cost * 1e3:.3f} ms")
    if other:
        cost = other.cpu_per_request
        made.add_row(
            f"{other.tool}, connections kept", f"{other.rate:,.0f}/s at most", f"{cost * 1e3:.3f} ms"
        )
    console.print(made)
    if other is None:
        console.print("neither wrk nor hey is installed: nothing to compare with (apt-get install wrk)")


if __name__ == "__main__":
    sys.exit(run(terminal()))
