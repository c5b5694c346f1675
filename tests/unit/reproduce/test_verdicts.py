"""The table of verdicts: what is told of each claim, what fails a build, and what is written down."""

import json
from xml.etree import ElementTree

import pytest

from bench.records import RunFolderError
from bench.reproduce import outcome
from bench.reproduce.claim import Claim, ClaimSpec
from bench.reproduce.needs import Needs
from bench.reproduce.verdicts import exit_code, tell
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
    both = tell(claim(), [row(0.1, validity="INVALID"), row(1.0)])
    assert (both.judgement.verdict, exit_code([both])) == ("reproduced", 0)


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


@pytest.mark.parametrize("text", ["", "[]", '{"format": 99}', '{"format": 1, "claims": 3}'])
def test_a_damaged_folder_is_one_clear_line(tmp_path, text):
    """Never a traceback."""
    (tmp_path / "reproduce.json").write_text(text)
    with pytest.raises(RunFolderError):
        outcome.read(tmp_path)
