"""From the records of a storm to what was lost, wrong, doubled, and how soon it recovered. Pure.

Nothing here asks the system under test: it works on what users saw, what the journal of executions says and
what was struck.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isnan
from typing import Any

from bench.chaos.ledger import FINAL, JobRow, StrikeRow

NEAR = 2.0
"""Seconds around a strike within which a job counts as met by it."""
EXAMPLES = 20
"""Jobs of one sort that are named."""


@dataclass(frozen=True)
class Least:
    """What a storm must have had to prove anything."""

    kinds: Mapping[str, int]
    """Kind → strikes at least."""
    seams: Mapping[str, int]
    """Seam → hits at least."""
    near: float = 0.3
    """Share of the accepted jobs that were accepted or running within NEAR seconds of a strike."""


@dataclass(frozen=True)
class Recovery:
    """How soon after a strike a job was accepted, and had its result."""

    number: int
    name: str
    kind: str
    seconds: float | None
    """None: no job came through after it."""
    jobs: int
    """Jobs that were accepted after it: where there are none, nothing is known."""


@dataclass(frozen=True)
class Findings:
    """What a storm showed."""

    jobs: int
    submissions: int
    accepted: int
    refused: int
    """Jobs whose user gave up submitting."""
    done: int
    lost: int
    """Accepted, and without a final state when the drain was over, or unknown to the service."""
    wrong: int
    """Seen done, with another result than theirs."""
    failed: int
    """Accepted, and ended in another final state than done, though every job can be done."""
    changed: int
    """Seen final, and different when read again."""
    doubled_keys: int
    """Second jobs made by a submission repeated with the same key."""
    read_again: int
    """Jobs that were read again after they had been seen final."""
    executions: int
    completed: int
    """Executions that ended well."""
    failed_on_purpose: int
    cut: int
    """Executions that never ended: their process was killed."""
    duplicates: int
    """Completed executions beyond the first of a job: work done twice, results stored once."""
    duplicated_jobs: int
    resent_without_key: int
    """Jobs without a key that were submitted again: their repeats are jobs of their own."""
    near: float
    """See Least."""
    struck: dict[str, int]
    hits: dict[str, int]
    missed: int
    """Strikes of the plan that could not be carried out."""
    refusals: dict[str, int]
    recoveries: list[Recovery]
    lost_jobs: list[dict[str, Any]] = field(default_factory=list)
    bad_jobs: list[dict[str, Any]] = field(default_factory=list)
    unmet: list[str] = field(default_factory=list)
    """What the storm lacked, or what went wrong, one line each."""

    @property
    def ok(self) -> bool:
        """Whether nothing went wrong and the storm was heavy enough."""
        return not self.unmet

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def audit(
    rows: Sequence[JobRow],
    executions: Sequence[Mapping[str, Any]],
    strikes: Sequence[StrikeRow],
    least: Least,
    *,
    submissions: int | None = None,
) -> Findings:
    """Hold the books against one another."""
    accepted = [row for row in rows if row.accepted is not None]
    lost = [row for row in accepted if row.done is None or row.state not in FINAL]
    ended = [row for row in accepted if row.done is not None and row.state in FINAL]
    wrong = [row for row in ended if row.state == "done" and row.right is not True]
    failed = [row for row in ended if row.state != "done"]
    changed = [row for row in ended if row.changed]
    doubled = [row for row in rows if row.another]
    struck, hits = _counts(strikes)
    completed = Counter(str(e["job"]) for e in executions if e["ok"])
    resent = {row.request for row in rows if not row.keyed and row.tries > 1}
    extra = {job: n - 1 for job, n in completed.items() if n > 1 and job not in resent}
    near = near_share(accepted, executions, strikes)
    missed = sum(strike.began is None for strike in strikes)
    unmet = [
        *_wrongs(len(lost), len(wrong), len(failed), len(changed), len(doubled), len(rows) - len(accepted)),
        *too_few(struck, hits, near, least),
    ]
    return Findings(
        jobs=len(rows),
        submissions=submissions if submissions is not None else sum(row.tries for row in rows),
        accepted=len(accepted),
        refused=len(rows) - len(accepted),
        done=sum(row.state == "done" for row in ended),
        lost=len(lost),
        wrong=len(wrong),
        failed=len(failed),
        changed=len(changed),
        doubled_keys=len(doubled),
        read_again=sum(row.readings > 0 for row in ended),
        executions=len(executions),
        completed=sum(completed.values()),
        failed_on_purpose=sum(not e["ok"] and not isnan(e["end"]) for e in executions),
        cut=sum(isnan(e["end"]) for e in executions),
        duplicates=sum(extra.values()),
        duplicated_jobs=len(extra),
        resent_without_key=len(resent),
        near=near,
        struck=struck,
        hits=hits,
        missed=missed,
        refusals=dict(sum((Counter(row.refusals) for row in rows), Counter())),
        recoveries=recoveries(accepted, strikes),
        lost_jobs=[_evidence(row) for row in lost[:EXAMPLES]],
        bad_jobs=[_evidence(row) for row in [*wrong, *failed, *changed, *doubled][:EXAMPLES]],
        unmet=unmet,
    )


def _counts(strikes: Iterable[StrikeRow]) -> tuple[dict[str, int], dict[str, int]]:
    """Strikes carried out, by kind; seams hit, by name."""
    struck = Counter(s.kind for s in strikes if s.began is not None and not s.seam)
    hits = Counter(s.seam for s in strikes if s.began is not None and s.seam)
    return dict(struck), dict(hits)


def near_share(
    accepted: Sequence[JobRow], executions: Iterable[Mapping[str, Any]], strikes: Iterable[StrikeRow]
) -> float:
    """Share of the accepted jobs that were accepted or running within NEAR seconds of a strike.

    A strike is from its first instant to its end: a hang of ten seconds is one for ten seconds, a killed
    process is gone until it is started again.
    """
    spans = [(s.began - NEAR, (s.ended or s.began) + NEAR) for s in strikes if s.began is not None]
    ran: dict[str, list[tuple[float, float]]] = {}
    for e in executions:
        end = e["cut"] if isnan(e["end"]) else e["end"]
        ran.setdefault(str(e["job"]), []).append((float(e["start"]), float(end)))

    def met(row: JobRow) -> bool:
        assert row.accepted is not None  # the caller passes accepted ones only
        moments = [(row.accepted, row.accepted), *ran.get(row.request, [])]
        return any(begin <= last and end >= first for begin, end in moments for first, last in spans)

    return sum(map(met, accepted)) / len(accepted) if accepted else 0.0


def recoveries(accepted: Sequence[JobRow], strikes: Iterable[StrikeRow]) -> list[Recovery]:
    """For each strike: the first instant at which a job submitted and accepted after it was done.

    An answer may be read after a strike that it left before. The end is by the service's own word where it
    gives one (it is the same machine's clock): users look now and then only.
    """
    ended = [
        (row.asked, min(row.done, row.stamp or row.done))
        for row in accepted
        if row.state == "done" and row.done is not None
    ]
    found = []
    for s in strikes:
        if s.began is None:
            continue
        after = [max(done, at) for at, done in ended if at is not None and at > s.began]
        jobs = sum(row.asked is not None and row.asked > s.began for row in accepted)
        seconds = round(min(after) - s.began, 3) if after else None
        found.append(Recovery(s.number, s.name, s.kind, seconds, jobs))
    return found


def timeline(rows: Iterable[JobRow], strikes: Iterable[StrikeRow]) -> dict[str, Any]:
    """Jobs accepted and ended in each second, and when what was struck; seconds from the first submission."""
    rows = [row for row in rows if row.sent is not None]
    start = min((row.sent for row in rows if row.sent is not None), default=0.0)
    accepted = Counter(int(row.accepted - start) for row in rows if row.accepted is not None)
    ended = Counter(int(min(row.done, row.stamp or row.done) - start) for row in rows if row.done is not None)
    last = max([*accepted, *ended], default=-1)
    return {
        "accepted": [accepted[n] for n in range(last + 1)],
        "ended": [ended[n] for n in range(last + 1)],
        "strikes": [
            [round(s.began - start, 2), round((s.ended or s.began) - start, 2), s.name]
            for s in strikes
            if s.began is not None
        ],
    }


def too_few(struck: Mapping[str, int], hits: Mapping[str, int], near: float, least: Least) -> list[str]:
    """What the storm lacked to prove anything."""
    lacking = [
        f"too few strikes: {kind} {struck.get(kind, 0)} of {n}"
        for kind, n in least.kinds.items()
        if struck.get(kind, 0) < n
    ]
    lacking += [
        f"too few hits of a seam: {seam} {hits.get(seam, 0)} of {n}"
        for seam, n in least.seams.items()
        if hits.get(seam, 0) < n
    ]
    if near < least.near:
        lacking.append(
            f"too few jobs met by a strike: {near:.0%} were accepted or running within {NEAR:g} s of one, "
            f"{least.near:.0%} are needed"
        )
    return lacking


def _wrongs(lost: int, wrong: int, failed: int, changed: int, doubled: int, refused: int) -> list[str]:
    said = (
        (lost, "accepted and lost"),
        (wrong, "with a wrong result"),
        (failed, "ended in another state than done"),
        (changed, "changed after having been seen final"),
        (doubled, "made twice under one Idempotency-Key"),
        (refused, "never accepted, however often they were submitted"),
    )
    return [f"{n} {'job' if n == 1 else 'jobs'} {what}" for n, what in said if n]


def _evidence(row: JobRow) -> dict[str, Any]:
    return {
        "request": row.request,
        "id": row.id,
        "accepted": row.accepted,
        "state": row.state,
        "unknown": row.unknown,
        "problem": row.problem,
        "changed": row.changed,
        "another": row.another,
        "keyed": row.keyed,
        "fails": row.fails,
        "tries": row.tries,
        "refusals": row.refusals,
    }
