"""The sweep keeps account of every trial, whatever happens to one; nothing is started here."""

import pytest

from bench.plan import Box, Load, System, Trial, Work
from bench.sweep import Result, TrialFailed, sweep, sweep_again

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

    def trial_again(self, trial, number, total, eta, why):
        self.started.append((trial.id, number, total, why))
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


def again(doubts, *, execute=lambda t: Result("done", seconds=2.0), most=3, results=None):
    """Judge by a list of what is doubted at each look; return results, what ran, and what was told."""
    ran, watcher, looks = [], Watcher(), iter(doubts)
    first = results or {t.id: Result("done", seconds=1.0) for t in TRIALS}

    def one(trial):
        ran.append(trial.id)
        return execute(trial)

    kept = {}
    found = sweep_again(
        TRIALS, first, lambda: next(looks, {}), one, lambda t, r: kept.update({t.id: r}), watcher, most=most
    )
    assert kept.items() <= found.items()
    return found, ran, watcher


def test_a_trial_that_can_not_be_believed_is_carried_out_again_until_it_can():
    """Only that one, with the reason kept; the others as they were."""
    found, ran, watcher = again([{"002": "send_delay", "004": "speed"}, {"004": "speed"}])
    assert ran == ["002", "004", "004"]
    assert (found["002"].attempts, list(found["002"].again)) == (2, ["send_delay"])
    assert (found["004"].attempts, list(found["004"].again)) == (3, ["speed", "speed"])
    assert found["001"].attempts == 1
    assert watcher.started[0] == ("002", 1, 2, "send_delay")
    assert watcher.etas[0] == 2.0


def test_attempts_have_a_limit():
    """A machine that is never quiet must not keep a run for ever."""
    always = [{"003": "send_delay"}] * 10
    assert again(always)[1] == ["003", "003"]
    assert again(always, most=1)[1] == []


def test_a_resumed_run_goes_on_counting_attempts():
    """Two were made before the interruption: one is left."""
    before = {t.id: Result("done", attempts=2, again=["send_delay"]) for t in TRIALS}
    found, ran, _ = again([{"001": "send_delay"}] * 10, results=before)
    assert ran == ["001"]
    assert (found["001"].attempts, list(found["001"].again)) == (3, ["send_delay", "send_delay"])


def test_an_attempt_that_fails_leaves_the_one_before_it():
    """Its records still stand; what happened is kept, and the attempt counts."""

    def fails(trial):
        raise TrialFailed("nginx did not start")

    found, ran, _ = again([{"001": "send_delay"}] * 10, execute=fails)
    assert len(ran) == 2
    assert (found["001"].status, found["001"].seconds) == ("done", 1.0)
    assert found["001"].again == (
        "attempt 2 failed: nginx did not start",
        "attempt 3 failed: nginx did not start",
    )
