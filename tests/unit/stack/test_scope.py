"""A box by the user's systemd: what it is asked for, without a systemd."""

from pathlib import Path

import pytest

from bench.stack import scope
from bench.stack.cgroups import Cgroup2, GroupError


def fake(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text(f'#!/bin/sh\necho "{name} $@" >> {folder}/asked\n{script}\n')
    file.chmod(0o755)


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with programs that note what they were asked, first on PATH."""
    fake(tmp_path, "systemd-run", "true")
    fake(tmp_path, "systemctl", 'if [ "$2" = show ]; then echo /user/queuebench_12_ab_x.slice; fi')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(scope, "ROOT", tmp_path / "cgroup")
    return tmp_path


def test_a_slice_has_all_its_limits_before_anything_runs_in_it(systemd: Path) -> None:
    """CPU, memory and no swap; where systemd put the slice is asked, not guessed."""
    folder = systemd / "cgroup" / "user" / "queuebench_12_ab_x.slice"
    folder.mkdir(parents=True)
    (folder / "cgroup.procs").touch()
    made = scope.make("queuebench-12-ab-x", 1.5, 1000)
    asked = (systemd / "asked").read_text().splitlines()
    unit = "queuebench_12_ab_x.slice"
    assert asked[0] == (
        f"systemctl --user set-property --runtime {unit} CPUQuota=150% MemoryMax=1000 MemorySwapMax=0"
    )
    assert asked[1] == f"systemctl --user start {unit}"
    assert made.folders == [folder]


def test_a_slice_without_a_group_is_taken_back(systemd: Path) -> None:
    """systemd accepts limits that the kernel here can't hold: no box is better than a false one."""
    with pytest.raises(GroupError, match="without a group of version 2"):
        scope.make("queuebench-12-ab-x", 1.5, 1000)
    assert [line.split()[2] for line in (systemd / "asked").read_text().splitlines()[-2:]] == [
        "stop",
        "revert",
    ]


def test_a_session_without_a_manager_gives_its_own_words(systemd: Path) -> None:
    """In a container there is a systemctl but nobody behind it."""
    fake(systemd, "systemctl", "echo 'Failed to connect to bus: No medium found (see x)' >&2; exit 1")
    with pytest.raises(GroupError, match=r"No medium found$"):
        scope.make("queuebench-x", 1, 1000)


def test_no_systemd_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most containers have none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GroupError, match="no systemd"):
        scope.make("queuebench-x", 1, 1000)


def test_a_command_enters_the_slice_in_a_scope_of_its_own(tmp_path: Path) -> None:
    """A scope, unlike a service, becomes the command: same parent, same pid, same output."""
    prefix = scope.Scope("qb.slice", Cgroup2(tmp_path)).enter_prefix()
    assert prefix[:3] == ["systemd-run", "--user", "--scope"]
    assert "--slice=qb.slice" in prefix


def test_processes_of_all_scopes_are_in_the_box(tmp_path: Path) -> None:
    """Each process has a group of its own below the slice."""
    for name, pid in (("a.scope", 11), ("b.scope", 12)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").write_text(f"{pid}\n")
    assert scope.Scope("qb.slice", Cgroup2(tmp_path)).pids() == {11, 12}
