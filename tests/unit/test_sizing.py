"""`bench plan`: the answer is what the command line prints, and bad input is one clear line."""

import json
import sys

import pytest

from bench import cli


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["bench", "plan", *words])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


ASKED = ("--rate", "4/s", "--service-time", "500ms", "--slo", "p95<1.1s")


def test_the_answer_and_its_neighbours_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """How many, what users see with them and with one fewer, and where it comes from."""
    code, out, err = run(monkeypatch, capsys, *ASKED, "--price", "0.05")
    assert (code, err) == (0, "")
    assert "4 jobs/s of 500 ms, all alike: they keep 2 workers busy." in out
    assert "3 workers suffice for p95<1.1s, with 3 vCPU." in out
    assert "∞" in out
    assert "3 ✓" in out
    assert "M/D/c" in out
    # three cores at 0.05 an hour do 14,400 jobs in that hour
    assert "10.42" in out


def test_as_json_it_can_be_read_by_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same figures; what is infinite is null, for JSON has no infinity."""
    code, out, _ = run(monkeypatch, capsys, *ASKED, "--cpu", "100ms", "--json")
    told = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert code == 0
    assert told["workers"] == 3
    by_count = {one["workers"]: one for one in told["predictions"]}
    assert by_count[2]["p95"] is None
    assert 0.5 <= by_count[3]["p50"] <= by_count[3]["p95"] <= 1.1
    assert by_count[3]["cores"] == pytest.approx(0.6)
    assert by_count[3]["cost_per_million"] is None


def test_that_no_number_is_enough_is_an_answer_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With exit code 1, for a script."""
    code, out, _ = run(monkeypatch, capsys, "--rate", "4/s", "--service-time", "2s", "--slo", "p95<1s")
    assert code == 1
    assert "No number of workers gives p95<1s: the jobs themselves take too long." in out


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--rate", "4", "--rate: '4' is not a rate"),
        ("--rate", "1.2C", "--rate: '1.2C': the capacity is not known here"),
        ("--service-time", "0s", "must be above 0"),
        ("--service-time", "2S", "give it in seconds"),
        ("--service-time", "soon", "is not a duration"),
        ("--slo", "p95<", "--slo: 'p95<' is not an objective"),
        ("--slo", "timeouts<1%", "theory knows response times"),
        ("--slo", "p95>1s", "theory knows response times"),
        ("--variation", "-1", "from 0 (all jobs alike) to 10"),
        ("--variation", "nan", "from 0 (all jobs alike) to 10"),
        ("--price", "-1", "must be 0 or more"),
        ("--overhead", "-1s", "is not a duration"),
        ("--cpu", "2S", "give it in seconds"),
        ("--cpus", "nan", "--cpus nan: must be above 0"),
        ("--peak", "inf", "--peak inf: must be from 1"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str, value: str, says: str
) -> None:
    """Which option, what was wrong, and exit code 2."""
    code, out, err = run(monkeypatch, capsys, *ASKED, option, value)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_the_table_is_whole_on_eighty_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No heading and no figure is cut, with all the columns there are."""
    monkeypatch.setenv("COLUMNS", "80")
    asked = ("--rate", "4/s", "--service-time", "500ms", "--slo", "p50<1s,p95<2s,p99<3s,p99.9<4s")
    _, out, _ = run(monkeypatch, capsys, *asked, "--price", "0.04")
    assert "…" not in out
    assert "workers" in out
    table = [line.split("  ") for line in out.splitlines() if line.startswith(" 3 ✓")]
    assert [cell.strip() for cell in table[0] if cell.strip()] == [
        *("3 ✓", "67 %", "43 %", "617 ms", "500 ms", "1 s", "1.4 s", "1.9 s", "3", "8.33"),
    ]


def test_shared_cores_are_part_of_the_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """More workers than vCPU bring nothing and are told so; too few vCPU are a reason of their own."""
    asked = ("--service-time", "500ms", "--slo", "p95<20s", "--cpus", "1.5")
    code, out, _ = run(monkeypatch, capsys, "--rate", "2.5/s", *asked)
    assert code == 0
    assert "2 workers suffice for p95<20s, with 1.5 vCPU." in out
    assert "workers that share 1.5 vCPU" in out
    code, out, _ = run(monkeypatch, capsys, "--rate", "4/s", *asked)
    assert code == 1
    assert "1.5 vCPU are too few for the load" in out


def test_a_million_jobs_an_hour_are_planned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """24 million a day of 10 s each, three times that in the busiest hour: thousands of workers."""
    asked = ("--rate", "24000000/day", "--service-time", "10s", "--variation", "0.5", "--slo", "p95<25s")
    code, out, _ = run(monkeypatch, capsys, *asked, "--peak", "3", "--json")
    told = json.loads(out)
    assert code == 0
    assert 8_333 < told["workers"] < 8_700
