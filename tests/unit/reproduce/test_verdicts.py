"""The table of verdicts: what is told of each claim, what fails a build, and what is written down."""

import json
from xml.etree import ElementTree

import pytest

from bench.records import RunFolderError
from bench.reproduce import outcome
from bench.reproduce.claim import Claim, ClaimSpec
from bench.reproduce.needs import Needs
from bench.reproduce.verdicts import asked, exit_code, tell, untold
from bench.spec import SpecError

SPEC = {
    "text": "The queue <delivers> | all.",
    "source": "a text",
    "expected": "reproduced",
    "part": "load*",
    "measure": {"metric": "delivered_share", "select": {"system": "queued"}, "unit": "share"},
    "holds": {"above": "95%", "margin": 0.01},
    "also": [{"label": "lost", "metric": "lost", "select": {"system": "queued"}}],
}


def claim(**changes):
    return Claim(id="delivers", spec=ClaimSpec.model_validate(SPEC | changes), file="delivers.toml")


def row(share, *, part="load-1", validity="VALID", lost=0, repeat=1):
    return {"repeat": repeat, "part": part, "system": "queued", "delivered_share": share, "lost": lost,
            "validity": validity, "text": "x"}  # fmt: skip


def test_a_claim_is_judged_by_the_trials_of_its_part_alone():
    """Another part's trial, however bad, says nothing of it."""
    told = tell(claim(), [row(1.0), row(0.0, part="other")])
    assert (told.judgement.verdict, told.measured, told.also) == ("reproduced", "100 %", (("lost", "0"),))
    assert exit_code([told]) == 0


def test_a_run_where_the_queue_loses_fails():
    """A claim that must fail does: half of the jobs did not come back."""
    told = tell(claim(), [row(0.5, lost=12)])
    assert told.judgement.verdict == "refuted"
    assert told.fails
    assert exit_code([told]) == 1


def test_a_claim_recorded_as_refuted_fails_when_it_comes_true():
    """Whoever repairs the published consumer must hear of it."""
    assert tell(claim(expected="refuted"), [row(1.0)]).fails
    assert not tell(claim(expected="refuted"), [row(0.2)]).fails


def test_times_of_this_machine_fail_nothing():
    """A faster machine is no broken build."""
    told = tell(claim(absolute=True), [row(0.5)])
    assert told.differs
    assert not told.fails
    assert exit_code([told]) == 0


def test_what_can_not_be_told_is_no_difference():
    """95.5 % is not clear of 95 %."""
    told = tell(claim(), [row(0.955)])
    assert told.judgement.verdict == "can't tell"
    assert exit_code([told]) == 0


def test_trials_that_must_not_be_believed_are_left_out_and_said():
    """An invalid trial refutes nothing; where nothing else is there, the exit code says so."""
    told = tell(claim(), [row(0.1, validity="INVALID")])
    assert (told.judgement.verdict, told.unbelievable) == ("can't tell", 1)
    assert exit_code([told]) == 3
    both = tell(claim(), [row(0.1, validity="INVALID"), row(1.0, repeat=2)])
    assert (both.judgement.verdict, exit_code([both])) == ("reproduced", 0)


@pytest.mark.parametrize("combine", ["max", "min", "median", "sum"])
@pytest.mark.parametrize("validity", ["INVALID", ""])
def test_the_worst_of_several_trials_needs_all_of_them(combine, validity):
    """The one that may not be believed, or failed, may have been the worst: nothing is told without it."""
    measure = SPEC["measure"] | {"combine": combine}
    rows = [row(1.0), row(0.1, validity=validity), row(1.0)]
    told = tell(claim(measure=measure, also=[]), rows)
    assert told.judgement.verdict == "can't tell"
    assert told.judgement.why


def test_a_failed_trial_is_told_with_its_reason_and_fails():
    """Exit code 1, whatever the other repeats say."""
    failed = row(0.0, validity="") | {"status": "failed", "reason": "no such luck\nand more"}
    told = tell(claim(), [failed])
    assert (told.judgement.verdict, told.judgement.why) == ("can't tell", "a trial failed: no such luck")
    assert exit_code([told]) == 1
    assert exit_code([tell(claim(), [failed, row(1.0, repeat=2)])]) == 1


