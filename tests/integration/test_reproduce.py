"""`bench reproduce` for real: labs on a private broker, claims of one's own, interruption, bad usage."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

CLAIM = """\
text = "{text}"
source = "a colleague"
expected = "{expected}"
{where}
[measure]
metric = "{metric}"
unit = "share"
[holds]
above = "{above}"
"""

LOST = {"text": "Nothing is lost with auto-ack.", "where": 'lab = "crash"', "metric": "taken_over_auto_ack",
        "above": "99%"}  # fmt: skip
"""A claim that is wrong: nothing of a dead consumer's is taken over."""

BURST = """\
task = "spin"
input = { seconds = 0.02, gil = "held" }
deadline = "30s"

[[parts]]
name = "four"
shows = "burst"
systems = ["gunicorn"]
arrivals = "burst"
sizes = [4]
"""


def reproduce(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `bench reproduce` in a folder of its own."""
    return subprocess.run(
        [sys.executable, "-m", "bench", "reproduce", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


def write(folder: Path, name: str, **said: str) -> None:
    """A claim's file."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.toml").write_text(CLAIM.format(**said))


def told(folder: Path) -> dict[str, dict]:
    """The claims as reproduce.json has them, by name."""
    return {c["claim"]: c for c in json.loads((folder / "reproduce.json").read_text())["claims"]}


@pytest.mark.slow
@pytest.mark.usefixtures("pointed_at")
def test_the_claims_of_who_gets_messages_are_reproduced(tmp_path):
    """Real brokers and consumers: verdicts, every file, exit code 0; and all is rebuilt from the records."""
    done = reproduce(
        "--only", "11", "--only", "13", "--only", "14", "--output", "out",
        cwd=tmp_path, GITHUB_STEP_SUMMARY=str(tmp_path / "step.md"),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Of 3 claims: 3 reproduced." in done.stdout
    assert "ETA" in done.stdout
    out = tmp_path / "out"
    claims = told(out)
    assert [name[:2] for name in claims] == ["11", "13", "14"]
    for claim in claims.values():
        assert (claim["verdict"], claim["expected"], claim["repeats"]) == ("reproduced",) * 2 + (3,)
        assert claim["experiment"].startswith("lab ")
    assert claims["11-one-consumer-gets-everything"]["low"] == 1.0
    also = claims["11-one-consumer-gets-everything"]["also"]
    assert also["consumers first"] == "50 %"
    assert claims["13-auto-ack-loses"]["also"] == {"messages lost": "15"}
    assert claims["14-manual-ack-hands-over"]["also"] == {"messages lost": "0"}
    labs = json.loads((out / "reproduce.json").read_text())["labs"]
    for repeat in labs["shares"]:
        assert repeat["makespan_no_limit_backlog_first"] > 1.9  # one worked, the other looked on

    suite = ElementTree.parse(out / "junit.xml").getroot()
    assert {k: suite.get(k) for k in ("tests", "failures", "errors", "skipped")} == {
        "tests": "3", "failures": "0", "errors": "0", "skipped": "0",
    }  # fmt: skip
    summary = (out / "summary.md").read_text()
    assert summary.count("| reproduced | reproduced |") == 3
    assert summary in (tmp_path / "step.md").read_text()
    page = (out / "index.html").read_text()
    assert page.count('<span class="verdict">reproduced</span>') == 3
    assert "http://" not in page
    assert "https://" not in page

    for name in ("index.html", "summary.md", "junit.xml"):
        (out / name).unlink()
    again = subprocess.run(
        [sys.executable, "-m", "bench", "report", "out"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert (out / "index.html").read_text() == page
    assert (out / "summary.md").read_text() == summary


@pytest.mark.slow
@pytest.mark.usefixtures("pointed_at")
def test_claims_of_ones_own_fail_where_they_come_out_otherwise(tmp_path):
    """Exit code 1 for one that is refuted, in every file, but not where that is recorded; and one with
    an experiment of its own is measured by it.
    """
    write(tmp_path / "mine", "wrong", expected="reproduced", **LOST)
    write(tmp_path / "mine", "known", expected="refuted", **LOST)
    where = 'part = "four"\nexperiment = "own/tiny.toml"'
    write(tmp_path / "mine", "right", text="All four come back.", expected="reproduced", where=where,
          metric="delivered_share", above="50%")  # fmt: skip
    (tmp_path / "mine" / "own").mkdir()
    (tmp_path / "mine" / "own" / "tiny.toml").write_text(BURST)
    done = reproduce("--claims", "mine", "--output", "out", cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    claims = told(tmp_path / "out")
    assert (claims["wrong"]["verdict"], claims["wrong"]["fails"]) == ("refuted", True)
    assert claims["wrong"]["value"] == 0.0
    assert (claims["known"]["verdict"], claims["known"]["fails"]) == ("refuted", False)
    assert "Otherwise than recorded: wrong." in done.stdout
    suite = ElementTree.parse(tmp_path / "out" / "junit.xml").getroot()
    assert suite.get("failures") == "1"
    # A machine that stands still may make the one trial INVALID, and then nothing can be told of it.
    assert claims["right"]["verdict"] == "reproduced" or claims["right"]["unbelievable"], claims["right"]
    assert not claims["right"]["fails"]
    assert claims["right"]["experiment"] == "part four of tiny.toml: delivered_share above 50 %"
    assert (tmp_path / "out" / "tiny" / "trials.csv").exists()
    assert 'srcdoc="' in (tmp_path / "out" / "index.html").read_text()


def test_ctrl_c_in_the_middle_of_a_lab_leaves_nothing(tmp_path):
    """Exit code 130; no consumer and no private broker is left, nor, as after every test, port or folder."""
    running = subprocess.Popen(
        [sys.executable, "-m", "bench", "reproduce", "--only", "13", "--output", "out"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 120
    labs = tmp_path / "out" / "labs" / "crash"
    while not any('"start"' in journal.read_text() for journal in labs.glob("*.jsonl")):
        assert running.poll() is None, running.stdout.read() if running.stdout else ""
        assert time.monotonic() < deadline, "no consumer began"
        time.sleep(0.01)
    below = psutil.Process(running.pid).children(recursive=True)
    assert below
    running.send_signal(signal.SIGINT)
    printed, _ = running.communicate(timeout=60)
    assert running.returncode == 130, printed
    assert "everything that was started has been ended" in printed
    assert "Traceback" not in printed
    _, alive = psutil.wait_procs(below, timeout=20)
    assert not alive
    assert not (tmp_path / "out" / "reproduce.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "99"], "--only 99: no such claim; there are 01-factorial"),
        (["--claims", "mine"], "column.toml: crash has no 'shares'; there are lost_auto_ack"),
        (["--only", "13", "--output", "full"], "--output full: there is something in it already"),
        (["--only", "13", "--output", "full/file/below"], "--output full/file/below: can't be made"),
    ],
)
def test_bad_usage_is_one_clear_line_and_nothing_is_started(tmp_path, bench_here, arguments, words):
    """Exit code 2, no traceback, nothing written, nothing that was there touched."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    write(tmp_path / "mine", "column", expected="refuted", **(LOST | {"metric": "shares"}))
    before = sorted(tmp_path.rglob("*"))
    done = bench_here("reproduce", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert words in done.stderr
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "full" / "file").read_text() == "mine"
