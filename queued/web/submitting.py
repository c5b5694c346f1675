"""Taking jobs: checked, recorded, and confirmed by the broker before the client hears 202."""

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from flask import Response, request

from queued import problem
from queued.broker import NotConfirmed, Publisher
from queued.job import FINAL, Job, Priority, Record, State, new_id
from queued.seams import seam
from queued.settings import Settings
from queued.store import Admission, NewJob, Store
from queued.web.access import Access
from queued.web.answers import Answer, as_json, retry_after, soon
from queued.web.asking import Asking
from queued.web.body import read_body
from queued.web.hub import Full, Hub, Waiter
from queued.web.rates import Rates
from queued.web.waiting import applied, asked_wait, until
from queued.webhooks import BadCallback, check
from workloads import InvalidInput, Task, parse_json
from workloads.inputs import number, shown

T = TypeVar("T")

log = logging.getLogger(__name__)

FIELDS = frozenset({"input", "task", "priority", "deadline", "callback"})
FORM = '{"input": …} with "task", "priority", "deadline" or "callback" beside it'
MOST_DEADLINE = 10 * 365 * 86_400.0
"""Seconds."""
UNSURE = 0.05
"""Seconds without news of a new job after which its record is read, and then less and less often: see
`Hub.join`."""
LONG = 1.0
"""Such seconds from which on the job is followed as well."""
LONGEST_KEY = 255
"""Characters of an Idempotency-Key."""


@dataclass(frozen=True)
class Wish:
    """A submission, read and not yet checked by its task."""

    task: str
    input: Any
    priority: Priority = Priority.NORMAL
    deadline: float | None = None
    """Seconds from now."""
    callback: str | None = None


