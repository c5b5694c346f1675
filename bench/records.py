"""The raw records of a run and the folder that holds them. Everything else is rebuilt from here.

Each record type is a Parquet dataset: a directory named `jobs.parquet` (and so on) with one part file a
trial, written when the trial ends, so that an interrupted run can still be read. pandas and pyarrow read such
a directory as one table. All instants are Unix time in seconds (float64, one machine's clock); all durations
are seconds. A leaf: it imports nothing of ours.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

FORMAT = 2
"""Version of the run folder. A reader refuses a later one, and reads every earlier one: 2 added `attempts` to
the jobs, and before it every job that was sent had one."""

JOBS = pa.schema(
    [
        ("trial", pa.string()),
        ("job", pa.string()),  # the client's X-Request-ID; of its n-th attempt, n > 1: this and `.n`
        ("phase", pa.string()),  # warmup | window
        ("arrival", pa.float64()),  # due by the schedule
        ("sent", pa.float64()),  # the generator began to send the first attempt; NaN when it never did
        ("accepted", pa.float64()),  # 2xx to the submission; for a blocking system the result itself
        ("done", pa.float64()),  # the end for the client: result verified, refusal, failure, or cut-off
        ("outcome", pa.string()),  # see OUTCOMES
        ("status", pa.int32()),  # last HTTP status, 0 = none
        ("error", pa.string()),
        ("polls", pa.int32()),
        ("wait", pa.float64()),  # from Server-Timing, NaN when absent
        ("run", pa.float64()),
        ("attempts", pa.int32()),  # submissions, the first included; 0: never sent; null before format 2
    ]
)
OUTCOMES = (
    "ok",  # a verified result, in time or late
    "rejected",  # 429 or 503 to the submission: told at once to go away
    "gateway_timeout",  # 504
    "gave_up",  # the client's own limit
    "error",  # any other failure: 500, 502, connection refused or reset
    "wrong",  # a result that did not verify
    "dropped",  # never sent: the generator's bound on jobs in flight
    "unfinished",  # cut off at the end of the drain; done - arrival is a lower bound
)

REQUESTS = pa.schema(
    [
        ("trial", pa.string()),
        ("job", pa.string()),
        ("kind", pa.string()),  # run | submit | poll | result
        ("sent", pa.float64()),
        ("elapsed", pa.float64()),
        ("status", pa.int32()),
        ("bytes", pa.int64()),
        ("error", pa.string()),
    ]
)

RESOURCES = pa.schema(
    [
        ("trial", pa.string()),
        ("t", pa.float64()),
        # box | web | worker | broker | epmd | store | gateway | generator | queue | canary
        ("subject", pa.string()),
        # cpu (cumulative s) | memory (bytes) | throttled (cumulative s) | periods | throttled_periods |
        # oom_kills (cumulative) | ready | consumers | requests (in progress) | processes (counts) |
        # loop (CPU s)
        ("metric", pa.string()),
        ("value", pa.float64()),
    ]
)

EXECUTIONS = pa.schema(
    [
        ("trial", pa.string()),
        ("job", pa.string()),
        ("start", pa.float64()),
        ("end", pa.float64()),  # NaN: started but never ended
        ("cut", pa.float64()),  # where end is NaN: when the process died or the trial was stopped
        ("cpu", pa.float64()),  # CPU seconds of the run, NaN where it was cut
        ("pid", pa.int64()),
        ("ok", pa.bool_()),  # false: the task raised
    ]
)

EVENTS = pa.schema(
    [
        ("trial", pa.string()),
        ("t", pa.float64()),
        ("event", pa.string()),  # load_started | window_started | window_ended | drained | cut_off | died |
        #   restarted | oom_kill | stopped; of generator workers: clock | clock_drifted | worker_lost
        ("role", pa.string()),
        ("pid", pa.int64()),
        ("detail", pa.string()),
    ]
)

SCHEMAS: dict[str, pa.Schema] = {
    "jobs": JOBS,
    "requests": REQUESTS,
    "resources": RESOURCES,
    "executions": EXECUTIONS,
    "events": EVENTS,
}
Table = Literal["jobs", "requests", "resources", "executions", "events"]
ESSENTIAL: dict[Table, frozenset[str]] = {
    "jobs": frozenset({"trial", "job", "phase", "arrival", "done", "outcome"}),
    "requests": frozenset({"trial", "job", "kind", "sent"}),
    "resources": frozenset({"trial", "t", "subject", "metric", "value"}),
    "executions": frozenset({"trial", "job", "start", "end", "cut"}),
    "events": frozenset({"trial", "t", "event"}),
}
"""Columns without which a part is not of its table. Others read as missing: earlier versions had fewer."""


class RunFolderError(Exception):
    """The folder is not a run, is damaged, or was written by a later version; the message says which."""


@dataclass(frozen=True)
class RunFolder:
    """Where a run lives. Makes nothing until something is written."""

    path: Path

    @property
    def run_json(self) -> Path:
        """Experiment as resolved, environment, caps in force, calibration, seed."""
        return self.path / "run.json"

    def trial(self, trial_id: str) -> Path:
        """Folder of one trial: `trial.json`, `logs/`, and the generator's raw lines while it runs."""
        return self.path / "trials" / trial_id

    def write_run(self, data: Mapping[str, Any]) -> None:
        """Write run.json whole or not at all."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.run_json, {"format": FORMAT, **data})

    def read_run(self) -> dict[str, Any]:
        """Read run.json. Raises RunFolderError with what is wrong and what to do."""
        try:
            data = json.loads(self.run_json.read_text())
        except FileNotFoundError:
            raise RunFolderError(
                f"{self.path} is not a run folder: it has no run.json. Name one that `bench run` made."
            ) from None
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{self.run_json} can't be read: {error}") from None
        if not isinstance(data, dict) or not isinstance(data.get("format"), int):
            raise RunFolderError(f"{self.run_json} is not a run description of Queuebench.")
        if data["format"] > FORMAT:
            raise RunFolderError(
                f"{self.path} was written by a later Queuebench (format {data['format']}, this one reads "
                f"up to {FORMAT}). Update Queuebench."
            )
        return data

    def write_part(
        self, table: Table, trial_id: str, rows: "pd.DataFrame | Iterable[Mapping[str, Any]]"
    ) -> None:
        """Write one trial's rows of one table, replacing an earlier part of the same trial."""
        schema = SCHEMAS[table]
        folder = self.path / f"{table}.parquet"
        folder.mkdir(parents=True, exist_ok=True)
        if isinstance(rows, pd.DataFrame):
            content = pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
        else:
            content = pa.Table.from_pylist([{"trial": trial_id, **row} for row in rows], schema=schema)
        target = folder / f"{trial_id}.parquet"
        half = target.with_suffix(".half")
        pq.write_table(content, half, compression="zstd", write_page_checksum=True)
        half.replace(target)

    def has(self, table: Table) -> bool:
        """Whether anything was written into this table."""
        return any((self.path / f"{table}.parquet").glob("*.parquet"))

    def read(
        self,
        table: Table,
        columns: Sequence[str] | None = None,
        few: Sequence[str] = (),
        trial: str | None = None,
    ) -> pd.DataFrame:
        """Whole table over all trials, or this one; or these columns of it. Empty when nothing was written.
        Columns with `few` different words come as categories: of a million jobs, a third of the memory.

        Raises RunFolderError when a part is damaged.
        """
        names = SCHEMAS[table].names if columns is None else columns
        words = pa.dictionary(pa.int32(), pa.string())
        schema = pa.schema([pa.field(c, words) if c in few else SCHEMAS[table].field(c) for c in names])
        folder = self.path / f"{table}.parquet"
        parts = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
        if trial is not None:
            parts = [part for part in parts if part.stem == trial]
        if not parts:
            empty: pd.DataFrame = schema.empty_table().to_pandas()
            return empty
        try:
            content = pa.concat_tables([_part(table, part, schema) for part in parts])
            content.validate(full=True)
            # Handed over column by column, so that nothing is held twice for long.
            frame: pd.DataFrame = content.unify_dictionaries().to_pandas(
                split_blocks=True, self_destruct=True
            )
        except (OSError, ValueError, pa.ArrowException) as error:
            what = " ".join(str(error).split()).rstrip(".")
            raise RunFolderError(f"{folder} is damaged: {what}. Run the experiment again.") from None
        return frame


def _part(table: Table, part: Path, schema: pa.Schema) -> pa.Table:
    """One part with exactly these columns. Raises ValueError for a part of something else."""
    if lacking := ESSENTIAL[table] - set(pq.read_schema(part).names):
        raise ValueError(f"{part.name} has no {', '.join(sorted(lacking))}")
    return pq.read_table(part, schema=schema, columns=schema.names, page_checksum_verification=True)


def write_json(path: Path, data: object) -> None:
    """Write JSON whole or not at all: to a neighbour first, then renamed over."""
    half = path.with_suffix(path.suffix + ".half")
    half.write_text(json.dumps(data, indent=2, default=str) + "\n")
    half.replace(path)