def test_what_could_not_be_measured_is_no_loss_of_the_others():
    """Its own line and reason; 2 where the claim's file is wrong, 1 where a lab failed."""
    good, lost = tell(claim(), [row(1.0)]), untold(claim(), "the lab failed: no broker")
    assert (lost.judgement.verdict, lost.judgement.why) == ("can't tell", "the lab failed: no broker")
    assert exit_code([good, lost]) == 1
    assert exit_code([lost, untold(claim(), "wrong", 2)]) == 2


def test_every_claim_says_how_it_was_measured():
    """Where, which figure, and on which side of which limit."""
    assert asked(claim()) == "part load*: delivered_share (system queued) above 95 %"
    ratio = {"metric": "makespan_s", "select": {"workers": 1}, "over": {"workers": 2}, "unit": "times"}
    assert asked(claim(measure=ratio)) == "part load*: makespan_s (workers 1 over workers 2) above 0.95 ×"
    assert asked(claim(part="", lab="crash")).startswith("lab crash: ")


def test_a_measure_that_fits_no_row_names_its_file():
    """The claim's author has to correct it."""
    with pytest.raises(SpecError, match=r"delivers\.toml: trials have no colour"):
        tell(claim(measure={"metric": "colour"}), [row(1.0)])


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_everything_that_is_written_can_be_read(tmp_path, share):
    """JSON, Markdown, JUnit and the page, from one table; a text's own marks do not break them."""
    folder = tmp_path / "out"
    folder.mkdir()
    state = {
        "profile": "ci", "command": "bench reproduce", "ended": "2026-01-01T00:00:00+00:00", "seconds": 60.0,
        "environment": {"cpu": "a CPU", "cores": 2, "python": "3.12"}, "box": {"cpus": 1.5},
        "measured_share": 0.9, "labs": {},
    }  # fmt: skip
    code = outcome.write(folder, state, [tell(claim(), [row(share)])], Needs((), (), ()))
    data = json.loads((folder / "reproduce.json").read_text())
    assert data["code"] == code == (0 if share == 1 else 1)
    assert "&lt;delivers> \\| all" in (folder / "summary.md").read_text()
    page = (folder / "index.html").read_text()
    assert "The queue &lt;delivers&gt; | all." in page
    suite = ElementTree.parse(folder / "junit.xml").getroot()
    assert suite.get("failures") == ("0" if share == 1 else "1")
    assert outcome.build(folder) == folder / "index.html"


def test_a_record_without_something_is_one_clear_line(tmp_path):
    """Whatever is missing or of another kind: rebuilt all the same, or told."""
    state = {
        "profile": "ci", "command": "bench reproduce", "ended": "2026-01-01T00:00:00+00:00", "seconds": 60.0,
        "environment": {"cpu": "a CPU", "cores": 2, "python": "3.12"}, "box": {"cpus": 1.5},
        "measured_share": 0.9, "labs": {},
    }  # fmt: skip
    outcome.write(tmp_path, state, [tell(claim(), [row(1.0)])], Needs((), (), ()))
    whole = json.loads((tmp_path / "reproduce.json").read_text())
    refused = 0
    for where in (None, 0):
        for key in whole if where is None else whole["claims"][0]:
            for value in (None, 3, "x", []):
                damaged = json.loads(json.dumps(whole))
                (damaged if where is None else damaged["claims"][0])[key] = value
                (tmp_path / "reproduce.json").write_text(json.dumps(damaged))
                try:
                    outcome.build(tmp_path)
                except RunFolderError:
                    refused += 1
    assert refused > 20


@pytest.mark.parametrize("text", ["", "[]", '{"format": 99}', '{"format": 1, "claims": 3}'])
def test_a_damaged_folder_is_one_clear_line(tmp_path, text):
    """Never a traceback."""
    (tmp_path / "reproduce.json").write_text(text)
    with pytest.raises(RunFolderError):
        outcome.read(tmp_path)
