"""What `bench run` and `report` are asked for besides: refused in one line each, before anything runs."""

from pathlib import Path

import pytest

from bench import exits, request, spec
from bench.outputs import Outputs, fit_experiment, outputs


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    """One line each, with the option that it is about."""
    (tmp_path / "file").write_text("")
    with pytest.raises(spec.SpecError) as caught:
        outputs(["p96<2s", "queued@0.5C"], tmp_path, tmp_path / "file" / "run.json", None)
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert "--slo 'p96<2s': p96<2s: there is no metric p96" in lines[0]
    assert "--slo 'queued@0.5C'" in lines[1]
    assert lines[2].startswith(f"--junit {tmp_path}: is a folder")
    assert "is not a folder" in lines[3]


def test_a_file_in_a_folder_that_is_still_to_be_made_is_fine(tmp_path: Path) -> None:
    """`--junit out/junit.xml` in a fresh checkout."""
    wanted = outputs([], tmp_path / "out" / "deep" / "junit.xml", None, None)
    assert wanted
    assert not (tmp_path / "out").exists()
    assert not Outputs()


def test_objectives_are_held_against_the_experiment_as_it_will_be_run() -> None:
    """Parts that --task leaves out have no load to be named; --url knows one system only."""
    quick = spec.load("quick")
    fit_experiment(outputs(["blocking@burst6: late<1%"], None, None, None), quick, None)
    mine = request.for_own_task(quick, "sleep", {"seconds": 1})
    with pytest.raises(spec.SpecError, match="blocking is not run at burst6"):
        fit_experiment(outputs(["blocking@burst6: late<1%"], None, None, None), mine, None)
    there = request.for_url(quick, "http://127.0.0.1:1")
    fit_experiment(outputs(["external@0.5C: p50<2s"], None, None, None), there, "http://127.0.0.1:1")
    with pytest.raises(spec.SpecError, match="no system queued in this experiment; it has external"):
        fit_experiment(outputs(["queued@0.5C: p50<2s"], None, None, None), there, "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("codes", "code"),
    [((), 0), ((0, 3), 3), ((3, 1), 1), ((0, 1, 0), 1), ((130, 1), 130)],
)
def test_the_gravest_exit_code_wins(codes: tuple[int, ...], code: int) -> None:
    """What failed is certain; what is invalid is not: 1 goes before 3."""
    assert exits.gravest(*codes) == code
