"""What the keeper and operators ask of the store."""

import json
from collections.abc import Sequence

from queued.job import Job, State
from queued.settings import Settings
from queued.store import fields
from queued.store.client import Client
from queued.store.model import COUNTERS, Hook, Load
from queued.store.web import milliseconds

HOOK_HELD = 60.0
"""Seconds for which a webhook is given to one caller only."""


class ForKeeper:
    """Retries, lost messages, lost workers, deadlines, webhooks, figures. The methods raise StoreError."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._ttl = milliseconds(settings.result_ttl)
        self._levels = int(settings.priorities)

    def hold_keeper(self, name: str, seconds: float) -> bool:
        """Become or stay the one keeper that acts, for so long; False: another is."""
        return bool(self._client.run("keeper", name, milliseconds(seconds)))

    def due(self, queue: str, limit: int) -> list[Job]:
        """Retries whose time has come. They stay due until `requeued`."""
        return self._list("due", queue, 0, limit)

    def overdue(self, queue: str, empty: bool, grace: float, limit: int) -> list[Job]:
        """Jobs that wait though their message must be gone.

        `empty`: the broker has no message ready in this queue; then that is what has waited for more than
        `grace` seconds, else what was overtaken by a job that came more than `grace` seconds later.
        """
        return self._list("waiting" if empty else "overtaken", queue, grace, limit)

    def abandoned(self, queue: str, grace: float, limit: int) -> list[Job]:
        """Jobs that run, but whose lease ended more than `grace` seconds ago."""
        return self._list("running", queue, grace, limit)

    def requeued(self, jobs: Sequence[Job]) -> None:
        """Note that their messages are in the queue again, confirmed."""
        if jobs:
            self._client.run("requeued", *(job.id for job in jobs))

    def sweep_deadlines(self, limit: int) -> int:
        """Let queued jobs expire whose deadline is over; gives how many."""
        return int(self._client.run("sweep", limit, self._ttl))

    def revive(self, job: Job) -> bool:
        """Queue a failed job again, as new, for an operator; False: it is not failed.

        Call it before its message is published, else a worker may still find it failed. A job whose record is
        gone is recorded anew.
        """
        return bool(self._client.run("revive", job.id, *fields.of_job(job)))

    def load(self, queue: str) -> Load:
        """How busy the queue is."""
        waiting, running, due, workers, slots, oldest, wait, *more = self._client.run(
            "load", queue, self._levels
        )
        own = {name.decode(): value for name, value in zip(more[::2], more[1::2], strict=True)}
        return Load(
            waiting=waiting,
            running=running,
            due=due,
            workers=workers,
            slots=slots,
            service_time=fields.number(own.get("service_time")),
            oldest=fields.number(oldest),
            counters={name: int(own.get(name, 0)) for name in COUNTERS},
            expected_wait=fields.number(wait),
        )

    def hooks_due(self, limit: int) -> list[Hook]:
        """Webhooks whose time has come; each is given to one caller only, for a minute."""
        hooks = []
        for job_id, text in self._client.run("hooks", limit, HOOK_HELD):
            about = json.loads(text)
            hooks.append(
                Hook(
                    job_id=job_id.decode(),
                    url=about["url"],
                    state=State(about["state"]),
                    task=about["task"],
                    created=float(about["created"]),
                    finished=float(about["finished"]),
                    tries=int(about["tries"]),
                )
            )
        return hooks

    def hook_done(self, job_id: str) -> None:
        """Forget it: it was delivered, or given up."""
        self._client.run("hook_done", job_id)

    def hook_later(self, job_id: str, when: float, tries: int) -> None:
        """Try again at `when` (Unix time), having tried so often."""
        self._client.run("hook_later", job_id, when, tries)

    def _list(self, what: str, queue: str, grace: float, limit: int) -> list[Job]:
        rows = self._client.run("list", what, queue, grace, limit, *fields.JOB)
        return [fields.to_job(row) for row in rows]
