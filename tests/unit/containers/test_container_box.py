"""How a box is divided among containers where no control group can hold them all."""

import pytest

from bench.plan import Box
from bench.stack.containers.box import ContainerBox, split

BOX = Box(2.0, 2 * 2**30)


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_the_shares_of_a_queue_add_up_to_the_box(workers):
    """No container has more than is left, and all that there is, is given."""
    counts = {"broker": 1, "store": 1, "web": 1, "worker": workers}
    shares = split(BOX, counts)
    assert sum(share.cpus * counts[name] for name, share in shares.items()) == pytest.approx(2.0)
    assert sum(share.memory * counts[name] for name, share in shares.items()) == pytest.approx(
        BOX.memory, rel=1e-6
    )
    assert all(share.cpus > 0 and share.memory >= 64 * 2**20 for share in shares.values())


def test_a_system_of_one_container_has_all_of_it():
    """The blocking server is not to be smaller than in a box of processes."""
    assert split(BOX, {"blocking": 1}) == {"blocking": BOX}


def test_the_published_queue_is_divided_as_ours_is():
    """Else the comparison would be one of shares."""
    ours = split(BOX, {"broker": 1, "store": 1, "web": 1, "worker": 2})
    theirs = split(BOX, {"broker": 1, "store": 1, "published-web": 1, "published-worker": 2})
    assert list(ours.values()) == list(theirs.values())


def test_limits_are_written_so_that_swap_is_none():
    """Compose's default allows as much swap again."""
    limit = ContainerBox(BOX, None).limits({"blocking": 1})["blocking"]
    assert limit["deploy"]["resources"]["limits"] == {"cpus": "2.000", "memory": str(2 * 2**30)}
    assert limit["memswap_limit"] == str(2 * 2**30)
    assert "cgroup_parent" not in limit
