"""CPU, memory, throttling and deaths of one trial, from the sampled records. Pure."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.analysis.tables import Floats, TrialRecords

OUTSIDE = ("gateway", "generator", "canary", "queue", "box")
"""Subjects that are not processes inside the box."""


@dataclass(frozen=True)
class Usage:
    """What the box was seen to use; NaN where it was not sampled."""

    cpu: float
    """Cores in use, mean over the window (over the whole trial where it has none)."""
    web_cpu: float
    """Of these, the web processes' (for a blocking server: everything)."""
    memory_peak: float
    """Bytes, highest sample."""
    throttled: float
    """Seconds that the box's processes were held back by the CPU quota, summed over them."""
    generator_cpu: float
    """Cores that the load generator used, outside the box."""
    generator_throttled: float
    """Periods in which a CPU quota stopped the harness itself, during the window; NaN: not sampled."""
    oom_kills: int
    deaths: int
    """Processes of the system that died, OOM kills included."""
    restarts: int


def samples(records: TrialRecords, subject: str, metric: str) -> tuple[Floats, Floats]:
    """Instants and values of one metric, in order of time."""
    frame = records.resources
    frame = frame[(frame["subject"] == subject) & (frame["metric"] == metric)]
    t, value = frame["t"].to_numpy(float), frame["value"].to_numpy(float)
    order = np.argsort(t, kind="stable")
    return t[order], value[order]


def box_series(records: TrialRecords, metric: str) -> tuple[Floats, Floats]:
    """A metric of the whole box: its own counter, else the sum over its processes."""
    t, value = samples(records, "box", metric)
    if len(t):
        return t, value
    frame = records.resources
    frame = frame[(frame["metric"] == metric) & ~frame["subject"].isin(OUTSIDE)]
    if frame.empty:
        return np.zeros(0), np.zeros(0)
    wide: pd.DataFrame = frame.pivot_table(index="t", columns="subject", values="value", aggfunc="sum")
    total = wide.sort_index().ffill().sum(axis=1)
    return total.index.to_numpy(float), total.to_numpy(float)


def growth(t: Floats, value: Floats, start: float, end: float) -> float:
    """Mean rate of growth of a cumulative counter between two instants; NaN with under two samples."""
    inside = (t >= start) & (t <= end)
    if np.count_nonzero(inside) < 2:
        inside = np.ones(len(t), dtype=bool)
    t, value = t[inside], value[inside]
    if len(t) < 2 or t[-1] <= t[0]:
        return float("nan")
    return float((value[-1] - value[0]) / (t[-1] - t[0]))


def _counted(t: Floats, value: Floats, start: float, end: float) -> float:
    """By how much a counter rose between two instants, from the last sample before to the first one after."""
    if len(t) < 2:
        return float("nan")
    first = max(0, int(np.searchsorted(t, start, side="right")) - 1)
    last = min(len(t) - 1, int(np.searchsorted(t, end, side="left")))
    return float(value[last] - value[first])


def usage(records: TrialRecords) -> Usage:
    """Summarise one trial's samples and events."""
    start, end = records.span
    _, memory = box_series(records, "memory")
    _, throttled = samples(records, "box", "throttled")
    _, kills = samples(records, "box", "oom_kills")
    marked = sum(1 for e in records.events if e.event == "oom_kill")
    counted = int(kills[-1] - kills[0]) if len(kills) else 0
    return Usage(
        cpu=growth(*box_series(records, "cpu"), start, end),
        web_cpu=growth(*samples(records, "web", "cpu"), start, end),
        memory_peak=float(np.nanmax(memory)) if len(memory) else float("nan"),
        throttled=float(throttled[-1] - throttled[0]) if len(throttled) else float("nan"),
        generator_cpu=growth(*samples(records, "generator", "cpu"), start, end),
        generator_throttled=_counted(*samples(records, "generator", "throttled_periods"), start, end),
        oom_kills=max(marked, counted),
        deaths=sum(1 for e in records.events if e.event == "died"),
        restarts=sum(1 for e in records.events if e.event == "restarted"),
    )
