"""`bench ab` for real: two systems in turns, a run folder with a comparison, an exit code; bad usage."""

import json
import os
import subprocess
import sys

import pytest

from bench.records import RunFolder

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def bench(*arguments, cwd):
    """Run the `bench` command in a folder of its own."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={**os.environ},
    )


@pytest.mark.slow
def test_two_systems_run_in_turns_and_are_compared(tmp_path, bench_here):
    """Interleaved pairs under the same arrivals; the table, compare.json and compare.md say the same; two
    pairs are too few for a verdict, so a limit is unclear, which fails with --strict.
    """
    (tmp_path / "input.json").write_text('{"seconds": 0.02, "gil": "held"}')
    done = bench(
        "ab", "blocking", "gunicorn:2", "--load", "10/s", "--pairs", "2", "--window", "1s", "--warmup", "0s",
        "--input", "input.json", "--deadline", "10s", "--seed", "3", "--fail-on", "goodput<-50%", "--strict",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "A is blocking:1, B is gunicorn:2; 2 pairs of trials, measured side by side" in done.stdout
    assert "LIMIT UNCLEAR: goodput<-50%" in done.stdout
    assert "TOO FEW TRIALS" in done.stdout
    (path,) = (tmp_path / "reports").iterdir()
    state = RunFolder(path).read_run()
    assert [t["repeat"] for t in state["trials"]] == [1, 1, 2, 2]
    assert {r["status"] for r in state["results"].values()} == {"done"}
    seeds = {
        t["repeat"]: {u["seed"] for u in state["trials"] if u["repeat"] == t["repeat"]}
        for t in state["trials"]
    }
    assert all(len(found) == 1 for found in seeds.values()), "both systems meet the same arrivals"
    data = json.loads((path / "compare.json").read_text())
    assert (data["a"], data["b"], data["paired"]) == ("blocking:1", "gunicorn:2", True)
    (goodput,) = [row for row in data["rows"] if row["metric"] == "goodput"]
    assert len(goodput["a"]) == len(goodput["b"]) == 2
    assert goodput["verdict"] == "can't tell"
    assert "| goodput |" in (path / "compare.md").read_text()
    assert (path / "index.html").exists()

    again = bench_here("compare", str(path), "--format", "json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["rows"] == data["rows"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["queued:2", "nobody:2"], "nobody:2: not a system"),
        (["queued:0", "queued:2"], "queued:0: workers must be 1 or more"),
        (["queued:2", "gunicorn:2", "--load", "much"], "--load much: not a rate"),
        (["queued:2", "gunicorn:2", "--window", "0s"], "must be above 0"),
        (["queued:2", "gunicorn:2", "--fail-on", "p95"], "--fail-on: 'p95' is not a limit"),
        (["queued:2", "gunicorn:2", "--format", "pdf"], "--format pdf: choose from"),
        (["queued:2", "gunicorn:2", "--task", "none:such"], "none"),
        (["queued:2", "gunicorn:2", "--experiment", "missing.toml"], "missing.toml"),
        (["queued:2"], "system_b is needed"),
    ],
)
def test_bad_usage_is_told_and_nothing_is_started(tmp_path, bench_here, arguments, words):
    """Exit code 2, no traceback, no run folder."""
    done = bench_here("ab", *arguments)
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert words in said
    assert not (tmp_path / "reports").exists()


def test_compare_refuses_what_is_no_run(tmp_path):
    """Exit code 2 and one line."""
    done = bench("compare", "nowhere", "neither", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "nowhere is not a run folder" in done.stderr
