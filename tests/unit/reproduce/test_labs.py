"""Labs: what they make of a journal, and what a failing one costs."""

import io
import json
import math
from dataclasses import replace

import pytest
from rich.console import Console

from bench.interrupt import Interrupted
from bench.progress import Progress
from bench.reproduce import carry_out
from bench.reproduce.carry_out import Found, Wish, judge
from bench.reproduce.claim import built_in
from bench.reproduce.consumers import SECONDS, shared
from bench.reproduce.lab import Lab, Place
from bench.reproduce.labs import LABS
from bench.reproduce.needs import choose
from bench.spec import SpecError
from bench.stack.errors import StackError


def journal(*consumers):
    """What consumers write who work one after another, each on so many messages, from the same instant on."""
    lines, job = [], 0
    for name, count in consumers:
        for n in range(count):
            for event, t in (("start", n * SECONDS), ("end", (n + 1) * SECONDS)):
                lines.append({"t": 1000 + t, "consumer": name, "event": event, "job": job})
            job += 1
    return lines


@pytest.mark.parametrize(
    ("counts", "share", "makespan"), [((20, 0), 1.0, 2.0), ((10, 10), 0.5, 1.0), ((5, 15), 0.75, 1.5)]
)
def test_the_busier_consumers_share_and_the_makespan_over_the_ideal(counts, share, makespan):
    """One who has everything takes twice the ideal time; two who share it take the ideal one."""
    found = shared(journal(("a", counts[0]), ("b", counts[1])))
    assert found == pytest.approx({"share": share, "makespan": makespan})


def test_consumers_that_got_nothing_have_no_shares():
    """Not a number, not an error: the claim can't be told then."""
    found = shared([{"t": 1.0, "consumer": "a", "event": "ready", "job": -1}])
    assert all(math.isnan(value) for value in found.values())


def wish(tmp_path, *only):
    return Wish("ci", built_in(), tmp_path / "out", only=only, command="bench reproduce")


def broken(place):
    """A lab that can't be carried out."""
    raise StackError("the broker is gone", hint="look at its log")


def played(monkeypatch, **labs):
    """Put other labs in the place of real ones; those that are not named must not run."""
    for name, run in labs.items():
        monkeypatch.setitem(LABS, name, replace(LABS[name], run=run, repeats=3))


def sound(name):
    """A lab whose figures bear its claims out."""
    good = {"lost_share_auto_ack": 1.0, "taken_over_manual_ack": 1.0, "share_no_limit_backlog_first": 1.0}
    return lambda place: {figure: good.get(figure, 0.0) for figure in LABS[name].figures}


def test_a_lab_that_fails_costs_its_own_claims_only(tmp_path, monkeypatch):
    """The others are told; the lost ones say why, in every file; exit code 1."""
    played(monkeypatch, shares=broken, crash=sound("crash"))
    screen = io.StringIO()
    code = carry_out.run(wish(tmp_path, "11", "12", "13", "14"), Console(file=screen, width=200))
    assert code == 1
    data = json.loads((tmp_path / "out" / "reproduce.json").read_text())
    assert {c["claim"][:2]: c["verdict"] for c in data["claims"]} == {
        "11": "can't tell", "12": "can't tell", "13": "reproduced", "14": "reproduced",
    }  # fmt: skip
    assert data["code"] == 1
    for name in ("summary.md", "index.html", "junit.xml"):
        assert "the lab failed: the broker is gone" in (tmp_path / "out" / name).read_text(), name
    assert "Something failed in measuring 11-" in screen.getvalue()
    assert 'errors="2"' in (tmp_path / "out" / "junit.xml").read_text()


def test_a_lab_that_fails_in_its_second_repeat_fails(tmp_path, monkeypatch):
    """One good repeat of three is no measurement."""
    runs = iter([sound("shares"), broken])

    def run(place):
        return next(runs)(place)

    played(monkeypatch, shares=run)
    assert carry_out.run(wish(tmp_path, "11"), Console(file=io.StringIO())) == 1
    assert not (tmp_path / "out" / "labs" / "shares.json").exists()


def test_labs_tell_how_long_it_still_takes(tmp_path):
    """The ETA falls from repeat to repeat and from lab to lab, to the last one's own length."""
    said: list[str] = []
    progress = Progress(Console(file=io.StringIO()))
    progress.stage = said.append

    def run(place: Place):
        place.say("working")
        return {"x": 1.0}

    labs = [Lab("one", "One", ("x",), run, seconds=60.0, repeats=2), Lab("two", "Two", ("x",), run, 120.0, 1)]
    progress.later = 240.0
    carry_out._labs(labs, (), Place(None, None, tmp_path / "labs", print), progress, Found())
    assert [line.rpartition("ETA ")[2] for line in said] == ["4:00", "3:00", "2:00"]
    assert said[0].startswith("lab 1 of 2  One, 1 of 2: working")


def test_an_interrupted_lab_ends_with_130(tmp_path, monkeypatch):
    """And leaves no folder of logs where nothing was measured."""

    def interrupted(place):
        raise Interrupted

    played(monkeypatch, crash=interrupted)
    screen = io.StringIO()
    assert carry_out.run(wish(tmp_path, "13"), Console(file=screen)) == 130
    assert "everything that was started has been ended" in screen.getvalue()
    assert not (tmp_path / "out").exists()


def test_an_interruption_keeps_the_labs_that_had_ended(tmp_path, monkeypatch):
    """It says where they lie, and that nothing goes on from there; no verdicts that look like all of them."""

    def interrupted(place):
        raise Interrupted

    played(monkeypatch, shares=sound("shares"), crash=interrupted)
    screen = io.StringIO()
    assert carry_out.run(wish(tmp_path, "11", "13"), Console(file=screen)) == 130
    lies = f"What was recorded lies in {tmp_path / 'out'}; it can't be continued: begin again.\n"
    assert screen.getvalue().endswith(lies)
    assert (tmp_path / "out" / "labs" / "shares.json").exists()
    assert not (tmp_path / "out" / "reproduce.json").exists()


def test_a_measure_that_fits_no_row_costs_its_own_claim_only():
    """Found after the measuring: told, with the others' verdicts."""
    claims = choose(built_in(), ["13", "14"])
    rows = [{"repeat": 1, **sound("crash")(None)}]
    twice = [*rows, *rows]  # two rows of one repeat, and no word on how to combine them
    told = judge(claims, Found(rows={claims[0].id: rows, claims[1].id: twice}))
    assert [t.judgement.verdict for t in told] == ["reproduced", "can't tell"]
    assert "2 trials of one repeat" in told[1].judgement.why
    assert told[1].trouble == 2


def test_a_file_in_the_place_of_the_output_is_left_alone(tmp_path):
    """Told before anything is started."""
    (tmp_path / "out").write_text("mine")
    with pytest.raises(SpecError, match="is not a folder"):
        carry_out.run(wish(tmp_path, "13"), Console(file=io.StringIO()))
    assert (tmp_path / "out").read_text() == "mine"
