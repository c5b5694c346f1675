"""`bench plan RUN`: what it takes from the run, what it says when the run does not say it, and that its
predictions are what was measured.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from synthetic import from_text

from bench import cli
from bench.analysis.across.demand import measured
from bench.analysis.queueing.sizing import share_of
from bench.analysis.tables import Floats
from bench.report.reading import read

RECORDED = Path(__file__).resolve().parent.parent / "recorded" / "queued-sleep"
OWN = 0.05
"""What theory may miss the recorded percentiles by, given the trial's own arrivals."""


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["bench", "plan", *map(str, words)])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


def planned(monkeypatch, capsys, *words):
    code, out, err = run(monkeypatch, capsys, *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


@pytest.mark.parametrize("share", [0.5, 0.75])
def test_the_plan_for_a_measured_load_is_what_was_measured(monkeypatch, capsys, share: float) -> None:
    """Three workers at the rates of the run. Given the trial's own arrivals, median and p95 are predicted
    within 5 %. As a plan, for any arrivals of that rate: the measured ones lie among those of forty windows
    of 62 jobs by the plan's own model, and a short window waits no longer than the steady state that is
    planned for, but for one poll.
    """
    told = planned(monkeypatch, capsys, RECORDED, "--rate", f"{2 * share}/s", "--slo", "p95<2.9s")
    three = next(one for one in told["predictions"] if one["workers"] == 3)
    checked = next(c for c in told["checked"] if abs(c["rate"] - 2 * share) < 0.05)
    windows = short_windows(2 * share)
    for p in ("p50", "p95"):
        was = checked[p]["measured"]
        assert checked[p]["predicted"] == pytest.approx(was, rel=OWN)
        drawn = [float(np.quantile(w, share_of(p), method="inverted_cdf")) for w in windows]
        assert min(drawn) * (1 - OWN) <= was <= max(drawn) * (1 + OWN)
        assert was <= three[p] + 0.5
    if share == 0.5:
        assert three["p95"] == pytest.approx(checked["p95"]["measured"], abs=0.5)


def short_windows(rate: float) -> list[Floats]:
    """Response times of windows as the recorded ones are: six seconds of warm-up, then 62 jobs."""
    model = measured(read(RECORDED).rows, "queued").model
    random, found = np.random.default_rng(4), []
    for _ in range(40):
        length = 62 / rate
        before, counted = random.uniform(-6, 0, round(6 * rate)), random.uniform(0, length, 62)
        arrivals = np.concatenate((np.sort(before), np.sort(counted)))
        found.append(model.responses(arrivals, rate)[arrivals >= 0])
    return found


def test_what_the_run_measured_is_taken_from_it(monkeypatch, capsys) -> None:
    """Service time, CPU, overhead, polls; what is given on the command line goes before it."""
    told = planned(monkeypatch, capsys, RECORDED, "--rate", "2/s", "--slo", "p95<3s")
    assert told["service_time"] == 1.5
    assert told["cpu"] < 0.01
    assert told["poll_interval"] == 0.5
    assert 0.01 < told["overhead"] < 0.2
    assert 0.001 < told["overhead_cpu"] < 0.1
    assert told["variation"] == 0
    given = planned(
        monkeypatch, capsys, RECORDED, "--rate", "2/s", "--slo", "p95<9s",
        "--service-time", "3s", "--cpu", "1s", "--overhead", "20ms", "--variation", "0.5",
    )  # fmt: skip
    assert (given["service_time"], given["cpu"], given["variation"]) == (3.0, 1.0, 0.5)
    assert (given["overhead"], given["poll_interval"], given["overhead_cpu"]) == (0.02, 0.0, 0.0)
    assert given["workers"] > told["workers"]


def test_it_says_where_its_figures_come_from(monkeypatch, capsys) -> None:
    """The system, its work and box, what each job pays, and measured beside predicted for each trial."""
    code, out, _ = run(monkeypatch, capsys, RECORDED, "--rate", "2/s", "--slo", "p95<3s", "--price", "0.04")
    assert code == 0
    assert "As measured with queued × 3 on sleep in a box of 1.5 vCPU" in out
    assert "a poll every 500 ms" in out
    assert out.count("predicted") == 4
    assert "million" in out


def test_the_busiest_hour_is_planned_for_and_the_day_is_paid(monkeypatch, capsys) -> None:
    """`--peak 3`: the workers of three times the rate, at the price of a day of the mean rate."""
    words = (RECORDED, "--slo", "p95<3s", "--price", "0.04")
    peak = planned(monkeypatch, capsys, *words, "--rate", "2/s", "--peak", "3")
    steady = planned(monkeypatch, capsys, *words, "--rate", "6/s")
    assert peak["workers"] == steady["workers"]
    assert (peak["rate"], peak["mean_rate"]) == (6.0, 2.0)
    costs = [next(o["cost_per_million"] for o in t["predictions"]) for t in (peak, steady)]
    assert costs[0] == pytest.approx(3 * costs[1])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--system", "gunicorn"), "no trial of gunicorn in it; it has queued"),
        (("--cpus", "0"), "--cpus 0: must be above 0"),
        (("--peak", "0.5"), "--peak 0.5: must be from 1"),
    ],
)
def test_what_the_run_can_not_tell_is_one_line(monkeypatch, capsys, words, says: str) -> None:
    """And exit code 2."""
    code, out, err = run(monkeypatch, capsys, RECORDED, "--rate", "2/s", "--slo", "p95<3s", *words)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


