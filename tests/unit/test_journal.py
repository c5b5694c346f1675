"""The journal tells how often each job really ran, and for how long."""

import json
import math

from bench.journal import executions


def write(path, *lines):
    """Write journal lines; text goes in as it is."""
    path.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines))


def line(job, event, t, pid=7, **more):
    """One journal line."""
    return {"job": job, "event": event, "t": t, "pid": pid, "role": "worker", **more}


def test_starts_are_paired_with_ends_even_interleaved_and_repeated(tmp_path):
    """Threads interleave in one process, and a job delivered twice is two executions."""
    journal = tmp_path / "j"
    write(
        journal,
        line("a", "start", 1.0),
        line("b", "start", 1.1),
        line("b", "end", 1.5, cpu=0.2, ok=True),
        line("a", "end", 2.0, cpu=0.3, ok=False),
        line("a", "start", 3.0, pid=8),
        line("a", "end", 4.0, pid=8, cpu=0.25, ok=True),
    )
    rows = executions(journal, {}, stopped=9.0)
    assert [(r["job"], r["start"], r["end"], r["ok"]) for r in rows] == [
        ("a", 1.0, 2.0, False),
        ("b", 1.1, 1.5, True),
        ("a", 3.0, 4.0, True),
    ]


def test_a_run_without_an_end_counts_to_its_process_s_death_or_the_stop(tmp_path):
    """An OOM kill writes no line: the supervisor's event says when it was."""
    journal = tmp_path / "j"
    write(journal, line("a", "start", 1.0, pid=7), line("b", "start", 2.0, pid=8))
    a, b = executions(journal, {7: 1.7}, stopped=9.0)
    assert (a["cut"], b["cut"]) == (1.7, 9.0)
    assert math.isnan(a["end"])
    assert math.isnan(b["cpu"])


def test_probes_and_half_lines_are_passed_over(tmp_path):
    """A process killed while it wrote leaves half a line; readiness probes are nobody's job."""
    journal = tmp_path / "j"
    write(journal, line("probe-1", "start", 1.0), '{"job": "a", "eve', "[]", line("b", "start", 2.0))
    assert [r["job"] for r in executions(journal, {}, stopped=3.0)] == ["b"]


def test_no_journal_is_no_execution(tmp_path):
    """A system that never ran a job leaves no file."""
    assert executions(tmp_path / "none", {}, stopped=1.0) == []
