"""What the self-test makes of records: sound ones pass, and whatever is off by too much does not."""

import shutil
from dataclasses import replace

import played_selftest
import pytest

from bench.records import RunFolder, RunFolderError
from bench.selftest.broken import DEFECTS
from bench.selftest.catalogue import full, quick
from bench.selftest.checks import Check
from bench.selftest.judging import Findings, disturbed, evidence, judge, measured, scenario_checks
from bench.selftest.tool import Reading


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> RunFolder:
    """A perfect self-test, made once."""
    return played_selftest.write(tmp_path_factory.mktemp("selftest") / "run")


@pytest.fixture(scope="module")
def found(folder) -> Findings:
    """What it is judged to be, once."""
    return judge(folder, quick())


def copied(folder: RunFolder, tmp_path) -> RunFolder:
    """A copy to be spoiled."""
    return RunFolder(shutil.copytree(folder.path, tmp_path / "run"))


def changed(folder: RunFolder, tmp_path, scenario: str, change) -> set[str]:
    """Which figures of a scenario are missed when its jobs are changed."""
    run = copied(folder, tmp_path)
    jobs = folder.read("jobs")
    run.write_part("jobs", scenario, change(jobs[jobs["trial"] == scenario].copy()))
    one = quick().scenario(scenario)
    seen = evidence(run, [one], None)
    got = measured(seen, [one])[scenario][1]
    return {check.figure for check in scenario_checks(seen, one, got, "") if not check.passed}


def missed(findings: Findings) -> set[tuple[str, str]]:
    return {(check.scenario, check.figure) for check in findings.checks if not check.passed}


def test_a_harness_that_tells_the_truth_passes(found):
    """Every figure of every scenario agrees, and there are many."""
    assert found.unmet == []
    assert len(found.checks) > 150
    assert {check.scenario for check in found.checks} == {s.name for s in quick().scenarios}


def test_the_whole_self_test_has_every_figure_somewhere(tmp_path):
    """p50, p99 and p99.9 are really compared, and each way to end does happen."""
    findings = judge(played_selftest.write(tmp_path / "run", full()), full())
    assert findings.unmet == []
    real = {check.figure for check in findings.checks if check.truth}
    assert real >= {
        "p50",
        "p99",
        "p99.9",
        "timeout rate",
        "lost",
        "executed twice",
        "not sent",
        "errors",
        "504",
    }
    assert {check.limit for check in findings.checks if check.figure == "p99.9"} == {0.05}


@pytest.mark.parametrize("defect", DEFECTS)
def test_every_broken_harness_is_noticed(folder, found, defect):
    """By itself, and as part of every self-test."""
    assert missed(judge(folder, quick(), broken=defect))
    assert found.noticed[defect] > 0


def test_a_self_test_that_notices_no_defect_is_at_fault(found):
    """It says so of itself, instead of praising the harness."""
    findings = replace(found, noticed={"from-send": 0})
    assert findings.unmet == [
        "a harness with the defect from-send was not noticed: the self-test itself is at fault"
    ]


@pytest.mark.parametrize(("factor", "noticed"), [(1.01, False), (1.03, True), (0.97, True)])
def test_times_may_be_off_by_two_percent(folder, tmp_path, factor, noticed):
    """1 % passes, 3 % does not, either way."""
    off = changed(
        folder,
        tmp_path,
        "fixed",
        lambda jobs: jobs.assign(done=jobs["arrival"] + (jobs["done"] - jobs["arrival"]) * factor),
    )
    assert ("p50" in off) is noticed


@pytest.mark.parametrize("scenario", ["drops", "lies", "late", "duplicates", "plain"])
def test_a_count_that_is_off_by_one_is_noticed(folder, tmp_path, scenario):
    """One job left out of the records, of any kind."""
    assert "arrivals" in changed(folder, tmp_path, scenario, lambda jobs: jobs.iloc[1:])


