"""Charts over offered load: response time, accepting against delivering, goodput, timeout rate."""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from bench.analysis.across.findings.load import in_time, median, offered
from bench.analysis.across.groups import LoadGroup, Point, Series
from bench.analysis.trial.figures import Figures
from bench.analysis.trial.latency import arrivals_needed
from bench.analysis.trial.ledger import FATES
from bench.analysis.words import figure, listing, percent, rate, seconds
from bench.charts.bars import standing
from bench.charts.chart import Chart, Context, titled
from bench.charts.labels import label_margin
from bench.charts.lines import amounts, gather, span, theory, times
from bench.charts.marks import fate_patch, guide, legend, shade_above
from bench.charts.palette import FATE_LOOKS, MUTED
from bench.charts.scales import load_axis, percent_axis
from bench.charts.style import Axes, Canvas, Panel

T = TypeVar("T")
THEORY = (0.5, 0.95)
"""Percentiles with a line of theory."""
CAUSES = tuple(fate for fate in FATES if fate != "in_time")


def load_charts(group: LoadGroup) -> list[Chart]:
    """The charts of one group of systems over load."""
    return [response(group), accepting(group), goodput(group), timeouts(group)]


def variant_charts(group: LoadGroup) -> list[Chart]:
    """The queue's variants beside one another, where the main charts leave some out."""
    variants = group.queue_variants()
    return [response(variants, "-variants"), goodput(variants, "-variants")] if variants else []


def _loads(group: LoadGroup) -> list[float]:
    return [offered(p) for s in group.series for p in s.points if math.isfinite(offered(p))]


def load_frame(canvas: Canvas, panel: Panel, group: LoadGroup) -> Axes:
    """Axes over the offered load, with room for the systems' names and the overload shaded."""
    axes = canvas.axes(panel, right=label_margin([s.label for s in group.series]))
    load_axis(axes, _loads(group))
    if math.isfinite(group.reference):
        shade_above(axes, group.reference)
    return axes


def at_top(group: LoadGroup) -> list[tuple[Series, Point]]:
    """Each series' point at the highest load that most of them have."""
    highest = max(p.trial.load.rate for s in group.series for p in s.points)
    return [(s, p) for s in group.series for p in s.points if math.isclose(p.trial.load.rate, highest)]


def response(group: LoadGroup, suffix: str = "") -> Chart:
    """Response-time percentiles against offered load."""
    wanted = [0.5, 0.95, 0.99]
    drawn = {p: gather(group.series, offered, response_at(p)) for p in wanted}
    if not drawn[0.95]:
        drawn[0.9] = gather(group.series, offered, lambda f: f.response[0.9])
    shown = sorted(p for p, lines in drawn.items() if lines)
    name, title = f"response-time{suffix}", titled(group, _response_title, "Time to result over offered load")

    def draw(context: Context) -> Canvas:
        canvas = Canvas.make(name, title, max(1, len(shown)), 2.95, stamp=context.stamp)
        low, high = span([d for p in shown for d in drawn[p]], group.deadline)
        for p in shown:
            words = "median (p50)" if p == 0.5 else f"p{p * 100:g}"
            panel = canvas.panel(f"p{p * 1000:.0f}", f"{words} of the response time over offered load")
            axes = load_frame(canvas, panel, group)
            times(axes, drawn[p], context, low, high)
            guide(axes, group.deadline, f"D {seconds(group.deadline)}")
            thin = p in THEORY and theory(axes, [d.series for d in drawn[p]], group, p, context)
            canvas.heading(axes, words, "time to result; thin: theory" if thin else "time to result")
        return canvas

    least = 0.95 if 0.95 not in shown else 0.99 if 0.99 not in shown else 0.999
    return Chart(
        name,
        title,
        "How long users wait for their result, counted from the instant they asked; a job that failed "
        "counts as infinitely long, so a percentile can be “not reached”. Right of the shaded edge more is "
        f"asked than can be done: those figures belong to their window. p{least * 100:g} takes "
        f"{arrivals_needed(least)} arrivals a trial.{_theory_words(group)}",
        draw,
    )


def _theory_words(group: LoadGroup) -> str:
    """What the thin lines are, and why each ends."""
    if not group.theory:
        return ""
    cut = [s.label for s in group.series if (line := group.theory.get(s.label)) and line.cut]
    ends = f" or the gateway's limit ({listing(cut)})" if cut else ""
    return f" Thin: what theory expects of such a window, up to capacity{ends}."


