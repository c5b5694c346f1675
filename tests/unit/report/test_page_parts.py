"""What the page is made of: columns, names with their colours, figures that stay with their units."""

import math

from markupsafe import Markup

from bench.report.columns import COLUMNS
from bench.report.page import SystemEntry, cell, naming


def column(name):
    return next(c for c in COLUMNS if c.name == name)


def test_systems_names_wear_their_colour_wherever_they_are_mentioned():
    """The longest name wins, parts of words are left alone, markup is not let in."""
    named = naming([SystemEntry(n, "", None, f"--{n}") for n in ("queued", "queued-api")])
    assert named("queued-api beats queued, not unqueued") == Markup(
        '<b class="sys" style="--c:var(--queued-api)">queued-api</b> beats '
        '<b class="sys" style="--c:var(--queued)">queued</b>, not unqueued'
    )
    assert named("<i>queued</i>").startswith("&lt;i&gt;<b")


def test_no_line_breaks_between_a_figure_and_its_unit():
    """`250 ms` stays together."""
    assert naming([])("250 ms, 94 % and 2 jobs") == "250\u00a0ms, 94\u00a0% and 2 jobs"


def test_cells_are_sorted_by_value_and_read_as_people_read():
    """Never reached is larger than any time; what is not known is empty."""
    p95 = column("response_p95_s")
    assert (cell(p95, 0.25).text, float(cell(p95, 0.25).sort)) == ("250 ms", 0.25)
    assert (cell(p95, math.inf).text, cell(p95, math.inf).sort) == ("not reached", "1e308")
    assert cell(p95, None).text == ""
    assert cell(column("goodput_per_s"), math.nan).text == ""
    assert cell(column("arrivals"), 1234).text == "1,234"


def test_column_names_are_unique_and_say_their_unit():
    """What is a time, a rate or a size ends so."""
    names = [c.name for c in COLUMNS]
    assert len(set(names)) == len(names)
    assert {n.rsplit("_", 1)[-1] for n in names if "_" in n} >= {"s", "bytes", "cores", "share"}
