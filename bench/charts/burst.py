"""When each job of a burst came back, and what closed users waited for."""

from collections.abc import Mapping

import numpy as np

from bench.analysis.across.findings.parts import DELIVERED, last_return
from bench.analysis.across.groups import PartGroup, Series
from bench.analysis.trial.latency import Returns
from bench.analysis.words import count, seconds
from bench.charts.chart import Chart, Context, titled
from bench.charts.labels import Label, label_ends, label_margin
from bench.charts.marks import mark, upright
from bench.charts.palette import FATE_LOOKS, MUTED, PAPER
from bench.charts.scales import whole_numbers
from bench.charts.style import SMALL, Axes, Canvas


def burst_chart(group: PartGroup, returns: Mapping[str, Returns]) -> Chart | None:
    """How many of the burst's jobs are back, over time."""
    rows = [(s, returns[s.points[0].repeats[0].trial.id]) for s in group.series]
    if not rows:
        return None
    otherwise = f"When each of {group.size} jobs came back"
    title = titled(group, lambda told: _burst_title(told, returns), otherwise)
    deadline = group.series[0].points[0].trial.deadline
    end = 1.06 * max(*(_last(r) for _, r in rows), deadline * 1.15)

    def draw(context: Context) -> Canvas:
        canvas = Canvas.make(f"burst-{group.size}", title, 1, 3.5, stamp=context.stamp)
        labels = [_burst_label(s, r) for s, r in rows]
        panel = canvas.panel("back", f"results back over time after {count(group.size, 'job')} at once")
        axes = canvas.axes(panel, right=label_margin(labels))
        axes.set_xlim(0, end)
        axes.set_ylim(0, group.size * 1.04)
        upright(axes, deadline, f"deadline {seconds(deadline)}")
        ends = [_step(axes, s, r, end, context) for s, r in rows]
        label_ends(
            axes,
            [
                Label(end, y, t, context.look(s).light)
                for (s, _), y, t in zip(rows, ends, labels, strict=True)
            ],
            SMALL,
        )
        axes.set_xlabel("seconds since the burst")
        axes.set_ylabel("results back")
        whole_numbers(axes)
        canvas.heading(axes, f"burst of {group.size}")
        return canvas

    return Chart(
        f"burst-{group.size}",
        title,
        "Every step is one user who has the result; left of the deadline in time, right of it late. A "
        "cross says when users were told that they get none. A flat line to the right means: nobody else "
        "is coming.",
        draw,
    )


def _last(r: Returns) -> float:
    return float(r.times[-1]) if len(r.times) else 0.0


def _burst_label(series: Series, r: Returns) -> str:
    back = sum(fate in DELIVERED for fate in r.fate)
    return f"{series.label} {back}/{len(r.fate)}"


def _step(axes: Axes, series: Series, r: Returns, end: float, context: Context) -> float:
    look = context.look(series)
    good = [t for t, fate in zip(r.times, r.fate, strict=True) if fate in DELIVERED]
    x, y = [0.0, *good], list(range(len(good) + 1))
    axes.step(x, y, where="post", color=look.light, linewidth=1.7, zorder=3)
    mark(axes, good, y[1:], look, hollow=series.points[0].hollow, size=4)
    axes.plot([x[-1], end], [y[-1]] * 2, color=look.light, linewidth=0.9, linestyle=(0, (1, 2)), zorder=2)
    bad = [t for t, fate in zip(r.times, r.fate, strict=True) if fate not in DELIVERED]
    if bad:
        axes.plot(
            bad, np.searchsorted(good, bad), linestyle="", marker="x", markersize=5.5, markeredgewidth=1.4,
            color=look.light, zorder=4, clip_on=False,
        )  # fmt: skip
    return float(y[-1])


def _burst_title(group: PartGroup, returns: Mapping[str, Returns]) -> str:
    parts = []
    firsts = {s.kind: s for s in reversed(group.series)}
    chosen = [firsts[kind] for kind in ("blocking", "queued") if kind in firsts] or list(group.series[:2])
    for series in chosen:
        p = series.points[0]
        delivered = p.total(lambda f: f.ledger.delivered)
        arrivals = p.total(lambda f: f.ledger.arrivals)
        words = f"{series.label} delivers {'all' if delivered == arrivals else f'{delivered} of {arrivals}'}"
        if delivered:
            words += f", the last after {seconds(last_return(p, returns))}"
        parts.append(words)
    return (
        f"{group.size} at once: {'; '.join(parts)}" if parts else f"When each of {group.size} jobs came back"
    )


