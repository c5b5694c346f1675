"""The bare queue of the ladder: which measures are on."""

import os
import subprocess
import sys

import pytest

from bench.chaos.bare.measures import NAMES, Measures, parse, steps


def test_measures_by_name() -> None:
    """As they stand on the command line, in any order."""
    assert parse("store-first, ack") == Measures(ack=True, store_first=True)
    assert parse("") == Measures()
    assert parse(Measures(ack=True, confirms=True).words) == Measures(ack=True, confirms=True)


def test_an_unknown_measure_is_one_line() -> None:
    """It names those that there are."""
    with pytest.raises(ValueError, match=r"no such measure: prayer; there are ack, persistent"):
        parse("ack,prayer")


def test_each_step_adds_one() -> None:
    """So that what a step saves is that measure's."""
    assert [m.words for m in steps()] == [",".join(NAMES[:n]) for n in range(len(NAMES) + 1)]


def test_bad_usage_is_told() -> None:
    """Exit code 2, one line, no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.chaos.bare", "worker", "--with", "luck"],
        capture_output=True,
        text=True,
        check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("QUEUED_")},
    )
    assert done.returncode == 2
    assert done.stderr.startswith("bench.chaos.bare: no such measure: luck")
    assert len(done.stderr.splitlines()) == 1
