"""From a run folder to its page: trials.csv, charts, index.html, summary.md, from the raw records alone."""

from dataclasses import dataclass
from pathlib import Path

from bench.analysis import Analysis
from bench.records import RunFolderError
from bench.report import page, summary, table
from bench.report.reading import read

__all__ = ["Built", "RunFolderError", "build", "build_and_tell", "summary_text"]


@dataclass(frozen=True)
class Built:
    """What became of a run folder."""

    page: Path
    analysis: Analysis


def build(run: Path) -> Path:
    """Rebuild everything a run folder shows; return the page's path. Works offline and on unfinished runs.

    Raises RunFolderError with one clear line where the folder is not a run or is damaged, OSError where it
    can't be written.
    """
    return build_and_tell(run).page


def build_and_tell(run: Path) -> Built:
    """As `build`, with what it was made from: to read a million jobs twice takes seconds."""
    from bench import charts

    analysis = read(run)
    table.write(run / "trials.csv", analysis.rows)
    folder = run / "charts"
    folder.mkdir(exist_ok=True)
    for old in [*folder.glob("*.svg"), *folder.glob("*.png")]:
        old.unlink()
    shared = charts.context(analysis)
    shown = []
    for chart in charts.charts(analysis):
        picture = charts.picture(chart, shared)
        picture.save(folder)
        shown.append((chart, picture))
    (run / "summary.md").write_text(summary.markdown(analysis), encoding="utf-8")
    index = run / "index.html"
    index.write_text(page.render(analysis, shown, shared.palette), encoding="utf-8")
    return Built(index, analysis)


def summary_text(run: Path, width: int | None = None) -> str:
    """The verdict and what to know, for a terminal of so many columns. Raises RunFolderError like `build`."""
    return summary.terminal(read(run), width)
