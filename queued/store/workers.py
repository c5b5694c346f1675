"""What workers ask of the store: each list in one round trip."""

import json
import random
import secrets
from collections.abc import Sequence
from typing import Any

from queued.job import Begun, Done, Ending, Held, Job, Outcome, State, Verdict
from queued.problem import attempt_died
from queued.settings import Settings
from queued.store import fields
from queued.store.client import Client
from queued.store.scripts import SMALL
from queued.store.web import milliseconds

WORKER_TTL = 30.0
"""Seconds for which a worker counts after it was last heard of."""
WEIGHT = 0.1
"""Of the newest run in the mean service time."""
GROUP = 100
"""Most attempts in one script: Redis does nothing else meanwhile."""
FEW = 4096
"""Bytes of an end that is stored even when Redis is full: jobs that were accepted must be able to end, or
nothing would ever expire. What is longer waits until there is room."""
NOTE = 500
"""Most characters of a note that are kept."""
UNSURE = 10_000
"""Most calls of which it is remembered that their answers were lost."""


class ForWorkers:
    """Attempts and workers. The methods raise StoreError."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._ttl = milliseconds(settings.result_ttl)
        self._unsure: dict[tuple[str, str], str] = {}

    def begin(self, jobs: Sequence[Job], worker: str) -> list[Begun]:
        """Begin an attempt at each, with a lease; what can't be in time any more is not begun but expires.

        A job whose record is gone is recorded anew: the message is proof enough that it was accepted.
        Begun twice, also by the same worker, the second time answers LEASED; unless the first call raised
        StoreError, for then nobody knows whether it got through.
        """
        begun: dict[int, Begun] = {}
        call = secrets.token_hex(4)
        calls = [self._unsure.get((job.id, worker), f"{call}{i}") for i, job in enumerate(jobs)]
        try:
            todo = list(range(len(jobs)))
            while todo:
                pairs = [part for i in todo for part in (jobs[i].id, f"{worker}#{calls[i]}")]
                answers = self._begin(pairs)
                for i, (verdict, state, attempt) in zip(todo, answers, strict=True):
                    if verdict == b"gone":
                        ended = self._restore(jobs[i])
                        if ended is not None:
                            begun[i] = Begun(Verdict.DROP, ended, 0)
                    else:
                        begun[i] = Begun(Verdict(verdict.decode()), State(state.decode()), attempt)
                todo = [i for i in todo if i not in begun]
        except BaseException:
            if len(self._unsure) < UNSURE:
                self._unsure.update({(job.id, worker): calls[i] for i, job in enumerate(jobs)})
            raise
        for job in jobs:
            self._unsure.pop((job.id, worker), None)
        return [begun[i] for i in range(len(jobs))]

    def renew(self, held: Sequence[Held], worker: str) -> list[State | None]:
        """Renew the leases of attempts that run, and note their progress.

        For each RUNNING: still yours, go on. None: there is no record of it, go on; `finish` makes it anew.
        QUEUED: another has it, or will: leave it. A final state: nobody waits for it any more: leave it.
        """
        arguments: list[str | float] = []
        for one in held:
            progress = "" if one.progress is None else f"{min(max(one.progress, 0.0), 1.0):.4f}"
            arguments += (one.job_id, one.attempt, progress, (one.note or "")[:NOTE])
        if not held:
            return []
        states = self._client.run("renew", self._settings.lease, worker, *arguments)
        return [State(state.decode()) if state else None for state in states]

    def finish(self, endings: Sequence[tuple[Job, int, Outcome]]) -> list[Ending]:
        """Store how attempts ended: jobs, number of the attempt, how. May be repeated without harm.

        A job whose record is gone is recorded anew.
        """
        told: dict[int, Ending] = {}
        todo = list(range(len(endings)))
        while todo:
            some = [endings[i] for i in todo]
            answers = self._finish([_told(job.id, attempt, outcome) for job, attempt, outcome in some])
            for i, answer in zip(todo, answers, strict=True):
                if answer is not None:
                    told[i] = answer
                elif self._restore(endings[i][0]) is not None:
                    told[i] = Ending.FINAL
            todo = [i for i in todo if i not in told]
        return [told[i] for i in range(len(endings))]

    def finish_by_id(self, job_id: str, attempt: int | None, outcome: Outcome) -> Ending | None:
        """As `finish`, where the job itself is not at hand. Attempt None: whichever. None: no such job."""
        return self._finish([_told(job_id, attempt, outcome)])[0]

    def give_back(self, held: Sequence[Held]) -> None:
        """Return attempts that were not made to the queue; they do not count as failed."""
        if held:
            self._client.run("give_back", *(part for one in held for part in (one.job_id, one.attempt)))

    def appear(self, queue: str, worker: str, slots: int) -> None:
        """Note that this worker takes so many jobs at a time from the queue; for WORKER_TTL seconds."""
        self._client.run("appear", queue, worker, slots, WORKER_TTL)

    def vanish(self, queue: str, worker: str) -> None:
        """Note that it no longer does."""
        self._client.run("appear", queue, worker, 0, 0)

    def _begin(self, pairs: Sequence[str]) -> list[Any]:
        settings = self._settings
        lost = f"{settings.max_losses} workers were lost while they did it"
        problem = json.dumps(attempt_died(lost).to_json())
        answers: list[Any] = []
        for start in range(0, len(pairs), 2 * GROUP):
            some = pairs[start : start + 2 * GROUP]
            answers += self._client.run(
                "begin", settings.lease, settings.max_losses, self._ttl, problem, *some
            )
        return answers

    def _finish(self, told: Sequence[tuple[str | bytes | float, ...]]) -> list[Ending | None]:
        """Few bytes go together; what is long goes alone."""
        answers: dict[int, Any] = {}
        few = [i for i, one in enumerate(told) if len(one[4]) <= FEW]  # type: ignore[arg-type]  # bytes
        for start in range(0, len(few), GROUP):
            some = few[start : start + GROUP]
            together = [part for i in some for part in told[i]]
            answers |= dict(zip(some, self._run_finish(SMALL, together), strict=True))
        for i, one in enumerate(told):
            if i not in answers:
                (answers[i],) = self._run_finish("finish", one)
        return [None if answers[i] == b"gone" else Ending(answers[i].decode()) for i in range(len(told))]

    def _run_finish(self, script: str, arguments: Sequence[str | bytes | float]) -> list[bytes]:
        settings = self._settings
        size = 0 if script == SMALL else len(arguments[4])  # type: ignore[arg-type]  # bytes
        answers: list[bytes] = self._client.run(
            script,
            self._ttl,
            settings.max_attempts,
            settings.retry_first,
            settings.retry_most,
            WEIGHT,
            *arguments,
            size=size,
        )
        return answers

    def _restore(self, job: Job) -> State | None:
        """Make the record of a job anew; gives the final state of one that was deleted on purpose."""
        state = self._client.run("restore", job.id, *fields.of_job(job))
        return State(state.decode()) if state else None


def _told(job_id: str, attempt: int | None, outcome: Outcome) -> tuple[str | bytes | float, ...]:
    """Return an outcome as the script takes it."""
    if isinstance(outcome, Done):
        kind, payload = "done", outcome.output
    else:
        kind = "retry" if outcome.retry else "failed"
        payload = json.dumps(outcome.problem.to_json()).encode()
    run = "" if outcome.run is None else repr(outcome.run)
    return job_id, "" if attempt is None else str(attempt), kind, run, payload, random.random()
