"""Labels find room, and systems can be told apart in colour and in black and white."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.charts.labels import fold, spread
from bench.charts.palette import (
    _LOOKS,
    COMPONENT_LOOKS,
    FATE_LOOKS,
    PAPER,
    STAGE_LOOKS,
    WASTE_LOOKS,
    Palette,
    css_variables,
)

DARK = "#181d23"


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.1)."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


boxes = st.lists(st.tuples(st.floats(0, 200), st.floats(4, 20)), min_size=1, max_size=8)


@given(boxes)
def test_labels_never_touch_and_stay_within_the_axes_where_there_is_room(found):
    """In the order in which their lines end."""
    wanted, heights = [w for w, _ in found], [h for _, h in found]
    placed = spread(wanted, heights, 200.0)
    order = sorted(range(len(found)), key=lambda n: placed[n])
    for a, b in pairwise(order):
        assert placed[a] + heights[a] / 2 <= placed[b] - heights[b] / 2 + 1e-6
    assert min(p - h / 2 for p, h in zip(placed, heights, strict=True)) >= -1e-6
    assert max(p + h / 2 for p, h in zip(placed, heights, strict=True)) <= 200 + 1e-6


def test_a_label_with_room_stays_where_its_line_ends():
    """Nothing is moved without need."""
    assert spread([20.0, 100.0], [10.0, 10.0], 200.0) == pytest.approx([20.0, 100.0])


def test_long_names_break_at_a_joint():
    """In two lines, not in the middle of a word."""
    assert fold("as-published-restarted") == ["as-published-", "restarted"]
    assert fold("blocking, GIL released") == ["blocking,", "GIL released"]
    assert fold("queued") == ["queued"]


def test_first_systems_of_a_kind_are_told_apart_without_colour():
    """Marker and line style together are never the same; nor the markers."""
    firsts = [looks[0] for looks in _LOOKS.values()]
    assert len({look.marker for look in firsts}) == len(firsts)
    everyone = [look for looks in _LOOKS.values() for look in looks]
    assert len({(look.marker, look.dashes) for look in everyone}) == len(everyone)


@pytest.mark.parametrize("looks", _LOOKS.values(), ids=lambda looks: looks[0].light)
def test_lines_can_be_seen_on_white_and_on_black(looks):
    """At least 3:1 for every first system, light and dark (WCAG 2.1, 1.4.11)."""
    assert contrast(looks[0].light, PAPER) >= 3.9
    assert contrast(looks[0].dark, DARK) >= 5


def test_colours_have_one_meaning_each():
    """No system looks like another, nor like a part of a bar; late work looks like late jobs."""
    everyone = [look.light for looks in _LOOKS.values() for look in looks]
    for parts in (FATE_LOOKS, STAGE_LOOKS, COMPONENT_LOOKS):
        everyone += [look.light for look in parts.values()]
    everyone += [look.light for part, look in WASTE_LOOKS.items() if part != "late"]
    assert WASTE_LOOKS["late"].light == FATE_LOOKS["late"].light
    assert len(set(everyone)) == len(everyone) == len(css_variables())


@pytest.mark.parametrize("looks", [STAGE_LOOKS, COMPONENT_LOOKS, WASTE_LOOKS], ids=["stage", "role", "waste"])
def test_parts_of_a_bar_that_touch_are_told_apart(looks):
    """In print by hatch or by a clear step of grey, in the light and in the dark."""
    for a, b in pairwise(looks.values()):
        assert a.hatch != b.hatch or contrast(a.light, b.light) > 1.3
        assert a.hatch != b.hatch or contrast(a.dark, b.dark) > 1.3
    for look in looks.values():
        assert contrast(look.light, PAPER) > 1.5
        assert contrast(look.dark, DARK) > 1.5


def test_a_system_keeps_its_look_whatever_else_was_run():
    """Queued is blue with a circle in every run."""
    alone = Palette.of([("queued", "queued")])
    crowd = Palette.of([("queued-api", "queued"), ("blocking", "blocking"), ("queued", "queued")])
    assert alone["queued"] == crowd["queued"] == _LOOKS["queued"][0]
    assert crowd["queued-api"] == _LOOKS["queued"][1]
