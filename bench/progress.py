"""Shows how far something is: a live line on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from bench.plan import Trial
from bench.sweep import Result


class LiveLine:
    """One line that changes in place, where there is a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    @contextmanager
    def showing(self) -> Iterator[Self]:
        """Keep the live line for as long as the block runs."""
        if not self._console.is_terminal:
            yield self
            return
        with Live(console=self._console, refresh_per_second=4, transient=True) as self._live:
            yield self
        self._live = None

    def update(self, text: str) -> bool:
        """Change the line; False where there is none, so that the caller may print one."""
        if self._live is None:
            return False
        self._live.update(Text(fitted(text, self._console.width)))
        return True


def fitted(text: str, width: int) -> str:
    """Cut a line to one of the terminal's, but never its ETA, which comes last."""
    if len(text) <= width:
        return text
    eta = text[text.rfind("  ETA ") :] if "  ETA " in text else ""
    return text[: max(0, width - 1 - len(eta))] + "…" + eta


class Progress(LiveLine):
    """A running experiment: a `bench.sweep.Watcher`, which also takes the generator's live counts."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._title = ""
        self._eta = 0.0
        self.later = 0.0
        """Seconds of work that follow the trials, for the ETA."""

    def stage(self, text: str) -> None:
        """Say what is being done outside trials: starting services, calibrating, drawing."""
        if not self.update(text):
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Say what a person should know before it goes on; stays on the screen."""
        self._console.print(text, style="yellow", highlight=False, markup=False, soft_wrap=True)

    def trial_started(self, trial: Trial, number: int, total: int, eta: float) -> None:
        """See `bench.sweep.Watcher`."""
        self._eta = eta = eta + self.later
        self._title = f"trial {number} of {total}  {describe(trial)}"
        self.update(f"{self._title}  deploying  ETA {clock(eta)}")

    def trial_again(self, trial: Trial, number: int, total: int, eta: float, why: str) -> None:
        """See `bench.sweep.Watcher`."""
        self._eta = eta = eta + self.later
        self._title = f"INVALID, once more: {number} of {total}  {describe(trial)} ({why})"
        self.update(f"{self._title}  deploying  ETA {clock(eta)}")

    def counts(self, text: str) -> None:
        """Show the running trial's counts, e.g. jobs in time, late and failed so far."""
        self.update(f"{self._title}  {text}  ETA {clock(self._eta)}")

    def trial_ended(self, trial: Trial, result: Result) -> None:
        """See `bench.sweep.Watcher`."""
        what = {"done": "done", "failed": "FAILED", "skipped": "skipped"}.get(result.status, result.status)
        line = f"{self._title or describe(trial)}  {what} in {result.seconds:.1f} s"
        if self._live is None:
            line += f", ETA {clock(self._eta)}"
        self._console.print(
            line + (f": {result.reason}" if result.reason else ""),
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def describe(trial: Trial) -> str:
    """Name a trial for people: system, workers, load."""
    workers = "" if trial.system.kind in ("blocking", "external") else f" × {trial.system.workers}"
    return f"{trial.part}: {trial.system.name}{workers} at {trial.load.label}"


def clock(seconds: float) -> str:
    """Minutes and seconds, e.g. `2:05`."""
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02d}"
