"""The validity gate from end to end: real trials audited, an INVALID one on the page, and the exit code.

Real services for the audits; the rest stands here because drawing takes seconds.
"""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.colors import to_hex
from rich.console import Console
from small_trial import small_trial
from synthetic import from_text

from bench import exits, report, request, run
from bench.charts import charts, context
from bench.charts.palette import PAPER
from bench.charts.style import drawing
from bench.execution import worth_another
from bench.plan import Load, Trial
from bench.records import RunFolder
from bench.report.reading import read
from bench.spec import parse
from bench.stack.local import Local
from bench.stack.services import Services
from bench.sweep import Result
from bench.trial import execute

TEXT = """
task = "spin"
input = { seconds = 0.25, gil = "held" }
deadline = "6S"
poll_interval = "1S"
[[parts]]
name = "load"
shows = "load"
systems = ["gunicorn", "queued"]
rates = ["0.5C", "2C"]
window = "12s"
[[parts]]
name = "burst"
shows = "burst"
systems = ["gunicorn", "queued"]
arrivals = "burst"
sizes = [12]
"""


@pytest.fixture
def a_run(tmp_path: Path) -> Path:
    """A run without a fault."""
    return from_text(TEXT, tmp_path / "run")


def spoil(path: Path, *names: str) -> list[str]:
    """Let the generator have been late by four seconds in the trials with these names in them."""
    folder = RunFolder(path)
    jobs = folder.read("jobs")
    chosen = [t for t in jobs["trial"].unique() if any(name in t for name in names)]
    for trial in chosen:
        own = jobs[jobs["trial"] == trial]
        folder.write_part("jobs", trial, own.assign(sent=own["arrival"] + 4.0))
    return chosen


def rows(path: Path) -> dict[str, dict[str, str]]:
    """trials.csv by trial."""
    with (path / "trials.csv").open(encoding="utf-8") as file:
        return {row["trial"]: row for row in csv.DictReader(file)}


def hollow_markers(path: Path) -> dict[str, int]:
    """Markers with a white face in each chart."""
    analysis = read(path)
    shared, found = context(analysis), {}
    for chart in charts(analysis):
        with drawing(chart.name):
            figure = chart.draw(shared).figure
            lines = [line for axes in figure.axes for line in axes.get_lines() if len(line.get_xdata())]
            marked = [line for line in lines if line.get_marker() not in ("", "None", "x", "_", None)]
            white = [m for m in marked if to_hex(m.get_markerfacecolor()) == to_hex(PAPER)]
            bars = [
                p for axes in figure.axes for p in axes.patches if to_hex(p.get_facecolor()) == to_hex(PAPER)
            ]
            found[chart.name] = len(white) + (len(bars) if chart.name == "timeouts" else 0)
    return found


# --- on the page


@pytest.mark.usefixtures("undrawn")  # on the page; every chart is looked at by itself
def test_a_run_without_a_fault_says_so_and_draws_nothing_hollow(a_run: Path) -> None:
    """Below capacity VALID, above it SATURATED, and every chart is full."""
    report.build(a_run)
    grades = {name: row["validity"] for name, row in rows(a_run).items()}
    assert {grade for name, grade in grades.items() if "-0.5C-" in name} == {"VALID"}
    assert {grade for name, grade in grades.items() if "-2C-" in name} == {"SATURATED"}
    page = (a_run / "index.html").read_text()
    assert page.count('class="badge valid"') + page.count('class="badge saturated"') == 6
    assert "badge invalid" not in page
    assert "drawn hollow is INVALID" not in page
    assert set(hollow_markers(a_run).values()) == {0}


@pytest.mark.usefixtures("undrawn")
def test_an_invalid_trial_is_hollow_and_takes_no_part_in_the_verdict(a_run: Path) -> None:
    """Its row has a badge and its reason, its points are hollow, and no finding speaks of it."""
    before = read(a_run).verdict
    (spoiled,) = spoil(a_run, "load-queued-w2-2C")
    report.build(a_run)
    row = rows(a_run)[spoiled]
    assert row["validity"] == "INVALID"
    assert row["reasons"].startswith("send_delay: The load generator was late")
    page = (a_run / "index.html").read_text()
    assert page.count('class="badge invalid"') == 1
    assert "drawn hollow is INVALID" in page
    for text in (page, (a_run / "summary.md").read_text(), report.summary_text(a_run)):
        assert f"{spoiled} is INVALID" in text.replace("\n  ", " ")
    overload = {f.key: f.text for f in read(a_run).verdict.findings}["overload"]
    assert "queued:" in {f.key: f.text for f in before.findings}["overload"]
    assert "queued" not in overload
    white = hollow_markers(a_run)
    assert white["goodput"] == 1
    assert white["response-time"] >= 1
    assert white["timeouts"] >= 2
    assert white["percentile-curve"] == 1
    assert white["burst-12"] == 0


def test_a_hollow_burst_is_hollow_too(a_run: Path) -> None:
    """Every mark of it."""
    spoil(a_run, "burst-queued")
    assert hollow_markers(a_run)["burst-12"] == 1
    findings = {f.key: f.text for f in read(a_run).verdict.findings}
    assert "queued" not in findings["burst"]


