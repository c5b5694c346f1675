"""From a name to a task: the built-in ones, the user's own, and every way to get a name wrong."""

import json
import sys
from pathlib import Path

import pytest

from workloads import BUILT_IN, InvalidInput, UnknownTask, load_task


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_task_works_on_its_own_example_and_probe(name, tmp_path, monkeypatch):
    """Out of the box: check, run, verify; the output and the checked input survive JSON."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    task = load_task(name)
    assert task.name == name
    task.check(task.example)
    short = {"factorial": 500, "spin": 0.02, "sleep": 0.02}.get(name, task.example)
    for given in (task.probe, short):
        checked = task.check(given)
        assert task.check(checked) == checked, "a checked input may be checked again"
        sent = json.loads(json.dumps(checked))
        output = json.loads(json.dumps(task.run(sent)))
        task.verify(given, output)
        task.verify(sent, output)


def test_the_service_time_is_known_where_it_is_set_by_construction():
    """spin and sleep need no calibration to know their S."""
    assert load_task("spin").nominal(0.25) == 0.25
    assert load_task("sleep").nominal({"seconds": 2}) == 2
    assert load_task("factorial").nominal(5) is None


def test_whether_threads_help_is_declared_where_it_is_known():
    """Capacity of a threaded server depends on it."""
    assert load_task("spin").holds_gil({"seconds": 1, "gil": "held"})
    assert not load_task("spin").holds_gil({"seconds": 1, "gil": "released"})
    assert not load_task("sleep").holds_gil(1)
    assert load_task("factorial").holds_gil(1)
    assert load_task("caption").holds_gil is None


def test_a_function_in_the_current_directory_is_a_task(here):
    """The user's own model needs no installing."""
    (here / "my_model.py").write_text(
        "class Model:\n    @staticmethod\n    def predict(x):\n        return {'y': x}\n"
    )
    task = load_task("my_model:Model.predict")
    assert task.run(task.check([1, 2])) == {"y": [1, 2]}
    task.verify([1, 2], None)
    assert task.probe is None
    assert task.holds_gil is None
    assert task.nominal(1) is None


def test_a_function_may_refuse_an_input(here):
    """InvalidInput raised by the user's function stays InvalidInput, which servers answer with a 4xx."""
    (here / "my_picky.py").write_text(
        "from workloads import InvalidInput\ndef f(x):\n    raise InvalidInput('not this one')\n"
    )
    with pytest.raises(InvalidInput, match="not this one"):
        load_task("my_picky:f").run(1)


MODULE = """
import time
number = 5
def none(): return 1
def two(a, b): return 1
async def later(x): return 1
def fine(x, scale=2): return 1
"""


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nope", "there is no task 'nope': choose one of factorial"),
        ("", "there is no task ''"),
        (":", "write it as package.module:function"),
        ("a:b:c", "write it as package.module:function"),
        ("a b:c", "write it as package.module:function"),
        ("no_such_module_xyz:f", "No module named 'no_such_module_xyz'"),
        ("my_module:nope", "my_module has no nope"),
        ("my_module:number", "number is no function but int"),
        ("my_module:none", "none must take one argument"),
        ("my_module:two", "two must take one argument"),
        ("my_module:later", "later is async"),
        ("my_broken:f", "importing my_broken failed: SyntaxError"),
        ("my_raising:f", "importing my_raising failed: RuntimeError: no weights at hand"),
        ("my_leaving:f", "importing my_leaving failed: SystemExit: 3"),
    ],
)
def test_a_task_that_cannot_be_loaded_is_named_in_one_line(here, name, why):
    """Whatever the module does when imported, the user reads one line that says what failed."""
    (here / "my_module.py").write_text(MODULE)
    (here / "my_broken.py").write_text("def f(:\n")
    (here / "my_raising.py").write_text("raise RuntimeError('no weights\\nat hand')\n")
    (here / "my_leaving.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(UnknownTask) as caught:
        load_task(name)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    load_task("my_module:fine")
