"""Control groups as files: where one can be made, what is written, what is read."""

from pathlib import Path

import pytest

from bench.stack.cgroup_places import Places, make1, make2, places
from bench.stack.cgroups import Cgroup1, Cgroup2, GroupError

MIB = 2**20


def test_places_of_version_1_are_the_own_group_and_those_above_it() -> None:
    """A harness that is already inside a group makes its box in there, where it may."""
    there = places(
        "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
        "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
        "33 31 0:30 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n",
        "4:memory:/user/me\n3:cpu,cpuacct:/\n0::/\n",
    )
    root = Path("/sys/fs/cgroup")
    assert there.v1["memory"] == [root / "memory/user/me", root / "memory/user", root / "memory"]
    assert there.v1["cpu"] == there.v1["cpuacct"] == [root / "cpu,cpuacct"]
    assert there.v2 == []


def test_places_inside_a_container_follow_the_part_of_the_tree_that_is_mounted() -> None:
    """Docker mounts the container's own group as the top: the path outside means nothing here."""
    there = places(
        "33 31 0:30 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
        "4:memory:/docker/abc\n",
    )
    assert there.v1["memory"] == [Path("/sys/fs/cgroup/memory")]


def test_places_outside_the_own_namespace_are_the_top() -> None:
    """A path that leads upwards out of the visible tree is not followed."""
    there = places("33 31 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/../other\n")
    assert there.v2 == [Path("/sys/fs/cgroup")]


def test_places_of_version_2() -> None:
    """The session's own group comes first, the root of the tree last."""
    there = places(
        "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n",
        "0::/user.slice/user-1000.slice/x.scope\n",
    )
    assert there.v2[0] == Path("/sys/fs/cgroup/user.slice/user-1000.slice/x.scope")
    assert there.v2[-1] == Path("/sys/fs/cgroup")


def delegated(tmp_path: Path, controllers: str) -> Path:
    """A folder that looks like a group of version 2 with these controllers handed down."""
    parent = tmp_path / "delegated"
    parent.mkdir()
    (parent / "cgroup.controllers").write_text(controllers)
    (parent / "cgroup.subtree_control").write_text(controllers)
    return parent


def test_a_group_of_version_2_is_made_where_both_controllers_are(tmp_path: Path) -> None:
    """Half a cap nearby is worse than a whole one further up."""
    near = tmp_path / "near"
    near.mkdir()
    (near / "cgroup.controllers").write_text("memory pids")
    (near / "cgroup.subtree_control").write_text("memory pids")
    up = delegated(tmp_path, "cpu memory pids")
    assert make2(Places({}, [near, up]), "box").folder == up / "box"


def test_half_a_cap_is_better_than_none(tmp_path: Path) -> None:
    """Memory alone is capped where the CPU can't be."""
    up = delegated(tmp_path, "memory pids")
    assert make2(Places({}, [up]), "box").folder == up / "box"


def test_no_group_where_there_is_no_controller(tmp_path: Path) -> None:
    """The reason is said, for the doctor to pass on."""
    with pytest.raises(GroupError, match="no cpu and memory controller"):
        make2(Places({}, [delegated(tmp_path, "pids")]), "box")
    with pytest.raises(GroupError, match="not mounted"):
        make2(Places({}, []), "box")
    with pytest.raises(GroupError, match="not mounted"):
        make1(Places({}, []), "box")


def test_controllers_that_share_a_hierarchy_share_a_folder(tmp_path: Path) -> None:
    """cpu and cpuacct are one mount on most machines of version 1."""
    group = make1(Places({"cpu": [tmp_path], "cpuacct": [tmp_path]}, []), "box")
    assert group.folders == [tmp_path / "box"]


def test_limits_of_version_2_are_written_and_read_back(tmp_path: Path) -> None:
    """1.5 CPUs are 150 ms in each 100; swap is none."""
    for name in ("cpu.max", "memory.max", "memory.swap.max"):
        (tmp_path / name).write_text("max")
    group = Cgroup2(tmp_path)
    assert group.in_force() == (None, None)
    group.limit(1.5, 512 * MIB)
    assert (tmp_path / "cpu.max").read_text() == "150000 100000"
    assert group.in_force() == (1.5, 512 * MIB)
    assert group.swap_off()


def test_usage_of_version_2(tmp_path: Path) -> None:
    """File cache that nobody needs is not what a system uses; microseconds become seconds."""
    (tmp_path / "cpu.stat").write_text(
        "usage_usec 2500000\nuser_usec 1\nnr_periods 30\nnr_throttled 12\nthrottled_usec 450000\n"
    )
    (tmp_path / "memory.current").write_text(f"{300 * MIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {100 * MIB}\n")
    (tmp_path / "memory.events").write_text("low 0\noom 2\noom_kill 1\n")
    assert Cgroup2(tmp_path).usage() == pytest.approx(
        {
            "cpu": 2.5,
            "periods": 30.0,
            "throttled_periods": 12.0,
            "throttled": 0.45,
            "memory": 200.0 * MIB,
            "oom_kills": 1.0,
        }
    )


def test_usage_leaves_out_what_is_not_known(tmp_path: Path) -> None:
    """A missing counter is a missing key, not a zero."""
    assert Cgroup2(tmp_path).usage() == {}
    assert Cgroup1({}).usage() == {}


def test_limits_of_version_1_are_written_from_the_right_side(tmp_path: Path) -> None:
    """The kernel refuses memory-with-swap under memory: growing and shrinking go in opposite order."""
    for name in ("cpu.cfs_period_us", "cpu.cfs_quota_us"):
        (tmp_path / name).write_text("-1")
    for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"):
        (tmp_path / name).write_text(str(2**63 - 4096))
    group = Cgroup1({"cpu": tmp_path, "memory": tmp_path})
    assert group.in_force() == (None, None)
    group.limit(0.5, 64 * MIB)
    assert group.in_force() == (0.5, 64 * MIB)
    assert group.swap_off()
    assert (tmp_path / "cpu.cfs_quota_us").read_text() == "50000"


def test_usage_of_version_1(tmp_path: Path) -> None:
    """Nanoseconds become seconds."""
    (tmp_path / "cpu.stat").write_text("nr_periods 10\nnr_throttled 4\nthrottled_time 200000000\n")
    (tmp_path / "cpuacct.usage").write_text("1500000000\n")
    (tmp_path / "memory.usage_in_bytes").write_text(f"{10 * MIB}\n")
    (tmp_path / "memory.stat").write_text(f"total_inactive_file {4 * MIB}\n")
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    usage = Cgroup1({"cpu": tmp_path, "cpuacct": tmp_path, "memory": tmp_path}).usage()
    assert usage["cpu"] == pytest.approx(1.5)
    assert usage["throttled"] == pytest.approx(0.2)
    assert (usage["memory"], usage["oom_kills"]) == (6.0 * MIB, 3.0)


def test_a_limit_that_is_refused_says_which_file(tmp_path: Path) -> None:
    """A cap that was not written is not a cap."""
    (tmp_path / "cpu.max").mkdir()
    with pytest.raises(GroupError, match=r"cpu\.max"):
        Cgroup2(tmp_path).limit(1, MIB)
