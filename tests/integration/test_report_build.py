"""A run folder becomes a page, a table, charts and a summary, offline, whatever state the run is in.

No service is needed; it stands here because drawing takes seconds.
"""

import csv
import json
import re
import shutil
from dataclasses import replace

import pytest
from synthetic import SYSTEMS, from_text, plan, write_run

from bench import report
from bench.records import FORMAT, RunFolder, RunFolderError
from bench.spec import parse

SMALL = """
task = "spin"
input = { seconds = 0.25, gil = "held" }
deadline = "6S"
poll_interval = "1S"
[[parts]]
name = "load"
shows = "load"
systems = ["gunicorn", "queued"]
rates = ["0.5C", "2C"]
window = "4s"
"""
MEMORY = """
[[parts]]
name = "memory"
shows = "memory"
systems = ["blocking", "queued"]
arrivals = "burst"
sizes = [6]
task = "memory"
input = { mb = 600, seconds = 1.0 }
needs_memory_cap = true
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A small run and its page."""
    run = from_text(SMALL, tmp_path_factory.mktemp("report") / "run")
    return report.build(run).parent


def rows(run):
    with (run / "trials.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_everything_that_is_promised_is_written(built):
    """Page, summary, table, and each chart as SVG and PNG."""
    assert {p.name for p in built.iterdir() if p.is_file()} == {
        "run.json",
        "index.html",
        "summary.md",
        "trials.csv",
    }
    charts = {p.name for p in (built / "charts").iterdir()}
    names = {"response-time", "accept-latency", "goodput", "timeouts", "timeline-overload"}
    names |= {"stages", "overhead", "wasted-work"}
    assert {f"{n}.{kind}" for n in names for kind in ("svg", "png")} <= charts


def test_the_page_shows_where_the_time_went_and_says_it(built):
    """The parts of the response time, the CPU besides the task, the wasted work: as chart and sentence."""
    page = (built / "index.html").read_text()
    for name, words in (
        ("stages", "medians do not add up"),
        ("overhead", "Besides its task a job costs"),
        ("wasted-work", "the share that no user had any use of"),
    ):
        figure = re.search(rf'<figure id="chart-{name}".*?</figure>', page, re.DOTALL)
        assert figure, name
        assert words in re.sub(r"<[^>]+>", "", figure[0]).replace("\n", " ")
    for key in ("stages", "overhead", "waste"):
        assert f'id="finding-{key}"' in page


def test_the_stages_in_the_table_sum_to_the_mean_response_time(built):
    """Mean by mean, in every trial whose jobs were all delivered and taken apart."""
    stages = ("send_delay", "accept", "wait", "service", "discovery")
    whole = [r for r in rows(built) if 0 < int(r["arrivals"]) == int(r["taken_apart"])]
    assert whole
    for row in whole:
        total = sum(float(row[f"{stage}_mean_s"]) for stage in stages)
        assert total == pytest.approx(float(row["response_mean_of_delivered_s"]), rel=1e-3)


def test_the_page_needs_nothing_from_anywhere(built):
    """No script, style, font or picture is fetched; links go into the folder only."""
    page = (built / "index.html").read_text()
    assert not re.findall(r"https?://(?!www\.w3\.org)", page)
    assert not re.findall(r"<(?:script|img|iframe)[^>]+src=|<link[^>]+stylesheet|@import|@font-face", page)
    for target in re.findall(r'href="([^"#][^"]*)"', page):
        assert target.startswith("data:") or (built / target).exists(), target


def test_the_table_has_one_row_a_trial_and_its_books_balance(built):
    """Units in the names of the columns; the fates sum to the arrivals."""
    table = rows(built)
    assert len(table) == 4
    for row in table:
        fates = ("in_time", "late", "rejected", "failed", "dropped", "lost", "unfinished")
        assert sum(int(row[c]) for c in fates) == int(row["arrivals"])
        assert sum(int(row[c]) for c in ("gateway_timeout", "gave_up", "error", "wrong")) == int(
            row["failed"]
        )
        assert row["balanced"] == "balanced"
        assert float(row["offered_per_s"]) > 0
    assert {"response_p50_s", "goodput_per_s", "memory_peak_bytes", "send_delay_p99_s"} <= set(table[0])


def test_the_summary_and_the_terminal_tell_the_pages_verdict(built):
    """One verdict, three places."""
    lead = report.summary_text(built).splitlines()[0]  # whole, for those who read a pipe
    assert lead
    assert lead in (built / "summary.md").read_text()
    page = re.sub(r"<[^>]+>", "", (built / "index.html").read_text()).replace("\u00a0", " ")
    assert lead[:40] in page
    assert max(map(len, report.summary_text(built, width=100).splitlines())) <= 100


def test_the_page_says_how_to_repeat_the_run_and_under_which_caps(built):
    """The command, the rebuild, the caps read back, the calibration."""
    page = (built / "index.html").read_text()
    for words in (
        "bench run quick",
        f"bench report reports/{built.name}",
        "1.5 vCPU, 2 GiB, by cgroup1",
        "× 1.04",
    ):
        assert words in page
    assert "NOT CAPPED" not in page


def test_rebuilding_gives_the_same_files_and_clears_old_charts(built, tmp_path):
    """From the raw records alone, byte by byte."""
    copy = tmp_path / "run"
    shutil.copytree(built, copy)
    for made in ("index.html", "summary.md", "trials.csv"):
        (copy / made).unlink()
    (copy / "charts" / "old.svg").write_text("from an earlier version")
    report.build(copy)
    for made in ("index.html", "summary.md", "trials.csv", "charts/goodput.svg", "charts/goodput.png"):
        assert (copy / made).read_bytes() == (built / made).read_bytes(), made
    assert not (copy / "charts" / "old.svg").exists()


def test_an_interrupted_run_shows_what_there_is(tmp_path):
    """Two of four trials: a page of these, loudly incomplete, with the way on."""
    page = report.build(from_text(SMALL, tmp_path / "run", only=2)).read_text()
    assert "The run was interrupted: 2 of 4 trials took place" in page
    assert "bench run --resume reports/run" in page
    assert [r["status"] for r in rows(tmp_path / "run")].count("pending") == 2


def test_a_run_without_any_cap_says_so_loudly(tmp_path):
    """At the top of the page, in the conditions, and why the memory failure is missing."""
    page = report.build(from_text(SMALL + MEMORY, tmp_path / "run", capped=False)).read_text()
    assert page.count('class="loud"') == 2
    assert "CPU was NOT CAPPED: this user may not make control groups" in page
    assert "The memory failure was not run: memory is not capped here (no right to)." in page
    assert "NOT CAPPED" in (tmp_path / "run" / "charts" / "goodput.svg").read_text()


def test_a_run_in_which_nothing_finished_has_a_page(tmp_path):
    """Even one without a single record."""
    page = report.build(from_text(SMALL, tmp_path / "run", only=0)).read_text()
    assert "No trial of the 4 planned took place" in page
    assert "No trial of the 4 planned took place" in report.summary_text(tmp_path / "run")


def test_a_run_in_which_every_job_failed_shows_what_was_wasted_and_invents_no_stage(tmp_path):
    """All work was for nobody; there is no response time to take apart."""
    run = from_text(SMALL, tmp_path / "run")
    folder = RunFolder(run)
    jobs = folder.read("jobs").assign(outcome="error")
    for name, part in jobs.groupby("trial"):
        folder.write_part("jobs", str(name), part)
    page = report.build(run).read_text()
    assert "No job finished in this run" in page
    assert 'id="chart-stages"' not in page
    assert 'id="chart-overhead"' not in page
    assert "100\u00a0% with" in page[page.index('id="chart-wasted-work"') :]


def test_an_external_services_time_is_taken_apart_by_its_own_word(tmp_path):
    """No journal, no samples: Server-Timing places the run, and the page says so."""
    trials, works = plan(parse(SMALL, "test"))
    theirs = [replace(t, system=SYSTEMS["external"]) for t in trials if t.system.name == "gunicorn"]
    page = report.build(write_run(tmp_path / "run", theirs, works)).read_text()
    assert 'id="chart-stages"' in page
    assert "taken apart by the service&#39;s own Server-Timing" in page
    assert 'id="chart-overhead"' not in page
    assert 'id="chart-wasted-work"' not in page


@pytest.mark.usefixtures("undrawn")
def test_a_failed_trial_is_reported_with_its_reason(tmp_path):
    """In the notes and in the table."""
    run = from_text(SMALL, tmp_path / "run")
    data = json.loads((run / "run.json").read_text())
    first = next(iter(data["results"]))
    data["results"][first] = {"status": "failed", "reason": "RabbitMQ did not start; see its log", "caps": {}}
    (run / "run.json").write_text(json.dumps(data))
    page = report.build(run).read_text()
    assert f"Trial {first} failed: RabbitMQ did not start; see its log." in page


def test_what_others_named_can_not_inject_markup(tmp_path):
    """Titles, notes, reasons, tasks and errors are text."""
    evil = "<script>alert(1)</script>"
    run = from_text(
        SMALL,
        tmp_path / "run",
        experiment={"name": "x", "title": evil},
        notes=[evil],
        command=f"bench {evil}",
        environment={"cpu": evil, "libraries": {"a": evil}},
        id=evil,
    )
    page = report.build(run).read_text()
    assert evil not in page
    assert page.count("&lt;script&gt;alert(1)") >= 5
    assert (run / "summary.md").read_text().startswith("# &lt;script>")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "has no run.json"),
        ("{", "can't be read"),
        ("[]", "not a run description"),
        (f'{{"format": {FORMAT + 1}}}', "later Queuebench"),
        ('{"format": 1}', "does not describe a run"),
        ('{"format": 1, "trials": [{"id": "x"}]}', "does not describe a run"),
        ('{"format": 1, "trials": 3}', "does not describe a run"),
        ('{"format": 1, "trials": [], "results": [1]}', "does not describe a run"),
        ('{"format": 1, "trials": [], "calibration": [{}]}', "does not describe a run"),
    ],
)
def test_a_folder_that_is_no_run_is_refused_in_one_clear_line(tmp_path, content, words):
    """Missing, broken, foreign, later, or with half of what it takes."""
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    for function in (report.build, report.summary_text):
        with pytest.raises(RunFolderError) as caught:
            function(tmp_path)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("table", ["jobs", "requests", "resources", "executions", "events"])
