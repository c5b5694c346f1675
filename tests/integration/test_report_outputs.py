"""`bench report --slo --junit --json --markdown` on a finished run: offline, and fit for a CI job.

No service is needed; it stands here because drawing takes seconds.
"""

import io
import json
import math
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console
from synthetic import from_text

from bench.analysis.trial.validity import Reason, Validity
from bench.outputs import deliver, outputs
from bench.report import reading

SMALL = """
task = "spin"
input = { seconds = 0.25, gil = "held" }
deadline = "6S"
poll_interval = "1S"
[[parts]]
name = "load"
shows = "load"
systems = ["blocking", "queued"]
rates = ["0.5C", "2C"]
window = "14s"
[[parts]]
name = "memory"
shows = "memory"
systems = ["queued"]
arrivals = "burst"
sizes = [6]
task = "memory"
input = { mb = 600, seconds = 1.0 }
needs_memory_cap = true
"""


def bench_report(folder, *arguments):
    """Run `bench report` on `folder/run`."""
    return subprocess.run(
        [sys.executable, "-m", "bench", "report", str(folder / "run"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A run on a machine that can't cap memory, and its report with three objectives, one of them missed."""
    folder = tmp_path_factory.mktemp("outputs")
    from_text(SMALL, folder / "run", capped=False)
    done = bench_report(
        folder,
        *("--slo", "queued@0.5C: errors<=0%, p50<1s", "--slo", "blocking@2C: timeouts<1%"),
        *("--junit", "out/junit.xml", "--json", "out/run.json", "--markdown", "out/summary.md"),
    )
    return folder, done


def test_a_missed_objective_fails_the_command_and_stands_in_its_table(reported):
    """Exit code 1; the misses are marked."""
    _, done = reported
    assert done.returncode == 1, done.stderr
    table = [line for line in done.stdout.splitlines() if "<" in line and " at " in line]
    assert [line[0] for line in table] == [" ", " ", "!"]
    assert table[0].split() == ["queued", "×", "2", "at", "0.5C", "errors<=0%", "0", "%", "met"]
    assert "blocking at 2C" in table[2]
    assert table[2].endswith("missed")


def test_the_cases_are_the_trials_and_the_objectives(reported):
    """Five trials, one of them skipped with its reason; three objectives, one of them failed."""
    folder, _ = reported
    root = ET.parse(folder / "out" / "junit.xml").getroot()
    assert [root.get(k) for k in ("tests", "failures", "errors", "skipped")] == ["8", "1", "0", "1"]
    assert [s.get("name") for s in root] == ["synthetic.load", "synthetic.memory", "synthetic.objectives"]
    (skipped,) = root.iter("skipped")
    assert "memory is not capped" in skipped.get("message")
    names = [case.get("name") for case in root.iter("testcase")]
    assert len(set(names)) == 8
    assert "queued × 2 at 0.5C, repeat 1" in names


def test_the_json_has_every_figure_of_the_table_and_is_json(reported):
    """No NaN, no Infinity: other languages' readers refuse them. "inf" is what was never reached."""
    folder, _ = reported

    def refuse(constant):
        raise AssertionError(constant)

    document = json.loads((folder / "out" / "run.json").read_text(), parse_constant=refuse)
    table = pd.read_csv(folder / "run" / "trials.csv")
    assert [t["trial"] for t in document["trials"]] == list(table["trial"])
    for column in table.columns:
        for written, trial in zip(table[column], document["trials"], strict=True):
            value = trial[column]
            if isinstance(value, int | float):
                assert float(written) == pytest.approx(value, rel=1e-5), column
            elif value == "inf":
                assert written == math.inf
            elif value is not None and value != "":
                assert written == value
            else:
                assert pd.isna(written), column
    assert {"experiment", "environment", "box", "verdict", "notes", "calibration"} <= set(document)
    assert document["format"] == 1
    assert (document["trials"][0]["validity"], document["trials"][0]["validity_reasons"]) == ("VALID", [])
    assert document["verdict"]["lead"]
    missed = document["objectives"][2]
    assert (missed["system"], missed["load"], missed["metric"], missed["state"]) == (
        "blocking", "2C", "timeouts", "missed")  # fmt: skip
    assert missed["value"] > missed["limit"] == 0.01


def test_the_markdown_opens_with_the_objectives(reported):
    """What one wants to know who looks at a failed job; then the summary as it is in the run's folder."""
    folder, _ = reported
    text = (folder / "out" / "summary.md").read_text()
    assert text.index("**2 of 3 objectives met.**") < text.index("| part |")
    assert "| load: blocking" not in text, "the part is named only where several are meant"
    assert "**missed**" in text
    plain = (folder / "run" / "summary.md").read_text()
    assert plain.splitlines()[0] == text.splitlines()[0]
    assert plain.split("| part |")[1] == text.split("| part |")[1]


def test_an_objective_that_does_not_fit_is_refused_before_anything_is_drawn(reported, bench_here):
    """One line, exit code 2."""
    folder, _ = reported
    page = folder / "run" / "index.html"
    before = page.stat().st_mtime_ns
    done = bench_here("report", str(folder / "run"), "--slo", "gunicorn: p95<2s")
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "bench: --slo 'gunicorn: p95<2s': no system gunicorn in this experiment; it has blocking, queued"
    )
    assert page.stat().st_mtime_ns == before


def test_what_is_not_believable_has_an_exit_code_of_its_own(reported, tmp_path):
    """3 for invalid trials, unless a believable one missed its objective: that is certain, and 1."""
    folder, _ = reported
    found = reading.read(folder / "run")
    reason = Reason("send_delay", "INVALID", "The generator sent 80 ms late.", "Ask for a lower rate.")
    rows = [
        replace(f, validity=Validity((reason,))) if f.trial.system.name == "queued" else f for f in found.rows
    ]
    analysis = replace(found, rows=tuple(rows))
    console, junit = Console(file=io.StringIO()), tmp_path / "junit.xml"

    def code(*slo, before=0):
        return deliver(analysis, outputs(slo, junit, None, None), console, before)

    assert code("blocking@0.5C: timeouts<=100%") == 0
    assert code("queued@0.5C: timeouts<=100%", "blocking@0.5C: timeouts<=100%") == 3
    assert "The generator sent 80 ms late. Ask for a lower rate." in junit.read_text()
    assert code("queued@0.5C: timeouts<=100%", "blocking@2C: timeouts<1%") == 1
    assert code("blocking@0.5C: timeouts<=100%", before=3) == 3
    assert code("blocking@2C: timeouts<1%", before=130) == 130


def test_a_run_in_which_nothing_finished_meets_nothing(tmp_path, bench_here):
    """Interrupted before its first trial: cases are skipped, objectives not measured."""
    from_text(SMALL, tmp_path / "run", only=0)
    done = bench_here("report", "run", "--slo", "intime>=0%", "--junit", "j.xml", "--json", "r.json")
    assert done.returncode == 1, done.stderr
    assert "not measured" in done.stdout
    root = ET.parse(tmp_path / "j.xml").getroot()
    assert root.get("skipped") == "5"
    assert int(root.get("errors")) == len(json.loads((tmp_path / "r.json").read_text())["objectives"])
