"""What CI reads: the workflows and the action, held against GitHub's documented syntax where that can be.

Metadata syntax reference and Workflow syntax for GitHub Actions, docs.github.com.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ACTION = ROOT / "action.yml"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FILES = [ACTION, *WORKFLOWS]


def read(path: Path) -> dict[str, Any]:
    """The file; YAML 1.1 takes the key `on` for a truth value, GitHub does not."""
    found = yaml.safe_load(path.read_text())
    return {"on" if key is True else key: value for key, value in found.items()}


def steps(path: Path) -> list[dict[str, Any]]:
    """All steps of a file."""
    held = read(path)
    if path == ACTION:
        return list(held["runs"]["steps"])
    return [step for job in held["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_actions_of_others_are_pinned_by_commit(path: Path) -> None:
    """A tag can be moved to another commit by whoever takes it over; beside it stands the version it was."""
    used = re.findall(r"uses: (.*)", path.read_text())
    assert used
    for line in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_one_version_of_each_action_is_used() -> None:
    """A pin that is renewed in one file only would go unnoticed."""
    pins: dict[str, set[str]] = {}
    for path in FILES:
        for name, pin in re.findall(r"uses: ([^@]+)@(.*)", path.read_text()):
            pins.setdefault(name, set()).add(pin)
    assert {name: len(found) for name, found in pins.items()} == dict.fromkeys(pins, 1)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_script_has_an_expression_in_it(path: Path) -> None:
    """What comes from outside goes through variables: in the script's text it would be run."""
    scripts = [step["run"] for step in steps(path) if "run" in step]
    assert scripts
    assert not [script for script in scripts if "${{" in script]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_only_read_and_end_by_themselves(path: Path) -> None:
    """No token that could write; no job that hangs for six hours."""
    workflow = read(path)
    assert set(workflow) <= {"name", "on", "permissions", "concurrency", "jobs"}
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert all(("run" in step) != ("uses" in step) for step in job["steps"])


def test_the_tests_run_on_every_push_with_the_oldest_and_a_new_python() -> None:
    """By the commands that a person would use."""
    workflow = read(ROOT / ".github" / "workflows" / "tests.yml")
    assert set(workflow["on"]) == {"push", "pull_request"}
    job = workflow["jobs"]["tests"]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.13"]
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make lint", "make test"]


def test_the_report_of_the_claims_is_kept_even_where_they_fail() -> None:
    """That is when it is needed; and the folder is the one that the command writes."""
    workflow = read(ROOT / ".github" / "workflows" / "reproduce.yml")
    assert "push" in workflow["on"]
    command, upload = workflow["jobs"]["claims"]["steps"][-2:]
    assert command["run"] == ".venv/bin/bench reproduce --profile ci --output out"
    assert upload["uses"].startswith("actions/upload-artifact@")
    assert upload["if"] == "${{ !cancelled() }}"
    assert upload["with"]["path"] == "out"


def test_the_action_is_a_composite_one_in_githubs_syntax() -> None:
    """Every key is one that the reference knows; every script names its shell."""
    action = read(ACTION)
    assert set(action) <= {"name", "description", "author", "branding", "inputs", "outputs", "runs"}
    assert action["runs"]["using"] == "composite"
    for name, given in action["inputs"].items():
        assert re.fullmatch(r"[a-z][a-z-]*", name)
        assert set(given) <= {"description", "required", "default"}
        assert isinstance(given.get("default", ""), str)
    known = {"name", "id", "if", "uses", "with", "run", "shell", "env", "working-directory"}
    for step in action["runs"]["steps"]:
        assert set(step) <= known
        assert ("run" in step) == ("shell" in step)
        assert ("run" in step) != ("uses" in step)


def test_every_input_of_the_action_is_used_and_every_one_used_is_there() -> None:
    """A misspelt input is silently empty."""
    text = ACTION.read_text()
    assert set(re.findall(r"inputs\.([a-z-]+)", text)) == set(read(ACTION)["inputs"])
    ids = {step["id"] for step in steps(ACTION) if "id" in step}
    assert set(re.findall(r"steps\.([a-z-]+)\.outputs", text)) <= ids


def test_the_example_in_the_documentation_uses_inputs_that_there_are() -> None:
    """People copy it."""
    page = (ROOT / "docs" / "continuous-integration.md").read_text()
    example = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
    (job,) = example["jobs"].values()
    given = job["steps"][-1]["with"]
    assert set(given) <= set(read(ACTION)["inputs"])
    assert len(given["slo"].splitlines()) == 2
