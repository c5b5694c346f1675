"""From the run folder's tables to arrays, one bundle a trial. Pure; nothing is read or written here.

A million jobs are a handful of NumPy arrays; what follows works on those, one trial at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.plan import Trial
from bench.records import OUTCOMES

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

ATTEMPT = r"\.\d+$"
"""What a repeated attempt's id has behind its job's (`bench.load.clients.Job.attempt_id`)."""
REQUEST_KINDS = ("run", "submit", "poll", "result")
PROBE = "probe-"
"""Ids of readiness probes start so; they are nobody's jobs."""


class TableError(ValueError):
    """The tables contradict the format; the message says where."""


@dataclass(frozen=True)
class Tables:
    """The raw tables of a run, as `bench.records` describes them."""

    jobs: pd.DataFrame
    requests: pd.DataFrame
    resources: pd.DataFrame
    executions: pd.DataFrame
    events: pd.DataFrame


@dataclass(frozen=True)
class Jobs:
    """The jobs of one trial, in order of arrival. Instants are Unix seconds, NaN where there was none."""

    arrival: Floats
    sent: Floats
    accepted: Floats
    done: Floats
    outcome: Ints
    """Index into `bench.records.OUTCOMES`."""
    window: Flags
    """True where the arrival counts; False in the warm-up."""
    status: Ints
    polls: Ints
    wait: Floats
    """Seconds before the run by the service's own Server-Timing, NaN where it says nothing."""
    run: Floats
    """Seconds of the run, by the same."""
    attempts: Ints
    """Submissions, the first included; 0 for a job that was never sent."""

    def __len__(self) -> int:
        return len(self.arrival)

    def is_(self, outcome: str) -> Flags:
        """Where the outcome is this one."""
        flags: Flags = self.outcome == OUTCOMES.index(outcome)
        return flags


@dataclass(frozen=True)
class Executions:
    """What the journal saw: each start of a task, and its end if it came to one."""

    job: Ints
    """Row in the trial's `Jobs`; -1 for a job the generator does not know."""
    start: Floats
    end: Floats
    cut: Floats
    cpu: Floats
    ok: Flags

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class Requests:
    """The HTTP exchanges of one trial."""

    kind: Ints
    """Index into REQUEST_KINDS, -1 for another."""
    sent: Floats

    def __len__(self) -> int:
        return len(self.sent)


@dataclass(frozen=True)
class Event:
    """A mark in a trial's life."""

    t: float
    event: str
    role: str
    detail: str


@dataclass(frozen=True)
class TrialRecords:
    """Everything recorded of one trial."""

    trial: Trial
    jobs: Jobs
    executions: Executions
    requests: Requests
    resources: pd.DataFrame
    events: tuple[Event, ...]
    repeated_ids: int = 0
    """Rows whose job id another row has already: a defect of the records."""

    def instant(self, event: str) -> float | None:
        """When an event first happened, None if it did not."""
        return next((e.t for e in self.events if e.event == event), None)

    @property
    def window(self) -> tuple[float, float]:
        """Start and end of the measured window: by the marks, else by the plan, from the first arrival on."""
        arrivals = self.jobs.arrival[self.jobs.window]
        start = self.instant("window_started")
        if start is None:
            start = float(arrivals[0]) if len(arrivals) else 0.0
        end = self.instant("window_ended")
        planned = start + self.trial.load.window
        if self.trial.load.arrivals in ("poisson", "constant", "pulse", "stairs"):
            # The schedule fixes the window exactly; the mark only shows where it was broken off.
            return start, planned if end is None or end >= planned - 0.05 else max(end, start)
        return start, planned if end is None else end

    @property
    def span(self) -> tuple[float, float]:
        """What rates are taken over: the window; where it has no length of its own, to the last job's end.

        So it is with a burst, and with closed users who each do so many jobs.
        """
        start, end = self.window
        load = self.trial.load
        if end <= start or (load.arrivals == "closed" and load.jobs_per_user):
            end = max(start, self.end)
        return start, end

    @property
    def end(self) -> float:
        """When the last job ended for its client, or was cut off."""
        done = self.jobs.done[np.isfinite(self.jobs.done)]
        return float(done.max()) if len(done) else self.window[1]


def split(tables: Tables, trials: Sequence[Trial]) -> dict[str, TrialRecords]:
    """One bundle for each trial that is in the plan; trials without a record get an empty one.

    Raises TableError where a table holds what the format does not allow.
    """
    jobs = _slices(tables.jobs, "jobs")
    requests = _slices(tables.requests, "requests")
    resources = _slices(tables.resources, "resources")
    executions = _slices(tables.executions, "executions")
    events = _slices(tables.events, "events")
    bundles = {}
    for trial in trials:
        frame = _of(jobs, trial.id, tables.jobs)
        frame = frame.iloc[np.argsort(frame["arrival"].to_numpy(float), kind="stable")]
        index = pd.Index(frame["job"])
        repeated = len(index) - index.nunique()
        bundles[trial.id] = TrialRecords(
            trial=trial,
            jobs=_jobs(frame),
            executions=_executions(_of(executions, trial.id, tables.executions), index),
            requests=_requests(_of(requests, trial.id, tables.requests)),
            resources=_of(resources, trial.id, tables.resources),
            events=_events(_of(events, trial.id, tables.events)),
            repeated_ids=repeated,
        )
    return bundles


