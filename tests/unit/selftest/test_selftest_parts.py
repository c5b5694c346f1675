"""The self-test's smaller parts: A/A, the independent tool, wrong usage, the page."""

import json
import random
import shutil

import numpy as np
import played_selftest
import pytest
from rich.console import Console

from bench import exits
from bench.records import RunFolder, RunFolderError
from bench.report import selftest as page
from bench.selftest import command, tool
from bench.selftest.alike import alike
from bench.selftest.broken import DEFECTS
from bench.selftest.catalogue import Same, full, quick
from bench.spec import SpecError

WRK = """\
Running 3s test @ http://127.0.0.1:1/plain/run
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    51.26ms    1.20ms  55.66ms   70.00%
    Req/Sec   155.87     12.04   180.00     80.00%
  Latency Distribution
     50%   51.18ms
     75%   51.90ms
     90%   1.01s
  466 requests in 3.00s, 60.10KB read
Requests/sec:    155.17
"""
HEY = """\
Summary:
  Total:	2.0103 secs
  Average:	0.0512 secs
  Requests/sec:	155.2

Latency distribution:
  10%% in 0.0504 secs
  50%% in 0.0510 secs
"""


def test_a_load_is_like_itself():
    """Jobs of one distribution: next to no comparison finds anything."""
    draw = random.Random(5)
    times = np.array([0.02 + draw.expovariate(30) for _ in range(10_000)])
    found = alike(times, Same("same", segments=1000))
    assert (found.comparisons, found.passed) == (100, True)


