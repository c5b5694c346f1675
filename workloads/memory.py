"""`memory`: takes N MB, touches every page, holds it for a time and gives it back, as a model does.

Where the box has less, the kernel kills the process: that is the failure this task is there to show.
"""

import contextlib
import mmap
import time
import zlib
from typing import Any

from workloads.inputs import fields, number, shown
from workloads.task import Task, VerificationError, no_nominal

MAX_MB = 65_536.0
MAX_SECONDS = 3_600.0
MB = 1024 * 1024
"""Bytes of the `mb` in the input: mebibytes."""
FORM = '{"mb": 64, "seconds": 0.5}'

PAGE = 4_096
"""Every page is touched where pages are of this size or larger."""
STEP = 256 * PAGE
"""Bytes touched at a time: between steps other threads of the process get their turn."""


def task() -> Task:
    """The task `memory`. Input: MB and seconds to hold them. Output: {"mb", "checksum"}."""
    return Task(
        name="memory",
        run=run,
        check=check,
        verify=verify,
        example={"mb": 64, "seconds": 0.25},
        probe={"mb": 1, "seconds": 0},
        holds_gil=lambda _: False,
        nominal=no_nominal,
    )


def check(value: Any) -> dict[str, float]:
    """Normalise to {"mb", "seconds"}. Raises InvalidInput; of a size above the limit too."""
    asked = fields(value, FORM, ["mb", "seconds"])
    return {
        "mb": number(asked["mb"], "mb of memory", 1, MAX_MB),
        "seconds": number(asked["seconds"], "seconds of memory", 0, MAX_SECONDS),
    }


def run(value: Any) -> dict[str, Any]:
    """Take the memory, write to every page, hold it, read it back, free it.

    Raises MemoryError or OSError where the system says no; more often the kernel kills the process instead.
    """
    asked = check(value)
    size = _size(asked["mb"])
    # A private mapping and not a bytearray: it surely goes back to the system at the end, whatever its size.
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as region:
        _ask_for_large_pages(region)
        for at, mark in _marks(size):
            region[at : at + len(mark) * PAGE : PAGE] = mark
        time.sleep(asked["seconds"])
        checksum = 0
        for at, mark in _marks(size):
            checksum = zlib.crc32(region[at : at + len(mark) * PAGE : PAGE], checksum)
    return {"mb": asked["mb"], "checksum": checksum}


def verify(value: Any, output: Any) -> None:
    """What was read back from all pages is what was written to them."""
    asked = check(value)
    checksum = 0
    for _, mark in _marks(_size(asked["mb"])):
        checksum = zlib.crc32(mark, checksum)
    if output != {"mb": asked["mb"], "checksum": checksum}:
        raise VerificationError(
            f"memory was to hold {asked['mb']:g} MB and gave {shown(output)} with other content"
        )


def _ask_for_large_pages(region: mmap.mmap) -> None:
    # As numpy does for its arrays: six times as quick to touch, and as much memory in the end.
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel built without them
            region.madvise(mmap.MADV_HUGEPAGE)


def _size(mb: float) -> int:
    """Bytes, in whole pages."""
    return -(-int(mb * MB) // PAGE) * PAGE


def _marks(size: int) -> list[tuple[int, bytes]]:
    """What is written where: offset of a step and one byte for each page of it."""
    turn = bytes((page * 31 + 7) % 251 + 1 for page in range(STEP // PAGE))
    return [(at, turn[: (min(STEP, size - at)) // PAGE]) for at in range(0, size, STEP)]
