"""The verdict as Markdown for a CI log, and as plain text for a terminal. Pure."""

import textwrap
from collections.abc import Iterator, Sequence

from bench.analysis import Analysis, Figures
from bench.analysis.words import figure, seconds, size
from bench.report.columns import took_place

PLAN_WORDS = "How many workers for a rate and a promise of your own"
HEADINGS = ("part", "system", "workers", "load", "validity", "λ, jobs/s", "arrivals", "in time", "late",
            "rejected", "failed", "lost", "unfinished", "p50", "p95")  # fmt: skip


def markdown(analysis: Analysis, objectives: Sequence[str] = ()) -> str:
    """summary.md; `objectives` are lines of Markdown that go before the verdict."""
    run = analysis.run
    lines = [
        f"# {_escaped(run.title)}",
        "",
        f"`{run.id}` · {conditions(analysis)}",
        "",
        *objectives,
        _escaped(analysis.verdict.lead),
        "",
    ]
    lines += [f"- **{f.label}.** {_escaped(f.more)}" for f in analysis.verdict.findings if f.more]
    if hint := plan_hint(analysis):
        lines += ["", f"{PLAN_WORDS}: `{hint}`."]
    lines += ["", *_table(analysis)]
    if analysis.notes:
        lines += ["", "## To know", ""]
        lines += [
            f"- {'**' + _escaped(n.text) + '**' if n.tone == 'loud' else _escaped(n.text)}"
            for n in analysis.notes
        ]
    if run.command:
        lines += ["", f"Repeat with `{run.command}`."]
    return "\n".join(lines) + "\n"


def terminal(analysis: Analysis, width: int | None = None) -> str:
    """The verdict and what to know, wrapped to a terminal of so many columns; None: whole lines."""
    blocks = [_fill(analysis.verdict.lead, width)]
    blocks += [_fill(f"{f.label}: {f.more}", width, "- ") for f in analysis.verdict.findings if f.more]
    if hint := plan_hint(analysis):
        blocks += [f"{PLAN_WORDS}:", f"    {hint}"]
    notes = [_fill(n.text, width, "! " if n.tone != "note" else "· ") for n in analysis.notes]
    return "\n".join([*blocks, *(["", *notes] if notes else [])])


def plan_hint(analysis: Analysis) -> str:
    """The command that goes on from this run to a rate of the reader's own; empty where it can't."""
    if not analysis.verdict.findings or not analysis.groups.believable().loads or analysis.run.external:
        return ""
    return f"bench plan reports/{analysis.run.id} --rate 4/s --slo 'p95<2s'"


def conditions(analysis: Analysis) -> str:
    """Box, S and D in one line."""
    run = analysis.run
    box = (
        "nothing capped, nothing started" if run.external else f"{figure(run.cpus)} vCPU, {size(run.memory)}"
    )
    if not run.external and not run.capped and run.done:
        box += " (NOT CAPPED)"
    return f"{box} · S {seconds(run.service_time)} · D {seconds(run.deadline)}"


def _fill(text: str, width: int | None, mark: str = "") -> str:
    if width is None:
        return mark + text
    # Names of trials and paths are to be copied: never broken.
    return textwrap.fill(
        text,
        width,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_on_hyphens=False,
        break_long_words=False,
    )


def _table(analysis: Analysis) -> Iterator[str]:
    yield f"| {' | '.join(HEADINGS)} |"
    yield f"| --- | --- |{' ---: |' * (len(HEADINGS) - 2)}"
    for f in analysis.rows:
        if took_place(f):
            yield "| " + " | ".join(_cells(f)) + " |"


def _cells(f: Figures) -> list[str]:
    held = f.ledger
    counts = (held.arrivals, held.in_time, held.late, held.rejected, held.failed + held.dropped,
              held.lost, held.unfinished)  # fmt: skip
    percentiles = [f.response[0.5], f.response[0.95]]
    return [
        _escaped(f.trial.part),
        _escaped(f.trial.system.name),
        str(f.trial.system.workers),
        _escaped(f.trial.load.label),
        f.validity.grade,
        figure(f.rates.offered),
        *(f"{n:,}" for n in counts),
        *("–" if p is None else seconds(p) for p in percentiles),
    ]


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