def test_of_repeats_the_believable_ones_count(tmp_path: Path) -> None:
    """One of two is INVALID: the point is the other one's, and full."""
    path = from_text("repeats = 2\n" + TEXT, tmp_path / "run")
    spoil(path, "queued-w2-2C-r1")
    (group,) = read(path).groups.loads
    points = {p.trial.load.label: p for s in group.series if s.name == "queued" for p in s.points}
    assert [f.trial.repeat for f in points["2C"].repeats] == [2]
    assert not points["2C"].hollow
    assert len(points["0.5C"].repeats) == 2
    assert hollow_markers(path)["goodput"] == 0


def test_where_everything_is_invalid_there_is_no_verdict(a_run: Path) -> None:
    """It says so, and why; the page is there all the same."""
    spoil(a_run, "")
    page = report.build(a_run).read_text()
    lead = read(a_run).verdict.lead
    assert lead.startswith("There is no verdict: all 6 trials are INVALID.")
    assert "The load generator was late" in lead
    assert read(a_run).verdict.findings == ()
    assert "every trial is INVALID" in page
    assert report.summary_text(a_run).startswith("There is no verdict")


@pytest.mark.usefixtures("undrawn")
def test_a_trial_that_was_measured_again_says_so(a_run: Path) -> None:
    """How often, and why the earlier attempts do not count, in run.json; on the page in a note."""
    data = json.loads((a_run / "run.json").read_text())
    name = next(iter(data["results"]))
    data["results"][name] |= {"attempts": 2, "again": ["send_delay"]}
    (a_run / "run.json").write_text(json.dumps(data))
    page = report.build(a_run).read_text()
    assert f"Measured again because an earlier attempt was INVALID: {name}." in page
    assert rows(a_run)[name]["attempts"] == "2"


@pytest.mark.parametrize("odd", ["loop", "cpu", "ready", "requests", "throttled_periods"])
def test_samples_that_make_no_sense_are_no_traceback(a_run: Path, odd: str) -> None:
    """Not a number, negative, endless, all at one instant: each trial is judged all the same."""
    folder = RunFolder(a_run)
    resources = folder.read("resources")
    for trial, own in resources.groupby("trial"):
        strange = own.head(40).assign(
            metric=odd,
            subject={"loop": "canary", "ready": "queue", "requests": "gateway"}.get(odd, "generator"),
            value=[float("nan"), -5.0, float("inf"), 1e300] * 10,
            t=own["t"].iloc[0],
        )
        folder.write_part("resources", str(trial), strange)
    assert {f.validity.grade for f in read(a_run).done} <= {"VALID", "SATURATED", "INVALID"}
    assert report.summary_text(a_run)


# --- the exit code


@pytest.mark.parametrize(
    ("spoiled", "failed", "code"),
    [
        ((), False, exits.FINE),
        (("burst-queued",), False, exits.INVALID),
        (("burst-queued",), True, exits.FAILED),
    ],
)
def test_the_exit_code_says_whether_the_run_can_be_believed(
    a_run: Path, monkeypatch: pytest.MonkeyPatch, spoiled: tuple[str, ...], failed: bool, code: int
) -> None:
    """3 if a trial is still INVALID at the end; 1 wins where one failed."""
    spoil(a_run, *spoiled)
    results = {"001": Result("failed" if failed else "done")}
    monkeypatch.setattr(run, "_measure", lambda *_: results)
    monkeypatch.setattr(report, "build", lambda path: path / "index.html")
    asked = request.Request(parse(TEXT, "test"), RunFolder(a_run), "bench run test")
    assert run.run(asked, Console(quiet=True)) == code


def test_only_what_another_attempt_may_cure_is_measured_again(a_run: Path) -> None:
    """A late generator; not books that do not balance."""
    (late,) = spoil(a_run, "burst-queued")
    folder = RunFolder(a_run)
    executions = folder.read("executions")
    other = next(t for t in executions["trial"].unique() if "load-queued" in t)
    own = executions[executions["trial"] == other]
    folder.write_part("executions", other, own.assign(job="nobody-" + own["job"]))
    assert read(a_run).run.finished
    assert {f.trial.id for f in read(a_run).done if not f.validity.believable} == {late, other}
    assert worth_another(folder) == {late: "send_delay"}


# --- audited for real


@pytest.mark.integration
@pytest.mark.parametrize("name", ["queued", "gunicorn"])
def test_a_real_trial_of_short_jobs_is_audited_and_agrees(
    name: str, tmp_path: Path, services: Services
) -> None:
    """Two hundred jobs and more, counted by the broker or the gateway and by the clients: about the same."""
    path = RunFolder(tmp_path / "run")
    trial = _many_short(name)
    result = execute(trial, Local(services), path, lambda _: None)
    path.write_run({"trials": [trial.to_json()], "results": {trial.id: {"status": result.status}}})
    (f,) = read(path.path).done
    audit = f.littles_law
    assert audit.jobs >= 200
    assert audit.samples >= 10
    assert audit.state in ("agrees", "disagrees"), audit
    assert abs(audit.difference) < max(3.0, 0.5 * audit.recorded), audit
    samples = path.read("resources")
    told = set(zip(samples["subject"], samples["metric"], strict=True))
    assert {("gateway", "requests"), ("generator", "processes"), ("canary", "loop")} <= told


def _many_short(name: str) -> Trial:
    """Five and a half seconds of 40 short jobs a second."""
    return replace(
        small_trial(name, job_input=0.02),
        load=Load("constant", rate=40.0, window=5.5, warmup=0.5, label="40/s"),
        poll_interval=0.5,
        drain_limit=60.0,
        deadline=30.0,
        gateway_timeout=30.0,
    )
