"""Runs the trials of an experiment one after another and keeps account of them.

It knows nothing of processes or Locust: what executes a trial is handed in, so that order, accounting,
failure and resumption are tested without starting anything.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from bench.expand import expected_seconds
from bench.plan import Trial

Status = Literal["pending", "done", "failed", "skipped"]


class TrialFailed(Exception):
    """One trial could not be carried out; the run goes on. The message says why, in a line or a few."""


@dataclass(frozen=True)
class Result:
    """What became of a trial."""

    status: Status
    reason: str = ""
    caps: Mapping[str, Any] = field(default_factory=dict)
    """The caps that were really in force, read back from the box."""
    seconds: float = 0.0
    """Wall time from deployment to stop."""
    measured_seconds: float = 0.0
    """Of these, warm-up, window and drain."""
    attempts: int = 1
    """How often the trial was carried out; the records are the last one's that went through."""
    again: Sequence[str] = ()
    """Why each earlier attempt does not count."""


class Watcher(Protocol):
    """Is told how the run goes, to show it."""

    def trial_started(self, trial: Trial, number: int, total: int, eta: float) -> None:
        """A trial begins; `eta` is seconds to the end of the run."""

    def trial_again(self, trial: Trial, number: int, total: int, eta: float, why: str) -> None:
        """A trial begins once more, `number` of `total`; `why` its last attempt does not count."""

    def trial_ended(self, trial: Trial, result: Result) -> None:
        """It has ended, well or not."""


def sweep(
    trials: list[Trial],
    results: Mapping[str, Result],
    execute: Callable[[Trial], Result],
    keep: Callable[[Trial, Result], None],
    watcher: Watcher,
) -> dict[str, Result]:
    """Carry out every trial that has no result yet, in order, and return the results of all.

    `keep` is called after each trial, so that an interruption loses at most the one that runs. A trial that
    raises TrialFailed is recorded as failed and the next one begins; anything else ends the sweep.
    """
    all_results = {
        t.id: results[t.id] for t in trials if results.get(t.id, Result("pending")).status == "done"
    }
    waiting = [t for t in trials if t.id not in all_results]
    spent = expected = 0.0
    for n, trial in enumerate(waiting):
        pace = spent / expected if expected else 1.0
        eta = pace * sum(expected_seconds(t) for t in waiting[n:])
        watcher.trial_started(trial, len(trials) - len(waiting) + n + 1, len(trials), eta)
        began = time.monotonic()
        result = attempted(trial, execute)
        all_results[trial.id] = result
        keep(trial, result)
        watcher.trial_ended(trial, result)
        if result.status == "done":
            spent += time.monotonic() - began
            expected += expected_seconds(trial)
    return all_results


def attempted(trial: Trial, execute: Callable[[Trial], Result]) -> Result:
    """Carry out one trial; one that raises TrialFailed has failed."""
    began = time.monotonic()
    try:
        return execute(trial)
    except TrialFailed as error:
        return Result("failed", str(error), seconds=time.monotonic() - began)


def sweep_again(
    trials: Sequence[Trial],
    results: Mapping[str, Result],
    doubted: Callable[[], Mapping[str, str]],
    execute: Callable[[Trial], Result],
    keep: Callable[[Trial, Result], None],
    watcher: Watcher,
    *,
    most: int,
) -> dict[str, Result]:
    """Carry out again what can't be believed, until it can be or was tried `most` times. All results.

    `doubted` looks at all that is recorded by now, and names the trials that are worth another attempt, each
    with the reason. An attempt that fails leaves the records of the one before it as they are.
    """
    all_results = dict(results)
    while True:
        why = doubted()
        waiting = [t for t in trials if t.id in why and all_results[t.id].attempts < most]
        if not waiting:
            return all_results
        for n, trial in enumerate(waiting):
            before, reason = all_results[trial.id], why[trial.id]
            eta = sum(all_results[t.id].seconds for t in waiting[n:])
            watcher.trial_again(trial, n + 1, len(waiting), eta, reason)
            try:
                result = execute(trial)
            except TrialFailed as error:
                result, reason = before, f"attempt {before.attempts + 1} failed: {error}"
            result = replace(result, attempts=before.attempts + 1, again=(*before.again, reason))
            all_results[trial.id] = result
            keep(trial, result)
            watcher.trial_ended(trial, result)