def test_a_job_counted_as_another_kind_is_noticed(folder, tmp_path):
    """A wrong result that passes for a right one."""

    def believe(jobs):
        row = jobs.index[jobs["outcome"] == "wrong"][0]
        jobs.loc[row, "outcome"] = "ok"
        return jobs

    off = changed(folder, tmp_path, "drops", believe)
    assert {"wrong results", "in time", "timeout rate"} <= off


def test_users_who_idle_are_noticed(folder, tmp_path):
    """Closed users with a pause between jobs are no longer the load that was asked for."""
    run = copied(folder, tmp_path)
    log = run.path / "servers" / "plain.jsonl"
    rows = log.read_text().splitlines(keepends=True)
    log.write_text("".join(rows[: len(rows) // 2]))
    assert ("plain", "users at the server") in missed(judge(run, quick()))


def test_an_independent_tool_must_agree(folder):
    """Within 2 % or 2 ms, for the median, the mean and the rate."""
    ours = measured(evidence(folder, quick().scenarios, None), quick().scenarios)["plain"][1]
    same = Reading("wrk", 8, ours.response[0.5] + 0.001, ours.mean_response + 0.001, ours.rates.throughput)
    assert judge(folder, quick(), ("wrk", same)).unmet == []
    slower = replace(same, median=same.median - 0.008, rate=1.2 * same.rate)
    assert missed(judge(folder, quick(), ("wrk", slower))) == {
        ("plain", "p50, by wrk"),
        ("plain", "time a job, from the rate, by wrk"),
    }
    assert judge(folder, quick(), ("wrk", None)).unmet == [
        "wrk measured the same server and said nothing that can be read"
    ]


def test_a_stall_that_nobody_sees_fails(found):
    """The demonstration must demonstrate."""
    assert found.effect.shown
    assert not replace(found.effect, open=0.3).shown
    assert not replace(found.effect, closed=1.5).shown
    assert "the stall does not show" in replace(found, effect=replace(found.effect, open=0.3)).unmet[0]


def test_a_figure_that_only_one_side_has_is_missed():
    """Left out by both is fine; so is "not reached" by both."""
    inf = float("inf")
    sides = {(None, None): True, (None, 1.0): False, (1.0, None): False, (inf, inf): True, (inf, 1.0): False,
             (1.0, inf): False, (1.0, float("nan")): False, (0, 0): True, (0, 1): False}  # fmt: skip
    for (real, got), passed in sides.items():
        assert Check("s", "p50", "s", real, got, 0.02).passed is passed, (real, got)


def test_a_machine_that_stood_still_is_told_from_a_harness_that_errs(folder):
    """By the send delay, or by a pause; a generator that is held up on purpose is not blamed for it."""
    scenarios = {s.name: s for s in quick().scenarios}
    results = measured(evidence(folder, quick().scenarios, None), quick().scenarios)
    fixed, late = results["fixed"][1], results["late"][1]
    assert disturbed(scenarios["fixed"], fixed, 0.001) == ""
    assert "a pause of 80 ms" in disturbed(scenarios["fixed"], fixed, 0.08)
    assert "send delay 40 ms" in disturbed(scenarios["fixed"], replace(fixed, send_delay_p99=0.04), 0.0)
    assert disturbed(scenarios["late"], late, 0.0) == ""


def test_damaged_records_are_one_clear_line(folder, tmp_path):
    """No traceback for a log cut short, or for a scenario that was never measured."""
    run = copied(folder, tmp_path)
    log = run.path / "servers" / "fixed.jsonl"
    log.write_text(log.read_text()[:-20])
    with pytest.raises(RunFolderError, match=r"fixed\.jsonl can't be read"):
        judge(run, quick())
    (run.path / "events.parquet" / "fixed.parquet").unlink()
    with pytest.raises(RunFolderError, match="no records of the scenario fixed"):
        judge(run, quick())
