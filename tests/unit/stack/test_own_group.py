"""How often a quota stopped the harness itself, from whatever control groups there are."""

from bench.stack.cgroup_places import Places
from bench.stack.own_group import throttled_periods


def group(folder, throttled):
    folder.mkdir(parents=True)
    if throttled is not None:
        (folder / "cpu.stat").write_text(f"nr_periods 9\nnr_throttled {throttled}\nthrottled_time 5\n")
    return folder


def test_the_own_group_counts_with_those_above_it(tmp_path):
    """A quota of the container stops who is in a group within it."""
    outer = group(tmp_path / "a", 3)
    inner = group(tmp_path / "a" / "b", 2)
    assert throttled_periods(Places({"cpu": [inner, outer]}, [])) == 5
    assert throttled_periods(Places({}, [inner, outer])) == 5


def test_groups_that_tell_nothing_are_passed_over(tmp_path):
    """The root of version 2 has no quota; where no group tells, it is not known."""
    silent = group(tmp_path / "root", None)
    assert throttled_periods(Places({}, [group(tmp_path / "root" / "own", 0), silent])) == 0
    assert throttled_periods(Places({}, [silent])) is None
    assert throttled_periods(Places({}, [])) is None


def test_a_file_that_says_something_else_is_no_error(tmp_path):
    """A sample is left out, a trial is not."""
    strange = group(tmp_path / "x", None)
    (strange / "cpu.stat").write_text("nr_throttled many\n")
    assert throttled_periods(Places({}, [strange])) is None


def test_this_machine_can_be_asked():
    """A count that never falls, or nothing."""
    first, second = throttled_periods(), throttled_periods()
    assert (first is None) == (second is None)
    assert first is None or second >= first >= 0
