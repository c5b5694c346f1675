"""The box really holds: CPU, memory, swap; deaths in it are told from others; it goes without a trace."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_trial import MIB, small_trial

from bench.interrupt import Interrupted, interruptible
from bench.plan import Box
from bench.stack import StackError
from bench.stack import box as box_module
from bench.stack.box import BoxHandle, BoxKind, detect_caps, open_box
from bench.stack.calibrate import calibrate
from bench.stack.cgroups import Group
from bench.stack.deploy import deployment
from bench.stack.ready import NotYet, ask
from bench.stack.services import Services
from bench.stack.workspace import Workspace

pytestmark = [pytest.mark.integration, pytest.mark.caps]

PATIENCE = 20.0
"""Seconds after which a test says that something never happened."""
SPIN = "while True: pass"


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """Wait until it is so, and return what the condition gave."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)
    return found


def inside(box: BoxHandle, *words: str) -> subprocess.Popen[str]:
    """Start a command in the box."""
    return subprocess.Popen([*box.enter_prefix(), *words], text=True, stdout=subprocess.PIPE)


def test_what_was_asked_for_is_in_force() -> None:
    """Read back from the kernel, not remembered."""
    with open_box("asked", Box(0.5, 100 * MIB)) as box:
        force = box.in_force()
        assert force["cpus"] == 0.5
        assert force["cpus_by"] == "quota"
        assert force["memory"] == 100 * MIB
        assert force["swap_off"]
        assert force["kind"] == detect_caps().kind
        assert len(force["pinned"]) == 1


