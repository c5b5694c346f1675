"""Sampling beside the load: gaps instead of errors, sums that never fall."""

import subprocess
import sys
import threading
import time

from bench.probes import ProcessTrees, Sampler, canary


def wait_for(condition, seconds=10.0):
    """Poll until the condition holds; fail when it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "never happened"
        time.sleep(0.005)


def test_a_probe_that_fails_leaves_a_gap_and_the_others_go_on():
    """A trial whose system dies is the very thing to be recorded."""
    calls = iter(range(1000))

    def flaky():
        if next(calls) % 2:
            raise ConnectionError("the broker restarts")
        return {"queue": {"ready": 3}}

    seen = threading.Event()

    def steady():
        seen.set()
        return {"box": {"cpu": 1.0, "memory": 2.0}}

    with Sampler([(flaky, 0.001), (steady, 0.001)]) as sampler:
        wait_for(lambda: len([r for r in sampler.rows if r["subject"] == "queue"]) >= 3 and seen.is_set())
    rows = [(r["subject"], r["metric"], r["value"]) for r in sampler.rows]
    assert {("queue", "ready", 3.0), ("box", "cpu", 1.0), ("box", "memory", 2.0)} == set(rows)


def test_sampling_ends_with_its_block():
    """No thread outlives a trial."""
    with Sampler([(canary, 0.001)]) as sampler:
        wait_for(lambda: sampler.rows)
    count = len(sampler.rows)
    assert not any(t.name == "sampler" for t in threading.enumerate())
    assert len(sampler.rows) == count


def test_a_process_counts_with_its_children_and_its_cpu_stays_counted_when_it_ends():
    """A gunicorn worker that is killed has used its CPU all the same; when it was missed is noted."""
    child = "x = sum(range(10**6)); print(x, flush=True); input()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        process.stdout.readline()  # the child has done its work and waits
        trees = ProcessTrees(lambda: [("web", process.pid)], refresh=0)
        before = trees()["web"]
        assert before["memory"] > 10e6
        assert before["cpu"] > 0
    finally:
        process.communicate("\n")
    after = trees()["web"]
    assert after["cpu"] >= before["cpu"]
    assert after["memory"] == 0
    assert process.pid in trees.gone
    assert len(trees.gone) == 2