def _slices(frame: pd.DataFrame, name: str) -> dict[str, pd.DataFrame]:
    """Rows by trial. Trials come in runs of rows, so that slices do and no row is copied."""
    if not len(frame):
        return {}
    codes, names = pd.factorize(frame["trial"])
    if (codes < 0).any():
        raise TableError(f"{name}: a row names no trial")
    if (np.diff(codes) < 0).any():
        order = np.argsort(codes, kind="stable")
        frame, codes = frame.iloc[order], codes[order]
    edges = np.searchsorted(codes, np.arange(len(names) + 1))
    return {str(trial): frame.iloc[edges[n] : edges[n + 1]] for n, trial in enumerate(names)}


def _of(slices: Mapping[str, pd.DataFrame], trial: str, whole: pd.DataFrame) -> pd.DataFrame:
    return slices[trial] if trial in slices else whole.iloc[:0]


def _floats(frame: pd.DataFrame, column: str) -> Floats:
    return frame[column].to_numpy(dtype=np.float64, na_value=np.nan)


def _ints(frame: pd.DataFrame, column: str) -> Ints:
    return frame[column].to_numpy(dtype=np.float64, na_value=0).astype(np.int64)


def _codes(frame: pd.DataFrame, column: str, known: Sequence[str]) -> Ints:
    """Index of each value in `known`, -1 for another: looked up once for each different value."""
    codes, values = pd.factorize(frame[column])
    places = np.array([known.index(v) if v in known else -1 for v in values] + [-1], dtype=np.int64)
    found: Ints = places[codes]
    return found


def _jobs(frame: pd.DataFrame) -> Jobs:
    outcome = _codes(frame, "outcome", OUTCOMES)
    phase = _codes(frame, "phase", ("warmup", "window"))
    arrival = _floats(frame, "arrival")
    if (outcome < 0).any() or (phase < 0).any() or not np.isfinite(arrival).all():
        trial = frame["trial"].iloc[0]
        raise TableError(f"jobs: trial {trial} has a row without a known outcome, phase or arrival")
    return Jobs(
        arrival=arrival,
        sent=_floats(frame, "sent"),
        accepted=_floats(frame, "accepted"),
        done=_floats(frame, "done"),
        outcome=outcome,
        window=phase == 1,
        status=_ints(frame, "status"),
        polls=_ints(frame, "polls"),
        wait=_floats(frame, "wait"),
        run=_floats(frame, "run"),
        attempts=_attempts(frame),
    )


def _attempts(frame: pd.DataFrame) -> Ints:
    """Submissions of each job; where none were counted (before format 2), one for each job that was sent."""
    sent = np.isfinite(_floats(frame, "sent")).astype(np.int64)
    if "attempts" not in frame.columns:
        return sent
    counted = frame["attempts"].to_numpy(dtype=np.float64, na_value=np.nan)
    found: Ints = np.where(np.isfinite(counted), np.nan_to_num(counted), sent).astype(np.int64)
    return found


def _executions(frame: pd.DataFrame, index: pd.Index) -> Executions:
    probes = (
        frame["job"].astype(str).str.startswith(PROBE).to_numpy(bool) if len(frame) else np.zeros(0, bool)
    )
    frame = frame[~probes]
    if index.is_unique:
        job = index.get_indexer(pd.Index(frame["job"])).astype(np.int64)
    else:
        first = {name: row for row, name in reversed(list(enumerate(index)))}
        job = np.array([first.get(name, -1) for name in frame["job"]], dtype=np.int64)
    unknown = np.flatnonzero(job < 0)
    if len(unknown) and index.is_unique:
        names = frame["job"].iloc[unknown].astype(str).str.replace(ATTEMPT, "", regex=True)
        job[unknown] = index.get_indexer(pd.Index(names))
    return Executions(
        job=job,
        start=_floats(frame, "start"),
        end=_floats(frame, "end"),
        cut=_floats(frame, "cut"),
        cpu=_floats(frame, "cpu"),
        ok=frame["ok"].fillna(False).to_numpy(dtype=bool) if len(frame) else np.zeros(0, bool),
    )


def _requests(frame: pd.DataFrame) -> Requests:
    return Requests(kind=_codes(frame, "kind", REQUEST_KINDS), sent=_floats(frame, "sent"))


def _events(frame: pd.DataFrame) -> tuple[Event, ...]:
    rows = zip(frame["t"], frame["event"], frame["role"], frame["detail"], strict=True)
    return tuple(
        sorted(
            (Event(float(t), str(e), str(r or ""), str(d or "")) for t, e, r, d in rows), key=lambda e: e.t
        )
    )
