"""What is asked for is checked before anything is started."""

import psutil
import pytest

from bench import request, spec
from bench.calibration import as_work
from bench.environment import usable_cores
from bench.plan import Calibration
from bench.runtimes import Chosen
from bench.stack.box import Caps

CAPPED = Caps("cgroup2", cpu=True, memory=True, why="")


def here(caps):
    """This machine, with these caps."""
    return Chosen("local", "", caps, usable_cores(), psutil.virtual_memory().total)


def measured(wall, cpu, holds_gil=None):
    """A calibration with these medians."""
    return Calibration(
        "x", wall=wall, cpu=cpu, repeats=3, holds_gil=holds_gil, two_threads_ratio=float("nan")
    )


def test_ones_own_function_takes_the_place_of_the_task_and_special_parts_are_left_out():
    """The memory failure says nothing of somebody's function; every other part of `quick` does."""
    mine = request.for_own_task(spec.load("quick"), "sleep", {"seconds": 2})
    mine = request.with_deadline(mine, "10s")
    assert [p.name for p in mine.parts] == ["load", "workers", "burst"]
    assert {request.part_work(mine, p)[0] for p in mine.parts} == {"sleep"}
    assert mine.deadline.seconds(99) == 10


def test_an_experiment_that_is_all_special_parts_has_no_place_for_ones_own():
    """Said at once, not after a run of nothing."""
    quick = spec.load("quick")
    special = quick.model_copy(update={"parts": [p for p in quick.parts if p.task]})
    with pytest.raises(spec.SpecError, match="nothing to replace"):
        request.for_own_task(special, "sleep", 1)


def test_a_bad_deadline_is_named():
    """One line with an example."""
    for text, words in (("soon", "not a duration"), ("0s", "above 0")):
        with pytest.raises(spec.SpecError, match=words):
            request.with_deadline(spec.load("quick"), text)


def test_a_url_replaces_every_system_and_drops_what_needs_a_box():
    """Workers and memory of a foreign service are not ours to change."""
    there = request.for_url(spec.load("quick"), "http://127.0.0.1:1")
    assert [p.name for p in there.parts] == ["load", "burst"]
    assert {s for p in there.parts for s in p.systems} == {"external"}
    assert there.title == "The service at http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "no_such_module:f"}, "no_such_module"),
        ({"task": "spinn"}, "spinn"),
        ({"task": "json:dumps", "input": None}, "--input FILE"),
        ({"input": {"seconds": -1}}, "seconds"),
    ],
)
def test_unknown_tasks_and_inputs_they_do_not_take_are_refused(change, words):
    """Before a broker is started for them."""
    with pytest.raises(spec.SpecError, match=words):
        request.check_tasks(spec.load("quick").model_copy(update=change))


def test_a_box_larger_than_the_machine_is_refused():
    """Its figures would be of another box."""
    quick = spec.load("quick")
    for box in (spec.BoxSpec(cpus=1024), spec.BoxSpec(memory=2**60)):
        with pytest.raises(spec.SpecError, match="this machine has"):
            request.resolve_box(quick.model_copy(update={"box": box}), here(CAPPED))


def test_without_a_cap_the_box_is_the_cores_it_may_use():
    """1.5 vCPU that nothing enforces would put the capacity, and all ideal lines, in the wrong place."""
    box = request.resolve_box(
        spec.load("quick"), here(Caps("none", cpu=False, memory=False, why="no rights"))
    )
    assert box.cpus == int(box.cpus)
    assert 1 <= box.cpus <= usable_cores()


def test_s_is_exact_where_the_task_sets_it_and_measured_elsewhere():
    """A slow minute stretches what a spin of 250 ms takes, not what it is."""
    assert as_work("spin", {"seconds": 0.25}, measured(0.4, 0.25)).service_time == 0.25
    assert as_work("spin", {"seconds": 0.25}, measured(0.4, 0.25)).cpu_time == 0.25
    assert as_work("sleep", {"seconds": 0.25}, measured(0.25, 0.001)).cpu_time == pytest.approx(0.001)
    assert as_work("factorial", 1000, measured(0.4, 0.39)).service_time == 0.4