def _response_title(group: LoadGroup) -> str:
    rows = at_top(group)
    firsts = {s.kind: s for s, _ in reversed(rows)}
    rows = [(s, p) for s, p in rows if firsts[s.kind] is s]
    never = [s.label for s, p in rows if math.isinf(median(p))]
    reached = sorted((median(p), s.label, s.kind) for s, p in rows if math.isfinite(median(p)))
    told = [(t, label) for n, (t, label, kind) in enumerate(reached) if n == 0 or kind == "queued"]
    parts = []
    if told:
        parts.append(f"the median user waits {listing([f'{seconds(t)} with {label}' for t, label in told])}")
    if never:
        parts.append(f"with {listing(never)} most get no result")
    if not parts:
        return "Time to result over offered load"
    return f"At {rate(offered(rows[0][1]))} {'; '.join(parts)}"


def accepting(group: LoadGroup) -> Chart:
    """Accept latency against time to result."""
    accepted = gather(group.series, offered, lambda f: f.accept[0.5])
    results = gather(group.series, offered, lambda f: f.response[0.5])
    title = titled(group, _accept_title, "Accepting a job and delivering its result are two things")

    def draw(context: Context) -> Canvas:
        canvas = Canvas.make("accept-latency", title, 2, 2.95, stamp=context.stamp)
        low, high = span([*accepted, *results])
        for name, words, lines in (
            ("accepted", "until the request is accepted", accepted),
            ("result", "until the result is there", results),
        ):
            axes = load_frame(canvas, canvas.panel(name, f"median time {words}, over offered load"), group)
            times(axes, lines, context, low, high)
            canvas.heading(axes, words, "median")
        return canvas

    return Chart(
        "accept-latency",
        title,
        "Left: until the server says “I have your job”; right: until the result is there; same scale. A "
        "blocking server says nothing before the result, so its two lines are one; the queue's gap is the "
        "user's wait.",
        draw,
    )


def _accept_title(group: LoadGroup) -> str:
    accepted = gather(group.series, offered, lambda f: f.accept[0.5])
    queues = [d for d in accepted if d.series.kind == "queued"]
    worst = max((e.value for d in queues[:1] for e in d.y), default=math.nan)
    if not math.isfinite(worst):
        return "Accepting a job and delivering its result are two things"
    top = at_top(group)
    mute = [s for s, p in top if not s.queue and math.isinf(p.value(lambda f: f.accept[0.5]))]
    tail = f"; at {rate(offered(top[0][1]))} {mute[0].label} leaves most without an answer" if mute else ""
    return f"{queues[0].series.label} accepts a job within {seconds(worst)} at every load (median){tail}"


def goodput(group: LoadGroup, suffix: str = "") -> Chart:
    """Goodput against offered load, with the ideal line."""
    drawn = gather(group.series, offered, lambda f: f.rates.goodput)
    title = titled(group, _goodput_title, "Results in time over offered load")

    def draw(context: Context) -> Canvas:
        canvas = Canvas.make(f"goodput{suffix}", title, 1, 3.3, stamp=context.stamp)
        axes = load_frame(
            canvas, canvas.panel("goodput", "results in time per second over offered load"), group
        )
        loads = _loads(group)
        top = max([e.value for d in drawn for e in d.y] + [min(max(loads), _able(group))])
        axes.set_ylim(0, top * 1.12)
        ideal = [
            (0.0, 0.0),
            *((x, min(x, _able(group))) for x in sorted({_able(group), max(loads)}) if x <= max(loads)),
        ]
        axes.plot(
            [x for x, _ in ideal], [y for _, y in ideal], color=MUTED, linewidth=1.0, linestyle="--", zorder=1
        )
        last = ideal[-1]
        axes.annotate(
            "ideal", last, xytext=(-3, 3), textcoords="offset points", ha="right", size=6.8, color=MUTED
        )
        amounts(axes, drawn, context)
        axes.set_ylabel("results in time, jobs/s")
        canvas.heading(axes, "goodput", f"in time: within {seconds(group.deadline)}")
        return canvas

    return Chart(
        f"goodput{suffix}",
        title,
        "Correct results per second that came in time. The dashed line is all that could be had: "
        "everything that is asked, until the capacity is reached. Beyond it every unbounded system falls, "
        "the longer the window the deeper.",
        draw,
    )


def _able(group: LoadGroup) -> float:
    return group.reference if math.isfinite(group.reference) else math.inf


