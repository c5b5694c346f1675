"""The rules of the tests themselves: what is missing is skipped with its reason, or fails where required."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent


def outcome(folder: Path, required: str) -> str:
    """Run one test that needs a browser, on a machine that has none; return the last lines."""
    (folder / "test_page.py").write_text(
        "import pytest\n\n@pytest.mark.browser\ndef test_page():\n    '''Needs a browser.'''\n"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-p", "no:cacheprovider"),
            *("-c", str(TESTS.parent / "pyproject.toml"), "--rootdir", str(folder), str(folder)),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PATH": "/nowhere", "PYTHONPATH": str(TESTS), "QUEUEBENCH_REQUIRE": required},
    )
    return done.stdout[-600:]


def test_what_is_missing_is_skipped_with_its_reason(tmp_path: Path) -> None:
    """Printed in the last lines, so that nobody takes a skip for a pass."""
    said = outcome(tmp_path, "")
    assert "1 skipped" in said
    assert "needs browser: no Chromium" in said


def test_what_is_required_fails_instead(tmp_path: Path) -> None:
    """QUEUEBENCH_REQUIRE names what must be there: CI sets it."""
    said = outcome(tmp_path, "caps, browser")
    assert "1 skipped" not in said
    assert "QUEUEBENCH_REQUIRE asks for browser, but no Chromium" in said


@pytest.mark.parametrize("required", ["caps", "services"])
def test_only_what_is_named_is_required(tmp_path: Path, required: str) -> None:
    """The rest is skipped as before."""
    assert "1 skipped" in outcome(tmp_path, required)
