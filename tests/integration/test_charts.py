"""Every chart that a run has data for is drawn, can be read, and stands by itself.

No service is needed; it stands here because drawing a dozen charts takes seconds.
"""

import io
import re
from dataclasses import dataclass, replace
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image
from synthetic import everything

from bench.charts import Chart, Picture, charts, context, picture
from bench.charts.style import Canvas, drawing
from bench.charts.svg import render
from bench.report.reading import read

KINDS = {
    "response-time",
    "accept-latency",
    "goodput",
    "timeouts",
    "stages",
    "overhead",
    "wasted-work",
    "burst-12",
    "closed-six-users",
    "workers-cpu",
    "workers-io",
    "timeline-overload",
    "percentile-curve",
    "timeline-memory",
    "waiting-per-user",
    "metastability",
    "hysteresis",
}


@dataclass(frozen=True)
class Drawn:
    """A chart, its files, and where its texts came to stand (pixels)."""

    chart: Chart
    canvas: Canvas
    picture: Picture
    texts: list[tuple[str, object]]
    width: int
    height: int


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    """A run with every kind of part, analysed."""
    return read(everything(tmp_path_factory.mktemp("charts") / "run"))


@pytest.fixture(scope="module")
def shared(analysis):
    """What all charts are given; stamped, as on a machine without caps."""
    return replace(context(analysis), stamp="not capped")


@pytest.fixture(scope="module")
def drawn(analysis, shared) -> dict[str, Drawn]:
    """Every chart of the run, by name."""
    found = {}
    for chart in charts(analysis):
        with drawing(chart.name):
            canvas = chart.draw(shared)
            picture = render(canvas)
            texts = visible_texts(canvas)
        width, height = canvas.figure.canvas.get_width_height()
        found[chart.name] = Drawn(chart, canvas, picture, texts, width, height)
    return found


def visible_texts(canvas):
    """Every visible text with its box in pixels; tick labels beyond their axes are not drawn."""
    renderer = FigureCanvasAgg(canvas.figure).get_renderer()
    canvas.figure.draw(renderer)
    hidden = set()
    for axes in canvas.figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if not low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                    hidden |= {id(tick.label1), id(tick.label2)}
    texts = [t for t in canvas.figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    return [(t.get_text(), Text.get_window_extent(t, renderer)) for t in texts if id(t) not in hidden]


def test_every_kind_of_chart_is_drawn_where_its_data_exist(drawn):
    """The whole list of the experiment's parts, once each."""
    assert set(drawn) == KINDS


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_chart_is_not_blank(drawn, name):
    """Ink on paper, in more than a corner."""
    image = np.asarray(Image.open(io.BytesIO(drawn[name].picture.png)).convert("L"), dtype=float)
    ink = image < 200
    assert 0.004 < ink.mean() < 0.5
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    assert np.ptp(rows) > 0.7 * image.shape[0]
    assert np.ptp(columns) > 0.7 * image.shape[1]


@pytest.mark.parametrize("name", sorted(KINDS))
def test_no_text_lies_on_another_or_is_cut_off(drawn, name):
    """Labels, ticks, titles and remarks all have their own place."""
    shown = drawn[name]
    for n, (text, a) in enumerate(shown.texts):
        inside = a.x0 > -2 and a.x1 < shown.width + 2 and a.y0 > -2 and a.y1 < shown.height + 2
        assert inside, f"{text!r} is cut off"
        for other, b in shown.texts[n + 1 :]:
            across = min(a.x1, b.x1) - max(a.x0, b.x0)
            down = min(a.y1, b.y1) - max(a.y0, b.y0)
            assert not (across > 2 and down > 3), f"{text!r} lies on {other!r}"


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_chart_is_a_light_svg_with_real_text(drawn, name):
    """Searchable, small, and without an address to fetch anything from."""
    svg = drawn[name].picture.svg
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert "<text" in svg
    assert len(svg) < 250_000
    assert not re.findall(r'(?:href|src)="(?!#)', svg)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_not_capped_is_stamped_on_every_chart(drawn, name):
    """Nobody quotes a picture without it."""
    assert "NOT CAPPED" in [text for text, _ in drawn[name].texts]


@pytest.mark.parametrize("name", sorted(KINDS - {"closed-six-users"}))
def test_axes_say_what_they_count(drawn, name):
    """By their label or by the unit at their ticks."""
    units = re.compile(r"seconds|jobs|attempts|memory|cores|results|%|\d m?s\b")
    for axes in drawn[name].canvas.figure.axes:
        lying = name in ("stages", "overhead")
        ticks = [t.get_text() for t in (axes.get_xticklabels() if lying else axes.get_yticklabels())]
        assert units.search(" ".join([axes.get_ylabel(), *ticks]))


def test_the_title_states_a_finding_with_its_figures(drawn):
    """Not "response time over load", but what came out; and two lines on how to read it."""
    charts = [shown.chart for shown in drawn.values()]
    assert sum(bool(re.search(r"\d", c.title)) for c in charts) >= len(charts) - 1
    assert all(len(c.title) < 150 for c in charts)
    assert all(60 < len(c.how) < 420 for c in charts)


def test_on_the_page_panels_stand_alone_and_their_colours_can_be_swapped(drawn):
    """One SVG a panel, ids of its own, house colours as variables, every reference within the page."""
    ids: set[str] = set()
    panels = [(name, panel) for name, shown in drawn.items() for panel in shown.picture.panels]
    for name, panel in panels:
        assert re.match(r'<svg viewBox="[\d. ]+" role="img" aria-label="[^"]+">', panel)
        assert "var(--muted)" in panel
        assert "#1f2429" not in panel
        found = re.findall(r'\bid="([^"]+)"', panel)
        assert all(one.startswith(f"{name}-") for one in found)
        assert not ids & set(found)
        ids |= set(found)
    assert {r for _, panel in panels for r in re.findall(r'(?:href="#|url\(#)([^")]+)', panel)} <= ids


def test_the_same_run_draws_the_same_files(drawn, shared):
    """A rebuilt report can be compared byte by byte."""
    first = drawn["goodput"]
    again = picture(first.chart, shared)
    assert (again.svg, again.png) == (first.picture.svg, first.picture.png)