def test_a_command_starts_inside_and_on_the_boxs_cores() -> None:
    """Not moved in later: nothing of it runs outside. Its children are inside too."""
    code = "import os; print(os.getpid(), len(os.sched_getaffinity(0)), flush=True); os.fork(); input()"
    with open_box("enter", Box(0.5, 100 * MIB)) as box:
        command = subprocess.Popen(
            [*box.enter_prefix(), sys.executable, "-c", code],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert command.stdout is not None
        pid, cores = command.stdout.readline().split()
        assert int(pid) == command.pid
        assert int(cores) == 1
        eventually(lambda: len(box.pids()) == 2, "parent and child in the box")
        assert command.pid in box.pids()
    command.wait()


def test_the_cpu_cap_holds_and_throttling_is_counted() -> None:
    """Two burners under half a CPU get half a CPU, and the record says how often they were stopped."""
    with open_box("cpu", Box(0.5, 100 * MIB)) as box:
        burners = [inside(box, sys.executable, "-c", SPIN) for _ in range(2)]
        eventually(lambda: box.usage()["throttled_periods"] >= 3, "throttling")
        before, began = box.usage(), time.monotonic()
        eventually(lambda: box.usage()["periods"] >= before["periods"] + 10, "ten more periods")
        # on a machine that is busy otherwise they may get less than their half for a while
        eventually(lambda: box.usage()["throttled"] > before["throttled"], "they are stopped again")
        after, elapsed = box.usage(), time.monotonic() - began
        assert after["cpu"] - before["cpu"] <= 0.5 * elapsed + 0.1
    assert [burner.wait() for burner in burners] == [-9, -9]


def test_memory_over_the_cap_is_killed_and_counted() -> None:
    """A real kill by the kernel, told from any other; the machine's own memory is safe."""
    with open_box("memory", Box(1.0, 64 * MIB)) as box:
        assert box.usage()["oom_kills"] == 0
        greedy = inside(box, sys.executable, "-c", "b = bytearray(200 << 20); print('got it')")
        assert greedy.wait(PATIENCE) == -9
        assert box.usage()["oom_kills"] == 1
        modest = inside(box, sys.executable, "-c", "b = bytearray(20 << 20); print('got it')")
        assert modest.communicate(timeout=PATIENCE)[0] == "got it\n"


def test_a_closed_box_takes_everything_in_it_along() -> None:
    """Also what has left its session; the group itself is gone."""
    with open_box("close", Box(1.0, 100 * MIB)) as box:
        stray = inside(box, "setsid", "sleep", "600")
        eventually(box.pids, "the stray in the box")
        assert box.group is not None
        folders = box.group.folders
    assert stray.wait(PATIENCE) is not None
    assert not any(folder.exists() for folder in folders)


def test_two_boxes_do_not_meet() -> None:
    """A trial's box and the services' may stand side by side."""
    with open_box("a", Box(0.5, 64 * MIB)) as first, open_box("b", Box(1.0, 128 * MIB)) as second:
        assert first.in_force()["memory"] == 64 * MIB
        assert second.in_force()["memory"] == 128 * MIB


def test_a_box_inside_a_box(tmp_path: Path) -> None:
    """A harness that is itself confined, as in CI, makes its box in its own."""
    code = (
        "from bench.plan import Box\nfrom bench.stack.box import open_box\n"
        "with open_box('inner', Box(0.25, 32 << 20)) as box:\n"
        "    print(box.in_force()['cpus'], box.in_force()['memory'], *box.group.folders)\n"
    )
    with open_box("outer", Box(1.0, 256 * MIB)) as outer:
        said = inside(outer, sys.executable, "-c", code).communicate(timeout=PATIENCE)[0].split()
        assert outer.group is not None
        tops = {folder.name for folder in outer.group.folders}
    assert said[:2] == ["0.25", str(32 * MIB)]
    assert all(any(top in folder for top in tops) for folder in said[2:])


def test_an_oom_kill_of_a_server_is_seen_attributed_and_survived(tmp_path: Path) -> None:
    """Concurrent copies that do not fit together: the kernel kills the blocking server, and it comes back."""
    trial = small_trial("blocking", task="memory", job_input={"mb": 1, "seconds": 0}, box=Box(1.0, 160 * MIB))
    with (
        Services(tmp_path) as services,
        deployment(trial, services=services, folder=tmp_path, journal=tmp_path / "journal") as deployed,
    ):
        first = next(process.pid for process in deployed.processes() if process.role == "web")
        with pytest.raises((NotYet, urllib.error.URLError)):
            ask(deployed.base_url, "POST", "/run", {"input": {"mb": 400, "seconds": 1}}, timeout=PATIENCE)
        eventually(lambda: len(deployed.events()) >= 3, "died, oom_kill and restarted")
        events = {event["event"]: event for event in deployed.events()}
        assert (events["oom_kill"]["role"], events["oom_kill"]["pid"]) == ("web", first)
        assert (events["died"]["role"], events["died"]["detail"]) == ("web", "SIGKILL")
        assert events["restarted"]["role"] == "web"
        eventually(lambda: answers(deployed.base_url), "the server again")


def test_an_oom_kill_of_gunicorns_child_is_given_to_the_web(tmp_path: Path) -> None:
    """The master lives on and makes another; the kill is recorded all the same."""
    trial = small_trial("gunicorn", task="memory", job_input={"mb": 1, "seconds": 0}, box=Box(1.0, 200 * MIB))
    with (
        Services(tmp_path) as services,
        deployment(trial, services=services, folder=tmp_path, journal=tmp_path / "journal") as deployed,
    ):
        with pytest.raises((NotYet, urllib.error.URLError)):
            ask(deployed.base_url, "POST", "/run", {"input": {"mb": 400, "seconds": 1}}, timeout=PATIENCE)
        (kill,) = eventually(deployed.events, "the kill")
        assert (kill["event"], kill["role"]) == ("oom_kill", "web")
        eventually(lambda: answers(deployed.base_url), "the server again")


def answers(url: str) -> bool:
    """Whether a small job goes through."""
    try:
        ask(url, "POST", "/run", {"input": {"mb": 1, "seconds": 0}}, timeout=PATIENCE)
    except NotYet:
        return False
    return True


def test_a_job_that_does_not_fit_the_box_is_found_out_before_the_run(tmp_path: Path) -> None:
    """Told as what it is, not as exit code 137."""
    with pytest.raises(StackError, match="does not fit into 96 MiB"):
        calibrate("memory", {"mb": 300, "seconds": 0}, Box(1.0, 96 * MIB), folder=tmp_path)


def test_a_workspace_removes_a_box_that_was_not_closed() -> None:
    """Whatever the way out."""
    with Workspace() as workspace:
        with open_box("left", Box(1.0, 64 * MIB), workspace) as box:
            assert box.group is not None
            folders = box.group.folders
            left = inside(box, "sleep", "600")
            eventually(box.pids, "the process in the box")
            workspace.close()
            assert not any(folder.exists() for folder in folders)
        left.wait(PATIENCE)


def test_a_signal_while_a_box_is_made_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there are other threads, which may take the signal for the one that makes the box."""
    detect_caps()
    folders: list[Path] = []

    def make_and_be_told_to_end(kind: BoxKind, name: str, box: Box) -> Group:
        group = make(kind, name, box)
        folders.extend(group.folders)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)  # in which an exception would come before the workspace knows of the box
        return group

    make = box_module._make
    monkeypatch.setattr(box_module, "_make", make_and_be_told_to_end)
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    try:
        with (
            pytest.raises(Interrupted),
            interruptible(),
            Workspace() as workspace,
            open_box("told", Box(1.0, 64 * MIB), workspace),
        ):
            pytest.fail("the signal was lost")
    finally:
        done.set()
        other.join()
    assert folders
    assert not any(folder.exists() for folder in folders)
