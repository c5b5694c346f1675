"""A file of jobs, its keys, and the file of ids."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queued.operate.batch import BadLines, BatchError, Ids, Line, read


def write(folder: Path, *lines: str | bytes, name: str = "jobs.jsonl") -> Path:
    path = folder / name
    path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
    return path


def keys(path: Path, task: str | None = None) -> list[str]:
    return [line.key for line in read(path, task).lines]


def test_the_same_file_has_the_same_keys(tmp_path: Path) -> None:
    """Wherever it lies; equal lines are still different jobs, and another task's are others."""
    lines = ('{"input": 1}', '{"input": 1}', '{"input": 1, "id": "mine"}')
    here = keys(write(tmp_path, *lines))
    assert here == keys(write(tmp_path, *lines, name="elsewhere"))
    assert len(set(here)) == 3
    assert not set(here) & set(keys(tmp_path / "jobs.jsonl", "another"))


def test_a_changed_file_is_another_batch_but_for_what_has_a_name(tmp_path: Path) -> None:
    """A line with an id stays the same job, wherever it moves."""
    before = keys(write(tmp_path, '{"input": 1}', '{"input": 2, "id": "mine"}'))
    after = keys(write(tmp_path, '{"input": 2, "id": "mine"}', '{"input": 1}', '{"input": 3}'))
    assert after[0] == before[1]
    assert before[0] not in after


@given(st.lists(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=4), min_size=1))
def test_every_input_is_read_again_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, values: list[object]
) -> None:
    """Whatever stands in the lines, empty ones in between or not."""
    path = tmp_path_factory.mktemp("batch") / "jobs"
    path.write_text("\n\n".join(json.dumps({"input": value}) for value in values))
    batch = read(path)
    assert [batch.input_of(line) for line in batch.lines] == values
    assert [line.number for line in batch.lines] == list(range(1, 2 * len(values), 2))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "has no lines"),
        ("{", "line 1: this is not JSON"),
        (b"\xff", "line 1: "),
        ("[1]", "line 1: it must look like"),
        ('{"id": "a"}', "line 1: it must look like"),
        ('{"input": 1, "priority": "low"}', "line 1: it must look like"),
        ('{"input": NaN}', "line 1: "),
        ('{"input": 1, "id": 5}', "line 1: id must be a text"),
        ('{"input": 1, "id": ""}', "line 1: id must be a text"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, line: str | bytes, says: str) -> None:
    """By the number of the line and in one line."""
    with pytest.raises(BatchError) as caught:
        read(write(tmp_path, line))
    faults = caught.value.faults if isinstance(caught.value, BadLines) else [str(caught.value)]
    assert says in faults[0]
    assert all("\n" not in fault for fault in faults)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(BatchError, match=r"nowhere can't be read: No such file"):
        read(tmp_path / "nowhere")


def test_a_file_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    """No line is sent under the key of another."""
    path = write(tmp_path, '{"input": 1}')
    batch = read(path)
    write(tmp_path, '{"input": 2}', '{"input": 1}')
    with pytest.raises(BatchError, match="was changed"):
        batch.input_of(batch.lines[0])


def test_ids_are_known_to_the_next_call(tmp_path: Path) -> None:
    """What was accepted is left out; a last line that was cut off is not taken for one."""
    batch = read(write(tmp_path, *(f'{{"input": {n}}}' for n in range(3))))
    out = tmp_path / "ids"
    with Ids(out, batch) as ids:
        assert ids.left(batch.lines) == batch.lines
        ids.add(batch.lines[2], "c", "http://web/jobs/c")
        ids.add(batch.lines[0], "a", "http://web/jobs/a")
    out.write_bytes(out.read_bytes() + b'{"line": 2, "id"')
    with Ids(out, batch) as ids:
        assert ids.left(batch.lines) == [batch.lines[1]]
        ids.add(batch.lines[1], "b", "http://web/jobs/b")
        ids.sort()
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == ["a", "b", "c"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ids", "jobs.jsonl"]


@pytest.mark.parametrize(
    "content", ["a letter\n", "a letter", '{"line": 1, "id": "x", "url": "u", "key": "k"}\n']
)
def test_a_file_of_something_else_is_not_touched(tmp_path: Path, content: str) -> None:
    """Neither a person's own file nor the ids of another batch are overwritten."""
    batch = read(write(tmp_path, '{"input": 1}'))
    out = tmp_path / "mine"
    out.write_text(content)
    with pytest.raises(BatchError, match="something else than ids of this batch"):
        Ids(out, batch)
    assert out.read_text() == content


def test_two_at_once_are_told(tmp_path: Path) -> None:
    """The second says so and does nothing."""
    batch = read(write(tmp_path, '{"input": 1}'))
    with Ids(tmp_path / "ids", batch), pytest.raises(BatchError, match="another process is writing"):
        Ids(tmp_path / "ids", batch)


def test_ids_that_can_not_be_written_are_told(tmp_path: Path) -> None:
    """Before anything is sent."""
    batch = read(write(tmp_path, '{"input": 1}'))
    with pytest.raises(BatchError, match="can't be written"):
        Ids(tmp_path / "no" / "folder", batch)
    assert isinstance(batch.lines[0], Line)
