"""Writes down what happened, as it happens: rows of `bench.records` as JSON lines, without their trial."""

import json
import math
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from bench.load.clients import Job
from bench.load.progress import Progress, write_progress

FILES = ("jobs.jsonl", "requests.jsonl", "marks.jsonl")


class Recorder:
    """Buffers rows and appends them to the folder's files at every `flush`. Raises OSError when it can't.

    Without a folder it takes everything and writes nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        """Make the folder where it is missing and begin its files anew."""
        self._folder = folder
        self._keeps = folder is not None
        self._files: list[TextIO] = []
        self._buffers: list[list[str]] = [[] for _ in FILES]
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._files = [(folder / name).open("w", encoding="utf-8") for name in FILES]

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def job(self, job: Job) -> None:
        """Keep a job that has ended."""
        row = {name: getattr(job, name) for name in Job.__slots__}
        row["job"] = row.pop("id")
        self._add(0, row)

    def request(
        self, job: str, kind: str, sent: float, elapsed: float, status: int, size: int, error: str
    ) -> None:
        """Keep an HTTP exchange. `size` is the body's, in bytes."""
        self._add(
            1,
            {
                "job": job,
                "kind": kind,
                "sent": sent,
                "elapsed": elapsed,
                "status": status,
                "bytes": size,
                "error": error,
            },
        )

    def take(self, jobs: str, requests: str) -> None:
        """Keep rows that another process's recorder made, whole lines."""
        if self._keeps:
            self._buffers[0].append(jobs)
            self._buffers[1].append(requests)

    def mark(self, t: float, event: str, detail: str = "", pid: int | None = None) -> None:
        """Keep a moment of the load: load_started, window_started, window_ended, drained, cut_off; of
        several processes also clock, clock_drifted, worker_lost.
        """
        pid = os.getpid() if pid is None else pid
        self._add(2, {"t": t, "event": event, "role": "generator", "pid": pid, "detail": detail})

    def progress(self, progress: Progress) -> None:
        """Show how it is going to whoever reads `progress.json`."""
        if self._folder is not None:
            write_progress(self._folder / "progress.json", progress)

    def flush(self) -> None:
        """Write what is buffered, whole lines only."""
        for file, buffer in zip(self._files, self._buffers, strict=False):
            if buffer:
                text = "".join(buffer)
                buffer.clear()
                file.write(text)
                file.flush()

    def close(self) -> None:
        """Write the rest and close. May be called twice."""
        try:
            self.flush()
        finally:
            self._keeps = False
            files, self._files = self._files, []
            for file in files:
                # A full disk was reported by the flush; closing would only report it again.
                with suppress(OSError):
                    file.close()

    def _add(self, which: int, row: dict[str, Any]) -> None:
        if self._keeps:
            plain = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}
            self._buffers[which].append(json.dumps(plain) + "\n")


class Courier(Recorder):
    """Keeps rows for whoever collects them, to send them to another process."""

    def __init__(self) -> None:
        super().__init__(None)
        self._keeps = True

    def collect(self) -> tuple[str, str]:
        """Jobs and requests since the last time, as lines of their files."""
        jobs, requests = ("".join(buffer) for buffer in self._buffers[:2])
        for buffer in self._buffers:
            buffer.clear()
        return jobs, requests
