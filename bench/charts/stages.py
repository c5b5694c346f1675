"""The response time taken apart: stacked bars by system, at a few loads and in the bursts."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.across.findings.load import offered
from bench.analysis.across.findings.stages import STAGE_WORDS, at, main_points, shown_loads, stages_of
from bench.analysis.across.groups import LoadGroup, PartGroup, Point, Series
from bench.analysis.trial.stages import STAGES
from bench.analysis.words import count, of_capacity, percent, rate, seconds
from bench.charts.bars import Bar, height, lying
from bench.charts.chart import Chart, Context
from bench.charts.palette import STAGE_LOOKS
from bench.charts.style import Canvas

Rows = Sequence[tuple[Series, Point]]


@dataclass(frozen=True)
class _Cell:
    """One panel: what it is called, and its systems."""

    heading: str
    sub: str
    rows: Rows


def stages_chart(group: LoadGroup | None, bursts: Sequence[PartGroup]) -> Chart | None:
    """Mean time by stage; None where no job of any system can be taken apart."""
    cells = [*(_loads(group) if group else []), *(_burst(b) for b in bursts)]
    cells = [c for c in cells if any(stages_of(p).apart for _, p in c.rows)]
    if not cells:
        return None
    title = _title(group, cells)

    def draw(context: Context) -> Canvas:
        tallest = max(len(c.rows) for c in cells)
        canvas = Canvas.make("stages", title, len(cells), height(tallest), stamp=context.stamp)
        for n, cell in enumerate(cells):
            panel = canvas.panel(f"at{n}", f"mean time to result by stage and system, {cell.heading}")
            bars = [_bar(s, p, context) for s, p in cell.rows]
            axes = lying(canvas, panel, bars, [STAGE_LOOKS[stage] for stage in STAGES])
            canvas.heading(axes, cell.heading, cell.sub)
        return canvas

    return Chart(
        "stages",
        title,
        "Mean times, since medians do not add up, of the delivered jobs; where not all were, their share of "
        "the arrivals stands behind the bar. Send delay is the generator's own; accept: until the 2xx (a "
        "blocking server answers with the result and has none); wait: until a worker starts; service: the "
        "run; discovery: until the client has the result. Each panel has its own scale.",
        draw,
    )


def _loads(group: LoadGroup) -> list[_Cell]:
    cells = []
    for planned in shown_loads(group):
        rows = [(s, p) for s in group.series if (p := at(s, planned))]
        load = rows[0][1]
        cells.append(_Cell(f"at {rate(offered(load))}", of_capacity(group.relative(load)), rows))
    return cells


def _burst(group: PartGroup) -> _Cell:
    return _Cell(f"burst of {group.size}", "", [(s, s.points[0]) for s in group.series])


def _bar(series: Series, point: Point, context: Context) -> Bar:
    found = stages_of(point)
    arrivals = sum(f.ledger.arrivals for f in point.repeats if f.validity.believable)
    if not arrivals:
        words = "not valid"
    elif not found.apart:
        words = "not known" if found.delivered else "no result"
    else:
        words = seconds(found.response)
        if found.apart < arrivals:
            words += f"\nfor {percent(found.apart / arrivals)}"
    parts = [(length, STAGE_LOOKS[stage]) for stage, length in found.parts.items() if length > 0]
    return Bar(series.label, context.look(series).light, parts, words)


def _title(group: LoadGroup | None, cells: Sequence[_Cell]) -> str:
    main = main_points(group) if group else None
    if main is not None:
        series, points = main
        told = [(f"at {rate(offered(p))}", p) for p in points]
    else:
        series, point = next((s, p) for c in cells for s, p in reversed(c.rows) if stages_of(p).apart)
        told = [(f"in a burst of {count(point.trial.load.size, 'job')}", point)]
    parts = []
    for where, p in told:
        stage, share = stages_of(p).longest
        parts.append(f"{percent(share)} is {STAGE_WORDS[stage]} {where}")
    return f"Of {series.label}'s mean time to result {', '.join(parts)}"
