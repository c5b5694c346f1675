"""`bench run` with clients that retry, on real services: every attempt is counted and attributed.

What is asserted is structure. Whether a system stays down is the experiment's to say, on a quiet machine.
"""

import os
import subprocess
import sys

import pandas as pd
import pytest

from bench.exits import INVALID
from bench.records import RunFolder
from bench.report.reading import read
from bench.stack.services import BROKER_VARIABLE, STORE_VARIABLE, Services

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

PULSE = """\
task = "spin"
input = { seconds = 0.1, gil = "held" }
deadline = "20S"
poll_interval = "100ms"

[systems.choosy]
kind = "queued"
max_wait = "4S"

[[parts]]
name = "pulse"
shows = "metastability"
systems = ["blocking", "choosy"]
arrivals = "pulse"
capacity = "own"
pulse = { base = "0.3C", peak = "4C", before = "10S", length = "20S", after = "20S" }
retries = { policy = "immediate", attempts = 3, after = "5S" }
"""
"""60 jobs of 100 ms within two seconds, from clients that wait for half a second: most attempts time out."""


@pytest.fixture(scope="module")
def run(tmp_path_factory, services: Services) -> RunFolder:
    """Run it once for all tests of this file, with the session's broker and store."""
    folder = tmp_path_factory.mktemp("pulse")
    (folder / "my.toml").write_text(PULSE)
    done = subprocess.run(
        [sys.executable, "-m", "bench", "run", "my.toml", "--again", "0"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
        env={
            **os.environ,
            BROKER_VARIABLE: services.broker_url,
            STORE_VARIABLE: services.store_url.rpartition("/")[0] + "/5",
        },
    )
    # A generator that was late on a busy machine makes the measurement invalid, and none of this wrong.
    assert done.returncode in (0, INVALID), done.stdout + done.stderr
    (path,) = (folder / "reports").iterdir()
    return RunFolder(path)


def of(run: RunFolder, table: str, system: str) -> pd.DataFrame:
    """One system's rows."""
    frame = run.read(table)
    return frame[frame["trial"].str.contains(f"-{system}-w")]


@pytest.mark.slow
def test_attempts_and_requests_agree_and_every_job_has_one_end(run):
    """What a job says of its attempts is what was sent."""
    for system in ("blocking", "choosy"):
        jobs, requests = of(run, "jobs", system), of(run, "requests", system)
        assert jobs["job"].is_unique
        submitted = requests[requests["kind"].isin(["run", "submit"])].groupby("job").size()
        assert submitted.to_dict() == jobs.set_index("job")["attempts"].to_dict()
        assert jobs["attempts"].between(1, 3).all()
        assert (jobs["attempts"] > 1).any()


def test_abandoned_attempts_go_on_in_the_blocking_server(run):
    """That is the work that keeps it down; each run in the journal belongs to a job."""
    jobs, runs = of(run, "jobs", "blocking"), of(run, "executions", "blocking")
    again = runs[runs["job"].str.contains(".", regex=False)]
    assert len(again) > 0
    assert set(runs["job"].str.partition(".")[0]) <= set(jobs["job"])
    assert len(runs) > (jobs["outcome"] == "ok").sum()


def test_a_queue_with_admission_refuses_and_runs_nothing_twice(run):
    """429 to some, and no job is executed twice, however often it was submitted."""
    requests, runs = of(run, "requests", "choosy"), of(run, "executions", "choosy")
    assert (requests[requests["kind"] == "submit"]["status"] == 429).any()
    assert runs["job"].str.partition(".")[0].is_unique


def test_the_books_balance_and_the_page_shows_the_pulse(run):
    """A job that was run three times is no stranger to the ledger."""
    analysis = read(run.path)
    assert [f.problems for f in analysis.done] == [(), ()]
    assert all(f.ledger.balanced for f in analysis.done)
    assert {p.series.name for p in analysis.groups.pulses} == {"blocking", "choosy"}
    page = (run.path / "index.html").read_text()
    assert "chart-metastability" in page
    believable = any(f.validity.believable for f in analysis.done)
    assert ("After a short overload" in page) is believable
