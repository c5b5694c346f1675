"""`queued dead`: looks through the dead letters, and brings them back or throws them away.

A letter is a job that was given up (`queued.worker.hands` says when), or a poison message that is no job at
all. It leaves the queue of the dead letters only when it is dealt with, so whatever ends this command loses
nothing.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from queued.broker.operator import Letter, Operator
from queued.errors import QueuedError
from queued.job import BadMessage, Job, Record
from queued.settings import Settings
from queued.store import Store

SHOWN = 20_000
"""Most bytes of a poison message that are shown."""


class DeadError(QueuedError):
    """What was asked for can't be done."""


@dataclass(frozen=True)
class Dead:
    """A dead letter and what it says."""

    letter: Letter
    queue: str
    """The queue of dead letters that it stands in."""
    job: Job | None
    fault: str | None
    """Why it is no job that can run here; None: it could."""

    @property
    def id(self) -> str:
        """The job's, or a name made of the content where there is none."""
        if self.job is not None:
            return self.job.id
        return f"poison-{hashlib.sha256(self.letter.body).hexdigest()[:16]}"


Say = Callable[[str], None]
"""Takes one line of the answer."""


class Letters:
    """The dead letters of every task of the settings. All methods raise QueuedErrors."""

    def __init__(self, settings: Settings, operator: Operator, store: Store) -> None:
        self._settings = settings
        self._operator = operator
        self._store = store

    def list(self, limit: int, as_json: bool, say: Say) -> None:
        """Say what is there, a line each, the longest dead first."""
        count = 0
        for dead in self._all():
            count += 1
            if count <= limit:
                facts = self._facts(dead)
                say(json.dumps(facts) if as_json else _line(facts))
        if count > limit and not as_json:
            say(f"and {count - limit:,} more: --limit shows them")
        if count == 0 and not as_json:
            say("no dead letters")

    def show(self, wanted: str, say: Say) -> None:
        """Say all that is known of one."""
        for dead in self._all():
            if dead.id == wanted:
                say(json.dumps({**self._facts(dead), **_content(dead)}, indent=2, ensure_ascii=False))
                return
        raise DeadError(f"no dead letter is called {wanted}")

    def retry(self, wanted: Collection[str] | None, say: Say) -> bool:
        """Run these jobs again (None: all), as if they were new; whether all that was wanted was possible.

        Record, message with confirm, and only then the letter goes: what dies in between leaves the letter,
        and a queued record that the keeper finds.
        """

        def bring(dead: Dead) -> bool:
            if dead.job is None or dead.fault is not None:
                say(f"{dead.id} can't be retried: {dead.fault}; `queued dead purge` removes it")
                return False
            if self._store.revive(dead.job):
                self._operator.publish(dead.job)
                say(f"{dead.id} is queued again")
            else:
                record = self._store.record(dead.id)
                say(f"{dead.id} is {record.state if record else 'gone'} already; its dead letter is dropped")
            self._operator.drop(dead.letter)
            return True

        return self._each(wanted, bring, say)

    def purge(self, wanted: Collection[str] | None, say: Say) -> bool:
        """Throw these away (None: all); whether all that was wanted was there. Records stay."""

        def throw(dead: Dead) -> bool:
            self._operator.drop(dead.letter)
            say(f"{dead.id} is gone from the dead letters")
            return True

        return self._each(wanted, throw, say)

    def _each(self, wanted: Collection[str] | None, deal: Callable[[Dead], bool], say: Say) -> bool:
        well = True
        met: Counter[str] = Counter()
        for dead in self._all():
            if wanted is None or dead.id in wanted:
                met[dead.id] += 1
                well &= deal(dead)
        for missing in [name for name in wanted or () if not met[name]]:
            say(f"no dead letter is called {missing}")
            well = False
        if wanted is None and not met:
            say("no dead letters")
        return well

    def _all(self) -> Iterator[Dead]:
        for task in self._settings.tasks:
            queue = self._settings.dead_queue(task)
            for letter in self._operator.letters(queue):
                yield self._read(letter, queue)

    def _read(self, letter: Letter, queue: str) -> Dead:
        try:
            job = Job.decode(letter.body)
        except BadMessage as error:
            return Dead(letter, queue, None, str(error))
        if job.task not in self._settings.tasks:
            return Dead(letter, queue, job, f"no worker here does its task, {job.task}")
        if job.queue not in self._settings.queues(job.task):
            return Dead(letter, queue, job, f"its queue, {job.queue}, is none of task {job.task}")
        return Dead(letter, queue, job, None)

    def _facts(self, dead: Dead) -> dict[str, Any]:
        """What a list shows, from the record and the broker's own notes."""
        record = None if dead.job is None else self._store.record(dead.job.id)
        return {
            "id": dead.id,
            "task": None if dead.job is None else dead.job.task,
            "died": _when(dead.letter.died),
            "why": _why(dead, record),
            "attempts": None if record is None else record.attempt,
            "state": None if record is None else record.state,
            "broker": dead.letter.reason,
            "queue": dead.letter.source or dead.queue,
            "created": None if dead.job is None else _when(dead.job.created),
        }


def _why(dead: Dead, record: Record | None) -> str:
    if dead.fault is not None:
        return dead.fault
    if record is None:
        return "its record has expired"
    return "unknown" if record.problem is None else record.problem.detail


def _content(dead: Dead) -> dict[str, Any]:
    """What only `show` tells: the message."""
    if dead.job is None:
        text = dead.letter.body[:SHOWN].decode(errors="backslashreplace")
        return {"bytes": len(dead.letter.body), "message": text}
    return {
        "request_id": dead.job.request_id,
        "deadline": _when(dead.job.deadline),
        "input": dead.job.input,
    }


def _when(unix: float | None) -> str | None:
    return None if unix is None else datetime.fromtimestamp(unix, UTC).isoformat(timespec="seconds")


def _line(facts: dict[str, Any]) -> str:
    attempts = "" if facts["attempts"] is None else f", attempt {facts['attempts']}"
    return f"{facts['id']}  {facts['died'] or '-'}  {facts['task'] or 'poison'}{attempts}: {facts['why']}"
