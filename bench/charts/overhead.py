"""What a job costs besides its task: CPU time by component, stacked bars by system."""

from bench.analysis.across.findings.costs import overhead_of, overhead_rows, overhead_words
from bench.analysis.across.findings.load import offered
from bench.analysis.across.groups import LoadGroup, Point, Series
from bench.analysis.trial.overhead import COMPONENTS
from bench.analysis.words import of_capacity, rate, seconds
from bench.charts.bars import Bar, height, lying
from bench.charts.chart import Chart, Context
from bench.charts.palette import COMPONENT_LOOKS
from bench.charts.style import Canvas


def overhead_chart(group: LoadGroup) -> Chart | None:
    """CPU a job besides the task, at the highest load below capacity; None where it was not sampled."""
    rows = overhead_rows(group)
    if not rows:
        return None
    first = rows[0][1]
    title = f"Besides its task a job costs {overhead_words(rows)}"

    def draw(context: Context) -> Canvas:
        canvas = Canvas.make("overhead", title, 1, height(len(rows)), stamp=context.stamp)
        panel = canvas.panel("overhead", "CPU time besides the task for each delivered job, by component")
        shown = [c for c in COMPONENTS if any(c in overhead_of(p).cpu for _, p in rows)]
        bars = [_bar(s, p, context) for s, p in rows]
        axes = lying(canvas, panel, bars, [COMPONENT_LOOKS[c] for c in shown])
        canvas.heading(axes, f"at {rate(offered(first))}", of_capacity(group.relative(first)))
        return canvas

    return Chart(
        "overhead",
        title,
        "CPU time that all processes of a system used from the first arrival to the end of the drain, less "
        "the tasks' own by their own clocks, for each delivered job. Idling in between is in it, so a busier "
        "system's share is smaller. The gateway stands outside the box. The kernel counts in hundredths of a "
        "second a process: over few jobs this is coarse.",
        draw,
    )


def _bar(series: Series, point: Point, context: Context) -> Bar:
    found = overhead_of(point)
    parts = [(found.of(c), COMPONENT_LOOKS[c]) for c in COMPONENTS if c in found.cpu]
    return Bar(series.label, context.look(series).light, parts, seconds(found.per_job))
