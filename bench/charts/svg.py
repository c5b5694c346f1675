"""A drawn chart as files, and as markup for the page.

The files are whole and plain. For the page the same SVG is cut into its panels, its colours become CSS
variables (so that dark mode and print can swap them), and its ids get the chart's name, so that many fit.
"""

import io
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from bench.charts.palette import VARIABLES, css_variables
from bench.charts.style import Canvas, Panel

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
DPI = 144
POINTS = 72
"""matplotlib's SVG units per inch."""


@dataclass(frozen=True)
class Picture:
    """A rendered chart."""

    name: str
    svg: str
    png: bytes
    panels: tuple[str, ...]
    """Markup for the page, one `<svg>` a panel."""

    def save(self, folder: Path) -> None:
        """Write `<name>.svg` and `<name>.png`."""
        (folder / f"{self.name}.svg").write_text(self.svg)
        (folder / f"{self.name}.png").write_bytes(self.png)


def render(canvas: Canvas) -> Picture:
    """Draw once as SVG and once as PNG. Call within `style.drawing`."""
    text = io.StringIO()
    canvas.figure.savefig(text, format="svg", metadata={"Date": None, "Title": canvas.title})
    png = io.BytesIO()
    canvas.figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None, "Title": canvas.title})
    svg = _slim(_fonts(text.getvalue()))
    return Picture(canvas.name, svg, png.getvalue(), tuple(_panels(svg, canvas)))


def _fonts(svg: str) -> str:
    return re.sub(r"'DejaVu Sans'(?:, [^;\"]*?sans-serif)?", FONTS, svg)


def _slim(svg: str) -> str:
    """Coordinates to a hundredth of a point, paths on one line: half the size, the same picture."""
    svg = re.sub(r"-?\d+\.\d{3,}", lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), svg)
    return re.sub(r"\bd=\"[^\"]*\"", lambda m: " ".join(m[0].split()), svg)


def _panels(svg: str, canvas: Canvas) -> list[str]:
    """Cut the figure's top-level groups into one SVG for each panel."""
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(svg)
    whole = next(group for group in root.iter(f"{{{SVG}}}g") if group.get("id") == "figure_1")
    shared = [ElementTree.tostring(d, encoding="unicode") for d in root.findall(f"{{{SVG}}}defs")]
    total = canvas.figure.get_size_inches()[1]
    found = []
    for number, panel in enumerate(canvas.panels):
        groups = [
            ElementTree.tostring(group, encoding="unicode")
            for group in whole
            if str(group.get("id")).startswith(f"panel-{panel.name}-")
        ]
        # Clip paths and the like stand once at the end of the document: they go with the first panel.
        body = "".join((shared if number == 0 else []) + groups)
        found.append(_wrap(_page_ready(body, canvas.name), panel, total))
    return found


def _wrap(body: str, panel: Panel, total: float) -> str:
    x, y = panel.x * POINTS, (total - panel.y - panel.height) * POINTS
    view = f"{x:.1f} {y:.1f} {panel.width * POINTS:.1f} {panel.height * POINTS:.1f}"
    label = panel.description.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return f'<svg viewBox="{view}" role="img" aria-label="{label}">{body}</svg>'


def _page_ready(body: str, prefix: str) -> str:
    body = re.sub(r'\sxmlns(?::\w+)?="[^"]*"', "", body)
    body = body.replace("xlink:href", "href")
    body = re.sub(r'\bid="', f'id="{prefix}-', body)
    body = re.sub(r"url\(#", f"url(#{prefix}-", body)
    body = re.sub(r'href="#', f'href="#{prefix}-', body)
    swap = {**VARIABLES, **{light: name for light, (name, _, _) in css_variables().items()}}
    return re.sub(r"#[0-9a-f]{6}\b", lambda m: f"var({swap[m[0]]})" if m[0] in swap else m[0], body)
