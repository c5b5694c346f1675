"""Many containers' journals become one, in which no two processes have the same number."""

import json

from bench.journal import executions
from bench.stack.containers.journals import Journal, merge


def written(*rows):
    """A journal's text from (t, event, job, pid) rows."""
    return "".join(json.dumps({"t": t, "event": e, "job": j, "pid": p}) + "\n" for t, e, j, p in rows)


def read(journals, tmp_path, stopped):
    """What the harness makes of them: rows of executions by job."""
    merged = merge(journals)
    file = tmp_path / "journal.jsonl"
    file.write_text(merged.text())
    return {row["job"]: row for row in executions(file, merged.deaths, stopped)}


def test_the_same_number_in_two_containers_is_two_processes(tmp_path):
    """Each container counts from 1: their jobs must not end each other's."""
    one = Journal("a", written((1, "start", "x", 7), (3, "end", "x", 7)), alone=True)
    two = Journal("b", written((1.5, "start", "y", 7), (2, "end", "y", 7)), alone=True)
    rows = read([one, two], tmp_path, stopped=9)
    assert rows["x"]["pid"] != rows["y"]["pid"]
    assert (rows["x"]["end"], rows["y"]["end"]) == (3, 2)
    assert [line["t"] for line in merge([one, two]).lines] == [1, 1.5, 2, 3]


def test_what_ran_when_a_container_died_was_cut_then(tmp_path):
    """And the same number in its next life is another process, which the death did not hit."""
    text = written((1, "start", "x", 7), (5, "start", "y", 7), (6, "end", "y", 7), (7, "start", "z", 7))
    rows = read([Journal("a", text, alone=False, died=[2.5])], tmp_path, stopped=9)
    assert rows["x"]["cut"] == 2.5
    assert rows["y"]["end"] == 6
    assert rows["z"]["cut"] == 9
    assert rows["x"]["pid"] != rows["y"]["pid"] == rows["z"]["pid"]


def test_a_child_killed_in_a_container_that_lives_on_was_gone_when_the_next_job_began(tmp_path):
    """Where jobs run one at a time; elsewhere nothing can be said, and the end of the trial is taken."""
    text = written((1, "start", "x", 7), (3, "start", "y", 8), (4, "end", "y", 8))
    assert read([Journal("a", text, alone=True)], tmp_path, stopped=9)["x"]["cut"] == 3
    assert read([Journal("a", text, alone=False)], tmp_path, stopped=9)["x"]["cut"] == 9


def test_half_a_line_is_passed_over():
    """A process killed while it wrote leaves one."""
    text = written((1, "start", "x", 7)) + '{"t": 2, "event": "en'
    assert len(merge([Journal("a", text, alone=True)]).lines) == 1