SMALL = """
task = "spin"
input = {{ seconds = 0.25, gil = "held" }}
deadline = "6S"
[[parts]]
name = "load"
shows = "load"
systems = [{systems}]
rates = [{rates}]
window = "5s"
"""


@pytest.mark.parametrize(
    ("systems", "rates", "changes", "says"),
    [
        ('"blocking"', '"0.4C"', {}, "no trial of queued in it"),
        ('"gunicorn", "blocking"', '"0.4C"', {}, "no trial of queued in it; it has gunicorn"),
        ('"queued"', '"3C"', {}, "none of its trials is below capacity"),
        ('"queued"', '"0.4C"', {"only": 0}, "no job of it was finished"),
    ],
)
def test_runs_that_measured_no_calm_queue(
    monkeypatch, capsys, tmp_path: Path, systems: str, rates: str, changes: dict[str, object], says: str
) -> None:
    """What is missing, and exit code 2: never a traceback, never a plan from nothing."""
    folder = from_text(SMALL.format(systems=systems, rates=rates), tmp_path / "run", **changes)
    code, out, err = run(monkeypatch, capsys, folder, "--rate", "2/s", "--slo", "p95<3s")
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_a_blocking_server_has_no_workers_to_plan(monkeypatch, capsys, tmp_path: Path) -> None:
    """Named with --system: told what can be planned."""
    folder = from_text(SMALL.format(systems='"blocking"', rates='"0.4C"'), tmp_path / "run")
    code, _, err = run(
        monkeypatch, capsys, folder, "--rate", "2/s", "--slo", "p95<3s", "--system", "blocking"
    )
    assert code == 2
    assert "blocking has no workers and no queue to plan for" in err


def test_damaged_runs_are_one_line(monkeypatch, capsys, tmp_path: Path) -> None:
    """A broken table, a run.json that is none, a folder that is no run, and nothing at all."""
    words = ("--rate", "2/s", "--slo", "p95<3s")
    broken, foreign = tmp_path / "broken", tmp_path / "foreign"
    shutil.copytree(RECORDED, broken)
    next((broken / "jobs.parquet").glob("*.parquet")).write_bytes(b"PAR1 no")
    foreign.mkdir()
    (foreign / "run.json").write_text("[]")
    for folder in (broken, foreign, tmp_path, tmp_path / "none"):
        code, out, err = run(monkeypatch, capsys, folder, *words)
        assert (code, out) == (2, "")
        assert err.startswith("bench: ")
        assert err.count("\n") == 1


def test_without_run_and_service_time_nothing_is_guessed(monkeypatch, capsys) -> None:
    """One of the two is needed; a system's name needs a run."""
    code, _, err = run(monkeypatch, capsys, "--rate", "2/s", "--slo", "p95<3s")
    assert code == 2
    assert "give a finished run, or --service-time" in err
    code, _, err = run(
        monkeypatch, capsys, "--rate", "2/s", "--slo", "p95<3s", "--service-time", "1s", "--system", "queued"
    )
    assert code == 2
    assert "--system queued: of which run?" in err