def _goodput_title(group: LoadGroup) -> str:
    rows = [(p.value(lambda f: f.rates.goodput), s.label) for s, p in at_top(group)]
    rows = [(g, label) for g, label in rows if math.isfinite(g)]
    if not rows:
        return "Results in time over offered load"
    best, worst = max(rows), min(rows)
    able = f" of the {figure(_able(group))} that can be done" if math.isfinite(_able(group)) else ""
    load = rate(offered(at_top(group)[0][1]))
    if best == worst:
        return f"Asked for {load}, {best[1]} has {figure(best[0])} results/s in time{able}"
    return (
        f"Asked for {load}, {best[1]} has {figure(best[0])} and {worst[1]} {figure(worst[0])} results/s in "
        f"time{able}"
    )


def timeouts(group: LoadGroup) -> Chart:
    """Timeout rate against offered load: the totals, then each system split by cause."""
    drawn = gather(group.series, offered, lambda f: f.ledger.timeout_share)
    title = titled(group, _timeouts_title, "Jobs without a result in time over offered load")

    def draw(context: Context) -> Canvas:
        canvas = Canvas.make("timeouts", title, 1 + len(group.series), 2.5, stamp=context.stamp)
        axes = load_frame(
            canvas, canvas.panel("all", "share of jobs without a result in time, over load"), group
        )
        percent_axis(axes)
        amounts(axes, drawn, context)
        canvas.heading(axes, "no result in time", "share of arrivals")
        for n, series in enumerate(group.series):
            panel = canvas.panel(f"s{n}", f"why {series.label} gave no result in time, by offered load")
            _causes(canvas, panel, series, context)
        return canvas

    return Chart(
        "timeouts",
        title,
        "The share of users without a correct result in time: first all systems, then each one by cause. "
        "“Late” came after the deadline but came; 504 is the gateway giving up while the server works on "
        "for nobody; 503 was told at once.",
        draw,
    )


def _causes(canvas: Canvas, panel: Panel, series: Series, context: Context) -> None:
    present = [c for c in CAUSES if any(p.total(fate_count(c)) for p in series.points)]
    axes = canvas.axes(panel, right=0.95)
    percent_axis(axes)
    places = list(range(len(series.points)))
    bars(axes, places, [(p, present) for p in series.points])
    axes.set_xlim(-0.6, len(places) - 0.4)
    axes.set_xticks(places, [figure(offered(p)) for p in series.points])
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("offered load, jobs/s")
    legend(axes, [fate_patch(c) for c in reversed(present)])
    canvas.heading(axes, series.label, color=context.look(series).light)


def bars(
    axes: Axes, places: Sequence[float], points: list[tuple[Point, list[str]]], width: float = 0.62
) -> None:
    """Stacked shares of the arrivals by cause, one bar a point; the total stands on top."""
    for place, (point, causes) in zip(places, points, strict=True):
        parts = [(point.share(fate_count(cause)), FATE_LOOKS[cause]) for cause in causes]
        standing(axes, place, parts, percent(1 - in_time(point)), width, hollow=point.hollow)


def fate_count(fate: str) -> Callable[[Figures], int]:
    """How many of a trial's arrivals had this fate."""
    return lambda f: int(getattr(f.ledger, fate))


def response_at(p: float) -> Callable[[Figures], float | None]:
    """A percentile of a trial's response times."""
    return lambda f: f.response[p]


def main_cause(point: Point) -> str:
    """The commonest reason for no result in time, in words; empty where all was in time."""
    counts = {c: point.total(fate_count(c)) for c in CAUSES}
    top = max(counts, key=lambda c: counts[c])
    return FATE_LOOKS[top].words if counts[top] else ""


def main_pair(rows: Sequence[tuple[Series, T]]) -> list[tuple[Series, T]]:
    """What a title compares: the last of the plain blocking systems and the queue; else the first two."""
    blocking = [(s, p) for s, p in rows if s.kind in ("gunicorn", "blocking")][-1:]
    queue = [(s, p) for s, p in rows if s.kind == "queued"][:1]
    return blocking + queue or list(rows[:2])


def _timeouts_title(group: LoadGroup) -> str:
    rows = at_top(group)
    parts = []
    for s, p in main_pair(rows):
        cause = main_cause(p)
        parts.append(f"{percent(1 - in_time(p))} with {s.label}" + (f" (mostly {cause})" if cause else ""))
    return f"At {rate(offered(rows[0][1]))} no result in time: {listing(parts)}"