def closed_chart(group: PartGroup, returns: Mapping[str, Returns]) -> Chart | None:
    """Each user's own time, one row a system."""
    rows = [(s, returns[s.points[0].repeats[0].trial.id]) for s in group.series]
    if not rows:
        return None
    deadline = group.series[0].points[0].trial.deadline
    otherwise = f"{count(group.size, 'user')} at once"
    title = titled(group, lambda told: _closed_title(told, returns), otherwise)
    longest = max(len(s.label) for s, _ in rows)

    def draw(context: Context) -> Canvas:
        canvas = Canvas.make(f"closed-{group.name}", title, 1, 0.75 + 0.34 * len(rows), stamp=context.stamp)
        panel = canvas.panel("users", f"when each of {group.size} users had the result, by system")
        axes = canvas.axes(panel, left=0.25 + 0.066 * longest, right=0.62, top=0.2)
        end = 1.05 * max(*(_last(r) for _, r in rows), deadline)
        axes.set_xlim(0, end)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(False, axis="y")
        axes.grid(True, axis="x", color=MUTED, alpha=0.18, linewidth=0.7)
        upright(axes, deadline, f"deadline {seconds(deadline)}")
        for n, (series, r) in enumerate(rows):
            _row(axes, n, r, series, context)
        axes.set_yticks(range(len(rows)), [s.label for s, _ in rows])
        for text, (series, _) in zip(axes.get_yticklabels(), rows, strict=True):
            text.set_color(context.look(series).light)
            text.set_fontweight("bold")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("seconds until the user has the result")
        return canvas

    return Chart(
        f"closed-{group.name}",
        title,
        f"Every mark is one of {group.size} users who all ask at once, each for one job (closed model). The "
        "number at the right says how many got a result; a cross is a user who was told there is none.",
        draw,
    )


def _row(axes: Axes, n: int, r: Returns, series: Series, context: Context) -> None:
    look = context.look(series)
    good = [t for t, fate in zip(r.times, r.fate, strict=True) if fate in DELIVERED]
    bad = [t for t, fate in zip(r.times, r.fate, strict=True) if fate not in DELIVERED]
    if len(r.times):
        axes.plot([0, float(r.times[-1])], [n, n], color=look.light, linewidth=0.9, alpha=0.5, zorder=1.5)
    face = PAPER if series.points[0].hollow else look.light
    edge = look.light if series.points[0].hollow else PAPER
    for times, marker in ((good, look.marker), (bad, "x")):
        axes.plot(
            times,
            [n + d for d in _apart(times, axes.get_xlim()[1])],
            linestyle="",
            marker=marker,
            markersize=4.6,
            markerfacecolor=face,
            markeredgecolor=edge if marker != "x" else look.light,
            markeredgewidth=1.3 if marker == "x" else 1.0 if series.points[0].hollow else 0.5,
            zorder=3,
            clip_on=False,
        )
    causes = sorted({FATE_LOOKS[fate].words for fate in r.fate if fate not in DELIVERED})
    axes.annotate(
        f"{len(good)}/{len(r.times)}" + (f" {causes[0]}" if len(causes) == 1 and not good else ""),
        (1, n), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points",
        va="center", size=7.2, color=MUTED, annotation_clip=False,
    )  # fmt: skip


def _apart(times: list[float], width: float) -> list[float]:
    """Vertical offsets that keep marks apart which would stand on one another."""
    offsets: list[float] = []
    for t in times:
        near = [o for other, o in zip(times, offsets, strict=False) if abs(other - t) < 0.022 * width]
        offsets.append(next(o for o in _RUNGS if o not in near or len(near) >= len(_RUNGS)))
    return offsets


_RUNGS = (0.0, -0.18, 0.18, -0.36, 0.36)


def _closed_title(group: PartGroup, returns: Mapping[str, Returns]) -> str:
    blocking = [s for s in group.series if s.kind == "blocking"][:1]
    queue = [s for s in group.series if s.kind == "queued"][-1:]
    parts = []
    for series in blocking + queue or list(group.series[:1]):
        point = series.points[0]
        delivered, asked = (
            point.total(lambda f: f.ledger.delivered),
            point.total(lambda f: f.ledger.arrivals),
        )
        outcome = f"{delivered} of {asked} get a result" if delivered else "nobody gets a result"
        if delivered == asked:
            outcome = f"the slowest waits {seconds(last_return(point, returns))}"
        parts.append(f"with {series.label} {outcome}")
    return f"{count(group.size, 'user')} at once: {'; '.join(parts)}"
