"""A file of many jobs, one JSON line each, and the file of the ids they got.

Every line has a key that stays the same whenever the file is submitted: it is sent as Idempotency-Key, so a
batch that is repeated, or interrupted and gone on with, makes no job twice. The file of ids is written as the
service accepts, so the next call knows what is left.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from queued.errors import QueuedError
from workloads import InvalidInput, parse_json

FORM = '{"input": …} or {"input": …, "id": "a name of your own"}'
LONGEST_ID = 1_000
"""Characters."""
START = b'{"line": '
"""What every line of the file of ids begins with."""


class BatchError(QueuedError):
    """The batch can't be submitted as asked."""


class BadLines(BatchError):
    """Some lines are wrong, so nothing was sent; `faults` has one line of text for each."""

    def __init__(self, faults: Sequence[str], total: int) -> None:
        super().__init__(f"{len(faults):,} of {total:,} lines are wrong, so nothing was sent")
        self.faults = faults


@dataclass(frozen=True)
class Line:
    """Where one job stands in the file."""

    number: int
    """From 1, as an editor counts."""
    offset: int
    length: int
    """Bytes."""
    key: str
    """What makes a second submission of it the same job."""


@dataclass(frozen=True)
class Batch:
    """A file of which every line was checked. Holds no inputs: a file may be larger than the memory."""

    path: Path
    lines: Sequence[Line]
    stamp: tuple[int, ...]
    """What the file system says of the file's content."""

    def input_of(self, line: Line) -> Any:
        """Read a line's input again. Raises BatchError where the file is not what it was."""
        try:
            with self.path.open("rb") as file:
                if _stamp(file.fileno()) != self.stamp:
                    raise BatchError(f"{self.path} was changed while it was submitted")
                file.seek(line.offset)
                given, _ = _parse(file.read(line.length))
        except (OSError, InvalidInput) as error:
            raise BatchError(f"{self.path}, line {line.number}, can't be read again: {error}") from error
        return given


def read(path: Path, task: str | None = None) -> Batch:
    """Check every line. Raises BadLines with all that is wrong, BatchError where there is no such file.

    The key of a line with an `id` is made of that and the task, so it outlives a change of the file; that of
    another is made of the task, the whole file's content and the line's number.
    """
    faults: list[str] = []
    named: dict[str, int] = {}
    found: list[tuple[int, int, int, str | None]] = []
    digest = hashlib.sha256()
    offset = 0
    try:
        with path.open("rb") as file:
            stamp = _stamp(file.fileno())
            for number, text in enumerate(file, start=1):
                digest.update(text)
                if text.strip():
                    try:
                        _, name = _parse(text)
                        if name is not None and named.setdefault(name, number) != number:
                            raise InvalidInput(f"line {named[name]} has the same id")
                    except InvalidInput as error:
                        faults.append(f"line {number}: {error}")
                        name = None
                    found.append((number, offset, len(text), name))
                offset += len(text)
    except OSError as error:
        raise BatchError(f"{path} can't be read: {error.strerror}") from error
    if faults:
        raise BadLines(faults, len(found))
    if not found:
        raise BatchError(f"{path} has no lines")
    whole = digest.hexdigest()
    return Batch(
        path,
        [
            Line(number, at, length, _key(task, "file", whole, number) if name is None else _key(task, name))
            for number, at, length, name in found
        ],
        stamp,
    )


def _stamp(file: int) -> tuple[int, ...]:
    status = os.fstat(file)
    return status.st_ino, status.st_size, status.st_mtime_ns


def _parse(text: bytes) -> tuple[Any, str | None]:
    """Give input and id of a line. Raises InvalidInput."""
    value = parse_json(text)
    if not isinstance(value, dict) or "input" not in value or not set(value) <= {"input", "id"}:
        raise InvalidInput(f"it must look like {FORM}")
    name = value.get("id")
    if name is not None and (not isinstance(name, str) or not 1 <= len(name) <= LONGEST_ID):
        raise InvalidInput(f"id must be a text of 1 to {LONGEST_ID:,} characters")
    return value["input"], name


def _key(*parts: str | int | None) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class Ids:
    """The file of ids: one line of JSON for each accepted job, `{"line", "id", "url", "key"}`.

    A context manager; only one process at a time can have it.
    """

    def __init__(self, path: Path, batch: Batch) -> None:
        """Open the file and read what it has. Raises BatchError.

        It must be of this batch, so that no ids of another are lost. A last line that was cut off (by a full
        disk, a killed process) is dropped: that job is asked for again, and has the same id.
        """
        self.path = path
        self._lines = {line.key: line.number for line in batch.lines}
        self._known: dict[str, dict[str, Any]] = {}
        try:
            self._file = path.open("a+b")
        except OSError as error:
            raise BatchError(f"the ids can't be written to {path}: {error.strerror}") from error
        try:
            self._lock()
            self._load()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def left(self, lines: Iterable[Line]) -> list[Line]:
        """Give the lines that have no job yet."""
        return [line for line in lines if line.key not in self._known]

    def add(self, line: Line, job_id: str, url: str) -> None:
        """Note a job. It is with the system when this returns. Raises BatchError."""
        entry = {"line": line.number, "id": job_id, "url": url, "key": line.key}
        try:
            self._file.write(json.dumps(entry).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise BatchError(f"the ids can't be written to {self.path}: {error.strerror}") from error
        self._known[line.key] = entry

    def sort(self) -> None:
        """Put the jobs in the order of the batch, all at once. Raises BatchError."""
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with beside.open("wb") as file:
                for entry in sorted(self._known.values(), key=lambda entry: self._lines[entry["key"]]):
                    file.write(json.dumps(entry).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise BatchError(f"the ids can't be sorted in {self.path}: {error.strerror}") from error

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BatchError(f"another process is writing to {self.path}") from None

    def _load(self) -> None:
        self._file.seek(0)
        whole = 0
        for text in self._file:
            if not text.endswith(b"\n") and text[: len(START)] == START[: len(text)]:
                break
            entry = _entry(text)
            if entry is None or entry["key"] not in self._lines:
                raise BatchError(
                    f"{self.path} holds something else than ids of this batch: "
                    "choose another file with --output, or move it away"
                )
            self._known[entry["key"]] = {**entry, "line": self._lines[entry["key"]]}
            whole += len(text)
        self._file.truncate(whole)


def _entry(text: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(text)
    except ValueError:
        return None
    match entry:
        case {"line": int(), "id": str(), "url": str(), "key": str()}:
            return dict(entry)
    return None