def test_a_comparison_that_sees_ghosts_fails():
    """Every other trial 30 % slower: the comparison says so, and the self-test fails."""
    draw = random.Random(5)
    times = np.array([(0.02 + draw.uniform(0, 0.001)) * (1 + 0.3 * (n // 10 % 2)) for n in range(10_000)])
    found = alike(times, Same("same", segments=1000))
    assert (found.differing, found.passed) == (100, False)


def test_no_jobs_prove_nothing():
    """A load of which nothing came back is not alike."""
    assert not alike(np.array([]), Same("same", segments=1000)).passed


@pytest.mark.parametrize(("name", "printed"), [("wrk", WRK), ("hey", HEY)])
def test_what_the_tools_print_is_understood(name, printed):
    """Median, mean and rate, in seconds."""
    found = tool.read(name, 8, printed)
    assert found is not None
    assert (found.median, found.mean, found.rate) == pytest.approx((0.051, 0.051, 155), rel=0.01)


@pytest.mark.parametrize("name", ["wrk", "hey"])
def test_what_is_not_understood_is_not_guessed(name):
    """Another version's output, or an error message."""
    assert tool.read(name, 8, "unable to connect") is None


@pytest.mark.parametrize("catalogue", [quick(), full()], ids=["quick", "full"])
def test_the_catalogue_hangs_together(catalogue):
    """Names are unique, what is referred to is there, scenarios that share a server agree on what it does."""
    names = [s.name for s in catalogue.scenarios]
    assert len(names) == len(set(names))
    assert {*catalogue.stalled, catalogue.same.scenario, catalogue.plain} <= set(names)
    for group in catalogue.groups:
        assert len({(s.host, s.behaviour) for s in group}) == len({s.host for s in group})
    jobs = catalogue.scenario("same").load
    assert jobs.rate * jobs.window >= catalogue.same.segments


@pytest.mark.parametrize(
    ("wish", "line"),
    [
        (
            command.Wish(broken="nothing"),
            "--broken nothing: there is from-send, drops-ignored, lost-forgotten",
        ),
        (command.Wish(records="x", quick=True), "--records judges what was measured"),
    ],
)
def test_wrong_usage_is_one_line(wish, line):
    """Before anything is started."""
    with pytest.raises(SpecError) as told:
        command.run(wish, Console(quiet=True))
    assert str(told.value).startswith(line)


def test_a_folder_in_use_is_left_alone(tmp_path):
    """Neither another self-test's records nor a file are written over."""
    (tmp_path / "file").write_text("")
    for output, words in ((tmp_path, "something in it already"), (tmp_path / "file", "is not a folder")):
        with pytest.raises(SpecError, match=words):
            command.run(command.Wish(output=output), Console(quiet=True))


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> RunFolder:
    """A folder as a self-test without an independent tool leaves it, made once."""
    run = played_selftest.write(tmp_path_factory.mktemp("selftest") / "run")
    state = command.first_state(run, command.Wish(quick=True, command="bench selftest --quick"), quick())
    state["selftest"]["tool"] = None
    run.write_run(state)
    return run


@pytest.fixture(scope="module")
def presented(measured, tmp_path_factory) -> RunFolder:
    """The same after `--records`: with its page and what it was found to be, made once."""
    run = RunFolder(shutil.copytree(measured.path, tmp_path_factory.mktemp("presented") / "run"))
    command.run(command.Wish(records=run.path), Console(quiet=True))
    return run


@pytest.fixture
def judged(measured, tmp_path) -> RunFolder:
    """A copy of what was measured for one test."""
    return RunFolder(shutil.copytree(measured.path, tmp_path / "run"))


def test_records_are_judged_again(judged, capsys):
    """Exit code 0, a table with every scenario, a page that needs nothing else."""
    assert command.run(command.Wish(records=judged.path), Console(width=200)) == exits.FINE
    said = capsys.readouterr().out
    assert "The harness tells the truth" in said
    assert "install wrk" in said
    html = (judged.path / "selftest.html").read_text()
    assert "<svg" in html
    assert all(f">{s.name}<" in html for s in quick().scenarios)
    assert not [
        word for word in ("<script src", '<link rel="stylesheet', "http://", "https://") if word in html
    ]


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_broken_harness_fails_the_self_test(presented, capsys, defect):
    """Exit code 3 and a line with figure, truth, measured and deviation; the sound page stays."""
    path = presented.path
    before = (path / "selftest.html").read_text()
    assert command.run(command.Wish(records=path, broken=defect), Console(width=200)) == exits.INVALID
    said = capsys.readouterr().out
    assert "broken on purpose" in said
    assert any(line.startswith("! ") and "truth" in line and "measured" in line for line in said.splitlines())
    assert (path / "selftest.html").read_text() == before


def test_json_has_everything_and_is_json(judged, capsys):
    """For other programs: infinity and missing figures have words or null, never NaN."""
    assert command.run(command.Wish(records=judged.path, as_json=True), Console(width=200)) == exits.FINE
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found["passed"] is True
    assert {"truth", "measured", "deviation", "limit", "passed"} <= found["checks"][0].keys()


def test_figures_off_while_the_machine_stood_still_prove_nothing(presented):
    """Said in the verdict, so that nobody looks for a fault in the harness."""
    data = page.read(presented.path)
    data["passed"] = data["checks"][0]["passed"] = False
    assert "does not tell the truth: 1 of" in page.lead(data)
    data["disturbed"] = {data["checks"][0]["scenario"]: "a pause of 80 ms"}
    assert "the machine stood still" in page.lead(data)


def test_a_folder_of_something_else_is_refused(tmp_path, judged):
    """One line each: another kind of run, nothing at all, a damaged description."""
    state = judged.read_run()
    judged.write_run({k: v for k, v in state.items() if k != "selftest"})
    with pytest.raises(RunFolderError, match="not of a self-test"):
        command.run(command.Wish(records=judged.path), Console(quiet=True))
    judged.write_run({**state, "selftest": {}})
    with pytest.raises(RunFolderError, match="is damaged"):
        command.run(command.Wish(records=judged.path), Console(quiet=True))
    with pytest.raises(RunFolderError, match="not a run folder"):
        command.run(command.Wish(records=tmp_path / "nowhere"), Console(quiet=True))