def test_a_damaged_table_is_refused_in_one_clear_line(built, tmp_path, table):
    """A truncated part of any table."""
    copy = tmp_path / "run"
    shutil.copytree(built, copy)
    part = sorted((copy / f"{table}.parquet").iterdir())[0]
    part.write_bytes(part.read_bytes()[:-40])
    with pytest.raises(RunFolderError, match="damaged") as caught:
        report.build(copy)
    assert "\n" not in str(caught.value)


def test_records_that_the_format_does_not_know_are_refused(built, tmp_path):
    """An outcome from elsewhere would silently be missing from the ledger."""
    copy = tmp_path / "run"
    shutil.copytree(built, copy)
    run = RunFolder(copy)
    jobs = run.read("jobs")
    trial = jobs["trial"].iloc[0]
    run.write_part("jobs", trial, jobs[jobs["trial"] == trial].assign(outcome="vanished"))
    with pytest.raises(RunFolderError, match="without a known outcome"):
        report.build(copy)


@pytest.mark.usefixtures("undrawn")
def test_records_of_trials_that_the_plan_does_not_know_are_left_out_and_told(built, tmp_path):
    """A stray part does no harm."""
    copy = tmp_path / "run"
    shutil.copytree(built, copy)
    run = RunFolder(copy)
    jobs = run.read("jobs").head(3)
    run.write_part("jobs", "999-stray", jobs.assign(trial="999-stray"))
    report.build(copy)
    assert "3 recorded rows of trials that run.json does not name were left out" in report.summary_text(copy)
