"""Numbers in, figures out: `charts` lists what a run has data for, `picture` draws one of them."""

from dataclasses import replace

from bench.analysis import Analysis
from bench.analysis.across.groups import Series
from bench.analysis.across.notes import stamp
from bench.charts.burst import burst_chart, closed_chart
from bench.charts.chart import HOLLOW, Chart, Context
from bench.charts.curve import curve_chart
from bench.charts.load import load_charts, variant_charts
from bench.charts.metastability import hysteresis_chart, pulse_chart
from bench.charts.overhead import overhead_chart
from bench.charts.palette import Palette
from bench.charts.stages import stages_chart
from bench.charts.style import drawing
from bench.charts.svg import Picture, render
from bench.charts.timeline import memory_timeline, overload_timeline
from bench.charts.waiting import waiting_chart
from bench.charts.wasted import wasted_chart
from bench.charts.workers import worker_charts

__all__ = ["Chart", "Context", "Picture", "charts", "context", "picture"]


def charts(analysis: Analysis) -> list[Chart]:
    """Every chart for which the run has data, in the order of the page."""
    groups = analysis.groups
    maybe: list[Chart | None] = []
    for group in groups.loads[:1]:
        maybe += load_charts(group.main())
        maybe += variant_charts(group)
    maybe += [burst_chart(g, analysis.returns) for g in groups.bursts]
    maybe += [closed_chart(g, analysis.returns) for g in groups.closed]
    first = groups.loads[0].main() if groups.loads else None
    maybe.append(stages_chart(first, groups.bursts))
    if first is not None:
        maybe += [overhead_chart(first), wasted_chart(first)]
    maybe += worker_charts(groups.workers)
    for group in groups.loads[:1]:
        maybe += [overload_timeline(group, analysis.timelines), curve_chart(analysis.curves, group)]
    maybe += [memory_timeline(g, analysis.timelines) for g in groups.memory]
    maybe += [waiting_chart(g) for g in groups.service_time]
    maybe += [pulse_chart(groups.pulses), hysteresis_chart(groups.stairs)]
    found = [chart for chart in maybe if chart is not None]
    if all(f.validity.believable for f in analysis.done):
        return found
    return [replace(chart, how=chart.how + HOLLOW) for chart in found]


def context(analysis: Analysis) -> Context:
    """The colours of the run's systems, and its stamp."""
    return Context(Palette.of((s.key, s.kind) for s in every_series(analysis)), stamp(analysis.run))


def every_series(analysis: Analysis) -> list[Series]:
    """All series of all groups."""
    groups = analysis.groups
    parts = [*groups.bursts, *groups.memory, *groups.closed, *groups.service_time]
    found = [s for load in groups.loads for s in load.series]
    found += [s for sweep in groups.workers for s in sweep.series]
    found += [t.series for t in groups.pulses] + [t.series for t in groups.stairs]
    return found + [s for part in parts for s in part.series]


def picture(chart: Chart, shared: Context) -> Picture:
    """Draw one chart."""
    with drawing(chart.name):
        return render(chart.draw(shared))
