"""The sweep keeps account of every trial, whatever happens to one; nothing is started here."""

import pytest

from bench.plan import Box, Load, System, Trial, Work
from bench.sweep import Result, TrialFailed, sweep

TRIALS = [
    Trial(
        id=f"{n:03d}",
        part="load",
        shows="load",
        system=System("queued", "queued"),
        work=Work("spin", 0.25, 0.25, 0.25),
        load=Load("poisson", rate=3),
        box=Box(1.5, 2**31),
        deadline=1.5,
        gateway_timeout=1.5,
        poll_interval=0.25,
        drain_limit=5,
        repeat=1,
        seed=1,
        capacity=6,
    )
    for n in range(1, 5)
]


class Watcher:
    """Notes what it is told."""

    def __init__(self):
        self.started, self.ended, self.etas = [], [], []

    def trial_started(self, trial, number, total, eta):
        self.started.append((trial.id, number, total))
        self.etas.append(eta)

    def trial_ended(self, trial, result):
        self.ended.append((trial.id, result.status))


def test_every_trial_runs_once_in_order_and_is_kept_as_it_ends():
    """What is kept after each trial is what an interruption leaves."""
    kept, watcher = [], Watcher()
    results = sweep(TRIALS, {}, lambda t: Result("done"), lambda t, r: kept.append(t.id), watcher)
    assert kept == list(results) == ["001", "002", "003", "004"]
    assert watcher.started[-1] == ("004", 4, 4)
    assert watcher.etas == sorted(watcher.etas, reverse=True)


def test_a_failed_trial_is_recorded_and_the_next_one_begins():
    """One broken system must not cost the others their figures."""

    def execute(trial):
        if trial.id == "002":
            raise TrialFailed("gunicorn did not start")
        return Result("done")

    results = sweep(TRIALS, {}, execute, lambda t, r: None, Watcher())
    assert [r.status for r in results.values()] == ["done", "failed", "done", "done"]
    assert results["002"].reason == "gunicorn did not start"


def test_an_interruption_keeps_what_is_done_and_resuming_runs_the_rest():
    """Failed and skipped trials are tried again, done ones are not."""
    kept = {}

    def until_third(trial):
        if trial.id == "003":
            raise KeyboardInterrupt
        return Result("done" if trial.id == "001" else "failed")

    with pytest.raises(KeyboardInterrupt):
        sweep(TRIALS, {}, until_third, lambda t, r: kept.update({t.id: r}), Watcher())
    assert list(kept) == ["001", "002"]

    ran = []
    results = sweep(TRIALS, kept, lambda t: ran.append(t.id) or Result("done"), lambda t, r: None, Watcher())
    assert ran == ["002", "003", "004"]
    assert all(r.status == "done" for r in results.values())
    assert len(results) == 4
