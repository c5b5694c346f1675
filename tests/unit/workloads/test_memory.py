"""memory: it is really taken, and really given back."""

import mmap
from pathlib import Path

import pytest

from workloads import VerificationError, load_task


def resident() -> int:
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_the_memory_is_resident_while_it_is_held_and_gone_afterwards(monkeypatch):
    """Every page is touched: 64 MB held are 64 MB resident, which is what fills a box."""
    seen = []
    monkeypatch.setattr("workloads.memory.time.sleep", lambda _: seen.append(resident()))
    before = resident()
    load_task("memory").run({"mb": 64, "seconds": 1})
    assert seen[0] - before > 63 * 2**20
    assert resident() - before < 16 * 2**20


@pytest.mark.parametrize("mb", [1, 1.7, 3.001, 7])
def test_sizes_that_are_no_round_number_of_steps_verify(mb):
    """Any size of 1 MB and more."""
    task = load_task("memory")
    task.verify({"mb": mb, "seconds": 0}, task.run({"mb": mb, "seconds": 0}))


@pytest.mark.parametrize("change", [{"checksum": 0}, {"mb": 5}, {"checksum": None}, {"more": 1}])
def test_another_checksum_or_size_does_not_verify(change):
    """What came back is compared with what must have been written."""
    task = load_task("memory")
    given = {"mb": 2, "seconds": 0}
    with pytest.raises(VerificationError):
        task.verify(given, {**task.run(given), **change})
