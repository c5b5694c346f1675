"""How often a CPU quota stopped the harness itself: the generator beside it shares its control group."""

from pathlib import Path

from bench.stack.cgroup_places import Places, places


def throttled_periods(there: Places | None = None) -> int | None:
    """Periods in which a quota on this process's group, or on one above it that can be seen, stopped it.

    Cumulative; None where no group tells. `there`: the groups to read, for tests; else those of this process.
    """
    try:
        found = there or places(
            Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text()
        )
    except (OSError, ValueError):
        return None
    counts = [_count(folder) for folder in (*found.v1.get("cpu", []), *found.v2)]
    known = [n for n in counts if n is not None]
    return sum(known) if known else None


def _count(folder: Path) -> int | None:
    """`nr_throttled` of a group's cpu.stat, which both versions of control groups have."""
    try:
        lines = (folder / "cpu.stat").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("nr_throttled "))
    except (OSError, ValueError, IndexError, StopIteration):
        return None
