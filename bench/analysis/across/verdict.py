"""The verdict: all findings of a run, and the paragraph that opens page, summary and terminal. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.across.findings import Finding, costs, load, parts
from bench.analysis.across.findings.metastability import metastability, stairs
from bench.analysis.across.findings.stages import taken_apart
from bench.analysis.across.findings.theory import theory
from bench.analysis.across.findings.workers import workers
from bench.analysis.across.groups import LoadGroup, PartGroup, Point, WorkersGroup
from bench.analysis.across.shaped import Climbed, Pulsed
from bench.analysis.run import Run
from bench.analysis.trial.figures import Figures
from bench.analysis.trial.latency import Returns
from bench.analysis.words import count


@dataclass(frozen=True)
class Verdict:
    """Plain words and numbers."""

    lead: str
    """The opening paragraph."""
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Groups:
    """The pictures' material, by what it shows."""

    loads: tuple[LoadGroup, ...]
    workers: tuple[WorkersGroup, ...]
    bursts: tuple[PartGroup, ...]
    memory: tuple[PartGroup, ...]
    closed: tuple[PartGroup, ...]
    service_time: tuple[PartGroup, ...]
    pulses: tuple[Pulsed, ...] = ()
    stairs: tuple[Climbed, ...] = ()

    def believable(self) -> "Groups":
        """Without the trials that the validity gate rejected."""

        def kept(groups: tuple[PartGroup, ...]) -> tuple[PartGroup, ...]:
            return tuple(left for group in groups if (left := group.believable()) is not None)

        loads = (group.believable() for group in self.loads)
        workers = (group.believable() for group in self.workers)
        return Groups(
            loads=tuple(group for group in loads if group is not None),
            workers=tuple(group for group in workers if group is not None),
            bursts=kept(self.bursts),
            memory=kept(self.memory),
            closed=kept(self.closed),
            service_time=kept(self.service_time),
            pulses=self.pulses,  # which know their unbelievable repeats themselves
            stairs=self.stairs,
        )


def verdict(run: Run, figures: Sequence[Figures], groups: Groups, returns: Mapping[str, Returns]) -> Verdict:
    """Say what the run found, the most useful first. Trials that can't be believed take no part."""
    invalid = [f for f in figures if not f.validity.believable]
    if invalid and len(invalid) == len(figures):
        return Verdict(_unbelievable(invalid), ())
    if not any(f.ledger.delivered for f in figures):
        return Verdict(_nothing(run, figures), ())
    groups, figures = groups.believable(), [f for f in figures if f.validity.believable]
    found: list[Finding | None] = []
    for group in groups.loads[:1]:
        both = {s.queue for s in group.series if s.kind != "external"} == {True, False}
        found += [load.alike(group) if both else load.alone(group), load.overload(group) if both else None]
    found += [parts.burst(group, returns) for group in groups.bursts]
    found += [parts.memory(group) for group in groups.memory] or [parts.memory_not_run(run)]
    found += [parts.closed(group, returns) for group in groups.closed]
    found += [metastability(groups.pulses), stairs(groups.stairs)]
    found += workers(groups.workers)
    for group in groups.loads[:1]:
        found.append(load.bounded(group, _bursts_by_kind(groups.bursts)))
        found += [taken_apart(group), costs.besides(group), costs.wasted(group)]
    found.append(costs.published(figures))
    found += [parts.waiting(group) for group in groups.service_time]
    found.append(costs.polled(figures))
    found += [theory(group) for group in groups.loads[:1]]
    kept = tuple(f for f in found if f is not None)
    lead = " ".join(f.lead for f in kept if f.lead)
    return Verdict(lead or kept[0].text if kept else _bare(figures), kept)


def _bursts_by_kind(bursts: Sequence[PartGroup]) -> list[tuple[str, dict[str, Point]]]:
    return [(f"In the burst of {g.size}", {s.kind: s.points[0] for s in reversed(g.series)}) for g in bursts]


def _nothing(run: Run, figures: Sequence[Figures]) -> str:
    arrivals = sum(f.ledger.arrivals for f in figures)
    if not figures:
        return f"No trial of the {len(run.trials)} planned took place, so there is nothing to compare yet."
    return (
        f"No job finished in this run, so there is no verdict: {count(arrivals, 'job')} arrived in "
        f"{count(len(figures), 'trial')} and none got a correct result. The table says what became of them."
    )


def _unbelievable(figures: Sequence[Figures]) -> str:
    first = next(r for r in figures[0].validity.reasons if r.grade == "INVALID")
    which = "the only trial is" if len(figures) == 1 else f"all {len(figures)} trials are"
    return f"There is no verdict: {which} INVALID. {figures[0].trial.id}: {first.text} {first.advice}"


def _bare(figures: Sequence[Figures]) -> str:
    delivered = sum(f.ledger.delivered for f in figures)
    arrivals = sum(f.ledger.arrivals for f in figures)
    return f"{delivered:,} of {arrivals:,} jobs were delivered in {count(len(figures), 'trial')}."