class Submitting:
    """POST /jobs, and what else submits."""

    def __init__(
        self,
        settings: Settings,
        tasks: Mapping[str, Task],
        publisher: Publisher,
        store: Store,
        hub: Hub,
        access: Access,
        rates: Rates,
        asking: Asking,
    ) -> None:
        """`tasks` by name; the first is the one for submissions that name none."""
        self._settings = settings
        self._tasks = tasks
        self._publisher = publisher
        self._store = store
        self._hub = hub
        self._access = access
        self._rates = rates
        self._asking = asking
        self.default_task = next(iter(tasks))

    def submit(self) -> Response:
        """POST /jobs → 202; with `Prefer: wait`, 200 and the result where the job ends in time."""
        caller = self.admit()
        wish = self._read(_checked(lambda: parse_json(read_body(self._settings.max_body))))
        wait = asked_wait(self._settings.gateway_timeout)
        if not wait:
            admission = self.accept(wish, caller)
            return self._respond(admission, self._record(admission) if admission.replayed else None)
        # Waited for before it is on its way: nothing of a job that is quick is missed.
        try:
            waiter = self._hub.join(new_id(), end_only=True, new=True)
        except Full:
            return self._submit_and_wait(wish, caller, None, wait)
        try:
            response = self._submit_and_wait(wish, caller, waiter, wait)
        except BaseException:
            waiter.leave()
            raise
        response.call_on_close(waiter.leave)  # not before: the client need not wait for that
        return response

    def _submit_and_wait(
        self, wish: Wish, caller: str | None, waiter: Waiter | None, wait: float
    ) -> Response:
        admission = self.accept(wish, caller, waiter)
        if waiter is not None and admission.job_id == waiter.job_id:
            record, output = self._wait_for(waiter, wait)
        else:
            until(self._hub, admission.job_id, wait, lambda: self._record(admission))
            record, output = self._access.result(admission.job_id)
        if record.state in FINAL:
            return self._asking.hand_out(record, output, {**self._headers(admission), **applied(wait)})
        return self._respond(admission, record, applied(wait))

    def admit(self) -> str | None:
        """Let a submission in, by API key and by how many came before it; gives the key's name.

        Raises Answer (401, 429).
        """
        caller = self._access.caller()
        self._rates.check(caller)
        return caller

    def accept(self, wish: Wish, caller: str | None, waiter: Waiter | None = None) -> Admission:
        """Check the input, record and publish the job, and wait for the broker's word. Raises Answer.

        `waiter`: who waits here already for the end of the job that this becomes.
        """
        job = self._job(wish, caller, waiter.job_id if waiter else new_id())
        key = _idempotency_key()
        listener = self._hub.listener if waiter else ""
        fingerprint = _fingerprint(job, wish) if key else ""
        submission = self._publisher.submit(NewJob(job, key, fingerprint, listener))
        try:
            admission = submission.wait(self._settings.confirm_timeout)
        except NotConfirmed as error:
            self._refuse(job, submission.admission, str(error), keyed=key is not None)
            admission = submission.admission or _taken(job)
        if admission.conflict:
            raise Answer(problem.key_reused("send another key with another submission"))
        if not admission.accepted:
            raise self._too_busy(admission)
        seam("after-confirm")
        log.debug("job %s is accepted", admission.job_id, extra={"job": admission.job_id})
        return admission

    def _read(self, body: Any) -> Wish:
        if not isinstance(body, dict) or "input" not in body or not set(body) <= FIELDS:
            raise _invalid(f"the body must look like {FORM}")
        priority, deadline = body.get("priority", Priority.NORMAL), body.get("deadline")
        if priority not in list(Priority):
            raise _invalid(f"priority must be high, normal or low, not {shown(priority)}")
        if priority != Priority.NORMAL and not self._settings.priorities:
            raise _invalid("this service has no priorities")
        if deadline is not None:
            deadline = _checked(lambda: number(deadline, "deadline, in seconds from now,", 0, MOST_DEADLINE))
        callback = body.get("callback")
        if callback is not None:
            self._check_callback(callback)
        task = body.get("task", self.default_task)
        if not isinstance(task, str) or task not in self._tasks:
            raise _invalid(f"this service does {', '.join(self._tasks)}, not {shown(task)}")
        return Wish(task, body["input"], Priority(priority), deadline, callback)

    def _check_callback(self, callback: Any) -> None:
        if not isinstance(callback, str):
            raise _invalid(f"callback must be an address, not {shown(callback)}")
        try:
            check(callback, self._settings)
        except BadCallback as error:
            raise _invalid(str(error)) from None

    def _job(self, wish: Wish, caller: str | None, job_id: str) -> Job:
        created = time.time()
        return Job(
            id=job_id,
            task=wish.task,
            input=_checked(lambda: self._tasks[wish.task].check(wish.input)),
            created=created,
            request_id=_request_id(),
            queue=self._settings.queue_of(wish.task, wish.priority),
            deadline=None if wish.deadline is None else created + wish.deadline,
            callback=wish.callback,
            owner=caller,
        )

    def _refuse(self, job: Job, admission: Admission | None, why: str, *, keyed: bool) -> None:
        """Answer 503, once the record says so; return where a worker has the job after all."""
        refusal = problem.not_enqueued(why)
        # What was submitted before is not ours to end.
        ours = admission is None or not admission.replayed
        # The record must say so before the client hears it: its message may still arrive, and no worker
        # touches a job whose record is final. A job that a worker has already is accepted after all.
        # One that was submitted again with its key meanwhile stays queued, for the other may have been told
        # 202. This client hears 503, for the broker has not confirmed it, and finds the job by its key.
        unconfirmed = (State.FAILED, State.QUEUED) if keyed else (State.FAILED,)
        if ours and self._store.refuse(job, refusal) not in unconfirmed:
            return
        log.warning("job %s was refused: %s", job.id, why, extra={"job": job.id})
        raise Answer(refusal, soon(self._settings.retry_after))

    def _too_busy(self, admission: Admission) -> Answer:
        """Say why there is no place, and when there will be one as far as can be told."""
        expected, most = admission.expected_wait, self._settings.max_wait
        if most is not None and expected is not None and expected > most:
            wait = expected - most
            why = problem.too_long_a_wait(
                f"it would wait about {expected:.1f} s, and {most:g} s is the limit"
            )
        else:
            # as long as it takes for so many jobs to be begun that there is room for one
            over = admission.ahead - self._settings.max_queued + 1
            wait = over * expected / max(1, admission.ahead) if expected else self._settings.retry_after
            why = problem.queue_full(
                f"{admission.ahead} jobs wait, and {self._settings.max_queued} is the limit"
            )
        return Answer(why, {"Retry-After": str(max(1, math.ceil(wait)))})

    def _wait_for(self, waiter: Waiter, wait: float) -> tuple[Record, bytes]:
        """Return the result once the job has ended, or how it is after `wait` seconds."""
        end = time.monotonic() + wait
        look = UNSURE
        while True:
            # Not every news is the end: who was cut off from the store is woken to look.
            waiter.wait(min(look, end - time.monotonic()))
            if waiter.result is not None:
                return waiter.result
            if look > LONG:
                self._hub.follow(waiter)
            record, output = self._access.result(waiter.job_id)
            if record.state in FINAL or self._hub.ending or time.monotonic() >= end:
                return record, output
            look = min(2 * look, wait)

    def _record(self, admission: Admission) -> Record:
        return self._access.record(admission.job_id)

    def _respond(
        self, admission: Admission, record: Record | None, more: Mapping[str, str] | None = None
    ) -> Response:
        """Answer 202, as the job is now where that was read, else as it was admitted."""
        body: dict[str, Any] = {
            "id": admission.job_id,
            "state": State.QUEUED,
            "expected_wait": admission.expected_wait,
            "ahead": admission.ahead,
        }
        if record is not None:
            body |= {"state": record.state, "expected_wait": record.expected_wait, "ahead": record.ahead}
        when = retry_after(body["expected_wait"], self._settings)
        return as_json(body, 202, {**self._headers(admission), **when, **(more or {})})

    def _headers(self, admission: Admission) -> dict[str, str]:
        headers = {"Location": f"/jobs/{quote(admission.job_id)}"}
        if admission.replayed:
            headers["Idempotency-Replayed"] = "true"
        return headers


def _taken(job: Job) -> Admission:
    """What stands for the admission of a job whose record said that a worker has it."""
    return Admission(
        accepted=True, job_id=job.id, replayed=False, conflict=False, expected_wait=None, ahead=0
    )


def _checked(check_it: Callable[[], T]) -> T:
    try:
        return check_it()
    except InvalidInput as error:
        raise _invalid(str(error)) from None


def _invalid(detail: str) -> Answer:
    return Answer(problem.invalid_input(detail))


def _fingerprint(job: Job, wish: Wish) -> str:
    """What was submitted, in short; the deadline as it was given, for its time moves on."""
    told = [job.task, job.input, wish.priority, wish.deadline, wish.callback]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _idempotency_key() -> str | None:
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return None
    if not (given.isascii() and given.isprintable() and 0 < len(given) <= LONGEST_KEY):
        raise _invalid(f"Idempotency-Key must be 1 to {LONGEST_KEY} printable ASCII characters")
    return given


def _request_id() -> str | None:
    """Return the client's correlation id, where it is usable in a log line."""
    given = request.headers.get("X-Request-ID", "")
    return given if given and len(given) <= 200 and given.isprintable() else None
