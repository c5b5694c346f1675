"""Claims as data: what may stand in a file, what is told of what may not."""

import re
from pathlib import Path

import pytest

from bench.load.assignment import MAX_IN_FLIGHT
from bench.report.columns import COLUMNS
from bench.reproduce.claim import built_in, read_claims
from bench.reproduce.labs import LABS
from bench.reproduce.needs import PROFILES, choose, needs, profile_experiment
from bench.spec import SpecError

GOOD = """
text = "Two consumers are faster than one."
source = "a colleague"
expected = "reproduced"
part = "workers"
[measure]
metric = "slowest_delivered_s"
select = { workers = 1 }
over = { workers = 2 }
[holds]
above = 1.2
"""


def write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.toml").write_text(text)


def test_the_source_texts_claims_can_be_run_in_every_profile():
    """Each claim that we ship finds its part or lab, by profile."""
    for profile in PROFILES:
        wanted = needs(built_in(), profile)
        assert {lab.name for lab in wanted.labs} == set(LABS)
        assert not wanted.absent
        covered = {claim.id for sweep in wanted.sweeps for claim in sweep.claims}
        assert covered == {claim.id for claim in built_in() if claim.spec.part}


def test_no_trial_runs_that_no_claim_asks_for():
    """Each part of a profile's experiment belongs to a claim."""
    for profile in PROFILES:
        (sweep,) = needs(built_in(), profile).sweeps
        assert sweep.experiment.parts == profile_experiment(profile).parts


def test_every_metric_of_the_claims_is_a_column_or_a_labs_figure():
    """A misspelt metric would be found only after minutes of measuring."""
    columns = {column.name for column in COLUMNS}
    for claim in built_in():
        known = set(LABS[claim.spec.lab].figures) if claim.spec.lab else columns
        for measure in (claim.spec.measure, *claim.spec.also):
            named = {measure.metric, measure.per, measure.against, *measure.select, *(measure.over or {})}
            assert named - {""} <= known, claim.id


def test_a_claim_of_ones_own_is_read(tmp_path):
    """A folder with one file is enough."""
    write(tmp_path, "faster", GOOD)
    (claim,) = read_claims(tmp_path)
    assert claim.id == "faster"
    assert claim.spec.measure.measure.over == {"workers": (2,)}
    assert claim.spec.holds.limits.above == 1.2


def test_all_mistakes_of_a_folder_are_told_at_once(tmp_path):
    """Each with its file and key, and what would be right."""
    write(tmp_path, "one", GOOD.replace("above = 1.2", 'above = "soon"'))
    write(tmp_path, "two", GOOD.replace('expected = "reproduced"', 'expected = "true"') + "colour = 3\n")
    write(tmp_path, "three", "text = [")
    write(tmp_path, "four", GOOD.replace('part = "workers"', ""))
    write(tmp_path, "five", GOOD.replace("above = 1.2", ""))
    with pytest.raises(SpecError) as caught:
        read_claims(tmp_path)
    told = str(caught.value)
    for line in (
        r"one\.toml: holds\.above: 'soon' is not a",
        r"two\.toml: expected: .*found 'true'",
        r"two\.toml: holds\.colour: unknown key",
        r"three\.toml: can't be read",
        r"four\.toml: give either part or lab",
        r"five\.toml: holds: give above, below or both",
    ):
        assert re.search(line, told), line


def test_an_empty_folder_is_told(tmp_path):
    """So that a wrong path does not pass for "all claims hold"."""
    with pytest.raises(SpecError, match="there is no claim in it"):
        read_claims(tmp_path)
    with pytest.raises(SpecError, match="not a folder"):
        read_claims(tmp_path / "none")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (('part = "workers"', 'part = "wrokers"'), "no part 'wrokers'"),
        (('part = "workers"', 'lab = "kitchen"'), "no lab 'kitchen'"),
        (('part = "workers"', 'part = "workers"\nexperiment = "none.toml"'), "nor a file that can be read"),
    ],
)
def test_a_claim_that_nothing_can_measure_is_told_before_anything_runs(tmp_path, changed, told):
    """Unknown parts, labs and experiment files."""
    write(tmp_path, "faster", GOOD.replace(*changed))
    with pytest.raises(SpecError, match=told):
        needs(read_claims(tmp_path), "ci")


