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
    for name in ("systemd-run", "busctl", "systemctl"):
        fake(tmp_path, name, "true")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def test_a_slice_is_asked_for_with_all_three_limits(systemd: Path) -> None:
    """CPU, memory and no swap go in with the slice, so nothing ever runs in it without them."""
    with pytest.raises(GroupError, match="without a version-2 group"):
        scope.make("queuebench-12-ab-x", 1.5, 1000)
    asked = (systemd / "asked").read_text()
    assert "StartTransientUnit ssa(sv)a(sa(sv)) queuebench_12_ab_x.slice replace 3" in asked
    assert "CPUQuotaPerSecUSec t 1500000 MemoryMax t 1000 MemorySwapMax t 0 0" in asked


def test_a_session_without_a_manager_gives_its_own_words(systemd: Path) -> None:
    """In a container there is a systemctl but nobody behind it."""
    fake(systemd, "busctl", "echo 'Failed to connect to bus: No medium found' >&2; exit 1")
    with pytest.raises(GroupError, match="No medium found"):
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
