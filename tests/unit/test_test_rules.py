"""The rules of the tests themselves: what is missing is skipped with its reason, or fails where required."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
REQUIRED = ("", "caps, browser", "caps", "services")
"""What QUEUEBENCH_REQUIRE names in each of the runs."""
RUNS = """
import contextlib, io, json, os, sys
import pytest

found = {}
for required in json.loads(sys.argv[1]):
    os.environ["QUEUEBENCH_REQUIRE"] = required
    with contextlib.redirect_stdout(io.StringIO()) as said:
        pytest.main(sys.argv[2:])
    found[required] = said.getvalue()[-600:]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The last lines of one test's runs, by what is required: it needs a browser, and the machine has none.

    All in one process: importing takes far longer than the test.
    """
    folder = tmp_path_factory.mktemp("rules")
    (folder / "test_page.py").write_text(
        "import pytest\n\n@pytest.mark.browser\ndef test_page():\n    '''Needs a browser.'''\n"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-c", RUNS, json.dumps(REQUIRED), "-q", "-p", "conftest"),
            *("-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:locust"),
            *("-c", str(TESTS.parent / "pyproject.toml"), "--rootdir", str(folder), str(folder)),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PATH": "/nowhere", "PYTHONPATH": str(TESTS)},
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, str] = json.loads(done.stdout)
    return said


def test_what_is_missing_is_skipped_with_its_reason(outcome: dict[str, str]) -> None:
    """Printed in the last lines, so that nobody takes a skip for a pass."""
    assert "1 skipped" in outcome[""]
    assert "needs browser: no Chromium" in outcome[""]


def test_what_is_required_fails_instead(outcome: dict[str, str]) -> None:
    """QUEUEBENCH_REQUIRE names what must be there: CI sets it."""
    said = outcome["caps, browser"]
    assert "1 skipped" not in said
    assert "QUEUEBENCH_REQUIRE asks for browser, but no Chromium" in said


@pytest.mark.parametrize("required", ["caps", "services"])
def test_only_what_is_named_is_required(outcome: dict[str, str], required: str) -> None:
    """The rest is skipped as before."""
    assert "1 skipped" in outcome[required]