def test_a_claim_may_bring_its_own_experiment(tmp_path):
    """A file beside it, of which only the part that is needed runs."""
    (tmp_path / "mine").mkdir()
    part = 'shows = "burst"\nsystems = ["queued"]\nworkers = [1, 2]\narrivals = "burst"\nsizes = [4]\n'
    (tmp_path / "mine" / "own.toml").write_text(
        'task = "spin"\ndeadline = "6S"\n'
        f'[[parts]]\nname = "workers"\n{part}[[parts]]\nname = "other"\n{part}'
    )
    write(
        tmp_path, "faster", GOOD.replace('part = "workers"', 'part = "workers"\nexperiment = "mine/own.toml"')
    )
    (sweep,) = needs(read_claims(tmp_path), "ci").sweeps
    assert [p.name for p in sweep.experiment.parts] == ["workers"]


def test_claims_are_chosen_by_how_their_names_begin():
    """`--only 13` is enough; what fits none is told with what there is."""
    assert [c.id for c in choose(built_in(), ["13", "14"])] == [
        "13-auto-ack-loses",
        "14-manual-ack-hands-over",
    ]
    with pytest.raises(SpecError, match="no such claim; there are 01-"):
        choose(built_in(), ["99"])


def test_an_unknown_profile_is_told_with_those_that_there_are():
    """Whatever the claims need."""
    with pytest.raises(SpecError, match="--profile fast: there are ci and blog"):
        needs(choose(built_in(), ["13"]), "fast")


def test_the_whole_of_the_captions_runs_when_asked():
    """40,000 instead of a part of them, by no more clients at once than the generator holds."""
    for profile in PROFILES:
        (sweep,) = needs(choose(built_in(), ["15"]), profile, whole=True).sweeps
        (part,) = sweep.experiment.parts
        ((users,), jobs) = part.sizes, part.jobs_per_user
        assert (part.arrivals, users * jobs) == ("closed", 40_000)
        assert users < MAX_IN_FLIGHT


def test_no_burst_is_more_than_the_generator_holds():
    """What it drops is never submitted, and would look like a makespan of fewer jobs."""
    for profile in PROFILES:
        for part in profile_experiment(profile).parts:
            assert all(size <= MAX_IN_FLIGHT for size in part.sizes), part.name


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            ('metric = "slowest_delivered_s"', 'metric = "makespan"'),
            "faster.toml: trials has no 'makespan'; did you",
        ),
        (("workers = 2", "colour = 2"), "no 'colour'"),
        (
            ('part = "workers"', 'lab = "crash"'),
            "crash has no 'slowest_delivered_s'; there are lost_auto_ack",
        ),
    ],
)
def test_a_column_that_nothing_has_is_told_before_anything_runs(tmp_path, changed, told):
    """Not after the minutes that the measuring takes."""
    write(tmp_path, "faster", GOOD.replace(*changed))
    with pytest.raises(SpecError, match=told):
        needs(read_claims(tmp_path), "ci")


@pytest.mark.parametrize("name", ["labs", "logs", "claims-ci", "twin"])
def test_two_runs_never_share_a_folder(tmp_path, name):
    """An experiment of one's own named like another, or like a folder of ours."""
    part = '[[parts]]\nname = "x"\nshows = "burst"\nsystems = ["gunicorn"]\narrivals = "burst"\nsizes = [4]\n'
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        own = name if folder == "a" else "twin"
        (tmp_path / folder / "own.toml").write_text(f'name = "{own}"\ntask = "spin"\ndeadline = "6S"\n{part}')
        write(
            tmp_path,
            folder,
            GOOD.replace('part = "workers"', f'part = "x"\nexperiment = "{folder}/own.toml"'),
        )
    write(tmp_path, "c", GOOD)
    with pytest.raises(SpecError, match=rf"its name, '{name}', is taken by"):
        needs(read_claims(tmp_path), "ci")
