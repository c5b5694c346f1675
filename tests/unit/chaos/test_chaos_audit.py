"""What the books say of a storm: by hand, on a few jobs."""

from dataclasses import replace
from math import isnan, nan
from typing import Any

from bench.chaos.audit import Least, audit
from bench.chaos.ledger import JobRow, StrikeRow

CALM = Least({}, {}, near=0.0)


def job(number: int, **changes: Any) -> JobRow:
    """A job that went well: accepted at 10 + number, done half a second later."""
    row = JobRow(
        number, f"r{number}", keyed=True, fails=False, due=float(number), sent=10.0 + number, tries=1,
        accepted=10.0 + number, id=f"id{number}", done=10.5 + number, state="done", right=True, digest="d",
        readings=1,
    )  # fmt: skip
    row.asked = changes.get("accepted", row.accepted)
    for name, value in changes.items():
        setattr(row, name, value)
    return row


def ran(number: int, start: float, end: float = nan, *, ok: bool = True) -> dict[str, Any]:
    """One execution."""
    return {
        "job": f"r{number}",
        "start": start,
        "end": end,
        "cut": start + 1,
        "ok": ok and not isnan(end),
        "pid": 1,
    }


STRIKE = StrikeRow(0, "kill-web", "kill-web", "web", "", 20.0, 20.0, 21.0)


def test_all_is_well() -> None:
    """Nothing lost, nothing wrong: no line of complaint."""
    found = audit([job(1), job(2)], [ran(1, 11, 11.2), ran(2, 12, 12.2)], [], CALM)
    assert found.ok
    assert (found.accepted, found.done, found.lost, found.wrong, found.duplicates) == (2, 2, 0, 0, 0)
    assert found.read_again == 2


def test_accepted_and_never_ended_is_lost() -> None:
    """Whatever state it is left in, and with its evidence."""
    rows = [
        job(1),
        job(2, done=None, state="queued", right=None),
        job(3, done=None, state="unknown", right=None),
        job(4, done=None, state="running", right=None),
    ]
    found = audit(rows, [], [], CALM)
    assert found.lost == 3
    assert [j["request"] for j in found.lost_jobs] == ["r2", "r3", "r4"]
    assert found.unmet == ["3 jobs accepted and lost"]


def test_never_accepted_is_not_lost_but_told() -> None:
    """No promise was given; but a careful user must be let in in the end."""
    found = audit([job(1, accepted=None, done=None, state="", id="")], [], [], CALM)
    assert (found.lost, found.refused) == (0, 1)
    assert not found.ok


def test_each_wrong_is_counted() -> None:
    """A wrong result, another final state, a change after the end, a second job under one key."""
    rows = [
        job(1, right=False),
        job(2, right=None),
        job(3, state="failed", right=None),
        job(4, changed="done → queued"),
        job(5, another="id99"),
    ]
    found = audit(rows, [], [], CALM)
    assert (found.wrong, found.failed, found.changed, found.doubled_keys) == (2, 1, 1, 1)
    assert len(found.unmet) == 4


def test_executions_are_counted() -> None:
    """Done twice, failed on purpose, cut off."""
    executions = [
        ran(1, 11, 11.2),
        ran(1, 13, 13.2),
        ran(2, 12, 12.1, ok=False),
        ran(2, 13, 13.1),
        ran(3, 13),
        ran(3, 15, 15.1),
    ]
    found = audit([job(1), job(2), job(3)], executions, [], CALM)
    assert (found.executions, found.completed) == (6, 4)
    assert (found.duplicates, found.duplicated_jobs) == (1, 1)
    assert (found.failed_on_purpose, found.cut) == (1, 1)


def test_a_job_submitted_again_without_a_key_is_two_jobs() -> None:
    """That is what its user asked for: not a duplicate of the service's making."""
    rows = [job(1, keyed=False, tries=2)]
    found = audit(rows, [ran(1, 11, 11.2), ran(1, 13, 13.2)], [], CALM)
    assert (found.duplicates, found.resent_without_key) == (0, 1)


def test_recovery_is_until_a_job_accepted_afterwards_is_done() -> None:
    """A job accepted before the strike proves nothing."""
    rows = [job(9, accepted=19.9, done=20.1), job(12, accepted=23.0, done=24.5), job(13)]
    found = audit(rows, [], [STRIKE], CALM)
    assert [r.seconds for r in found.recoveries] == [3.5]
    late_answer = job(9, asked=19.9, accepted=20.05, done=20.1)
    assert [r.jobs for r in audit([late_answer], [], [STRIKE], CALM).recoveries] == [0]
    never = audit([job(15, right=None, state="failed")], [], [STRIKE], CALM)
    assert [r.seconds for r in never.recoveries] == [None]


def test_met_by_a_strike() -> None:
    """Accepted or running within two seconds of it, from its beginning to its end."""
    rows = [job(1), job(8, accepted=18.5), job(13, accepted=22.9), job(15)]
    assert audit(rows, [], [STRIKE], CALM).near == 0.5
    assert audit(rows, [ran(1, 11.0, 18.1)], [STRIKE], CALM).near == 0.75
    cut_off = {**ran(15, 40.0), "cut": 41.0}
    assert audit(rows, [cut_off], [STRIKE], CALM).near == 0.5


def test_too_few_is_a_failure() -> None:
    """A storm that did not happen proves nothing; each lack has its line."""
    missed = replace(STRIKE, number=1, kind="kill-store", name="kill-store", began=None, ended=None)
    hit = StrikeRow(2, "seam", "seam after-store", "", "after-store", 20.0, 20.5, 20.5)
    least = Least({"kill-web": 1, "kill-store": 1}, {"after-store": 1, "after-record": 1}, near=0.3)
    found = audit([job(1)], [], [STRIKE, missed, hit], least)
    assert found.struck == {"kill-web": 1}
    assert found.hits == {"after-store": 1}
    assert found.missed == 1
    assert found.unmet[:2] == [
        "too few strikes: kill-store 0 of 1",
        "too few hits of a seam: after-record 0 of 1",
    ]
    assert "0% were accepted or running within 2 s of one, 30% are needed" in found.unmet[2]
