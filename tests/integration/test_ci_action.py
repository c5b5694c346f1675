"""The action as a runner would carry it out: its scripts, with bash, in a repository that has a function."""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import exits

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
EXPERIMENT = """\
task = "sleep"
deadline = "60s"

[[parts]]
name = "load"
shows = "load"
systems = ["blocking"]
rates = ["6/s"]
window = "1s"
"""


@dataclass(frozen=True)
class Ran:
    """What became of the action."""

    code: int
    said: str
    report: Path | None
    summary: str


def act(folder: Path, **inputs: str) -> Ran:
    """Run the action's scripts in `folder`, one after another until one fails, as GitHub's runner does."""
    given = {name: str(entry.get("default", "")) for name, entry in ACTION["inputs"].items()}
    given |= {name.replace("_", "-"): value for name, value in inputs.items()}
    temporary = folder.parent / f"{folder.name}-runner"
    temporary.mkdir()
    outputs: dict[str, str] = {}
    code, said = 0, ""
    for step in ACTION["runs"]["steps"]:
        if "run" not in step or code:
            continue
        script, told = temporary / f"{step['id']}.sh", temporary / f"{step['id']}.out"
        script.write_text(step["run"])
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
            cwd=folder / filled(step["working-directory"], given, outputs),
            env={
                **os.environ,
                **{name: filled(value, given, outputs) for name, value in step["env"].items()},
                "GITHUB_ACTION_PATH": str(ROOT),
                "GITHUB_OUTPUT": str(told),
                "GITHUB_STEP_SUMMARY": str(temporary / "summary.md"),
                "RUNNER_TEMP": str(temporary),
            },
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        code, said = done.returncode, said + done.stdout + done.stderr
        if told.exists():
            lines = told.read_text().splitlines()
            outputs |= {f"{step['id']}.{name}": value for name, _, value in (s.partition("=") for s in lines)}
    report = outputs.get("measure.report")
    summary = temporary / "summary.md"
    return Ran(code, said, Path(report) if report else None, summary.read_text() if summary.exists() else "")


def filled(text: str, inputs: dict[str, str], outputs: dict[str, str]) -> str:
    """A value with its expressions evaluated: the action has only these two kinds."""

    def value(found: re.Match[str]) -> str:
        return inputs[found[1]] if found[1] else outputs.get(f"{found[2]}.{found[3]}", "")

    return re.sub(r"\$\{\{ (?:inputs\.([\w-]+)|steps\.(\w+)\.outputs\.([\w-]+)) \}\}", value, text)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a function of 20 ms, not at its root."""
    folder = tmp_path / "repository"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "mine.py").write_text(
        "import time\n\ndef caption(job):\n    time.sleep(job['s'])\n    return {'said': job['s']}\n"
    )
    (folder / "src" / "input.json").write_text('{"s": 0.02}')
    (folder / "src" / "my.toml").write_text(EXPERIMENT)
    return folder


def trusted(document: dict[str, Any]) -> bool:
    """Whether the machine stood still for nobody: an INVALID trial meets and misses nothing."""
    return all(trial["validity"] != "INVALID" for trial in document["trials"])


def inputs(**more: str) -> dict[str, str]:
    """What a workflow of somebody's would give; Queuebench is installed already."""
    return {
        "bin": str(Path(sys.executable).parent),
        "working_directory": "src",
        "function": "mine:caption",
        "input": "input.json",
        "experiment": "my.toml",
        **more,
    }


def test_a_function_that_meets_its_objectives_passes_with_a_report(repository: Path) -> None:
    """JUnit XML, JSON, Markdown, the page that needs no other file, and a summary on the job's page."""
    ran = act(repository, **inputs(slo="blocking@6/s: timeouts<=100%\n\n  mean>=20ms\n", deadline="50s"))
    assert ran.report is not None, ran.said
    document = json.loads((ran.report / "run.json").read_text())
    believable = trusted(document)
    assert ran.code == (exits.FINE if believable else exits.INVALID), ran.said
    cases = ET.parse(ran.report / "junit.xml").getroot()
    assert (cases.get("tests"), cases.get("failures")) == ("3", "0")
    assert {o["state"] for o in document["objectives"]} == {"met" if believable else "not believable"}
    assert document["experiment"]["deadline"] == "50s"
    assert [t["arrivals"] for t in document["trials"]] == [6]
    (page,) = ran.report.glob("*/index.html")
    assert "<svg" in page.read_text()
    assert f"**{2 if believable else 0} of 2 objectives met.**" in ran.summary
    assert (ran.report / "summary.md").read_text() in ran.summary


def test_a_function_that_misses_an_objective_fails_and_says_which(repository: Path) -> None:
    """A sleep of 20 ms is never done in 10; the report is there all the same."""
    ran = act(repository, **inputs(slo="blocking: timeouts<=100%, mean<10ms"))
    assert ran.report is not None, ran.said
    believable = trusted(json.loads((ran.report / "run.json").read_text()))
    assert ran.code == (exits.FAILED if believable else exits.INVALID), ran.said
    word = "missed" if believable else "not believable"
    assert f"**{word}" in ran.summary
    (line,) = (line for line in ran.said.splitlines() if "mean<10ms" in line and "blocking at" in line)
    assert line.startswith("! ")
    assert word in line
    failures = [f.get("message", "") for f in ET.parse(ran.report / "junit.xml").getroot().iter("failure")]
    assert len(failures) == (1 if believable else 0)
    assert all(f.startswith("blocking at 6/s: mean<10ms, measured ") for f in failures)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"function": ""}, "::error title=Queuebench::Name a function"),
        ({"slo": "queued@6/s: p95<2s"}, "no system queued in this experiment"),
        ({"slo": "p95<2"}, "is not a duration"),
        ({"input": "missing.json"}, "missing.json"),
        ({"function": 'no:f"; touch hacked; "'}, "hacked"),
        ({"experiment": "$(touch hacked)"}, "$(touch hacked)"),
    ],
)
def test_wrong_inputs_are_told_and_never_run(repository: Path, given: dict[str, Any], says: str) -> None:
    """Exit code 2 and one line; what looks like a command stays a text."""
    ran = act(repository, **inputs(**given))
    assert ran.code == 2, ran.said
    assert says in ran.said
    assert "Traceback" not in ran.said
    assert not list(repository.rglob("hacked"))
