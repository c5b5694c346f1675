"""Telling how a job is, handing out its result, and forgetting it."""

import math
from collections.abc import Mapping

from flask import Response, request

from queued import problem
from queued.job import FINAL, Record, State
from queued.settings import Settings
from queued.store import Store
from queued.web.access import Access
from queued.web.answers import (
    CHECKED,
    Answer,
    as_json,
    as_they_are,
    ask_again,
    has_already,
    known_tags,
    result_etag,
    status_etag,
    status_of,
    timing,
)
from queued.web.hub import Hub
from queued.web.waiting import applied, asked_wait, until

LOOK = 2.0
"""Seconds between two looks at the place of a job that waits, for a client that follows it."""


class Asking:
    """What is asked of a job by its id."""

    def __init__(self, settings: Settings, access: Access, store: Store, hub: Hub) -> None:
        self._settings = settings
        self._access = access
        self._store = store
        self._hub = hub

    def status(self, job_id: str) -> Response:
        """GET /jobs/ID → state, times, place in the queue, progress; small, whatever the result's size.

        With `Prefer: wait` it answers when the state changes, or, to a client that says by If-None-Match what
        it knows, when anything does.
        """
        wait = asked_wait(self._settings.gateway_timeout)
        headers: dict[str, str] = dict(CHECKED)
        if wait:
            known = known_tags()

            def enough(first: Record, last: Record) -> bool:
                if last.state in FINAL:
                    return True
                return status_etag(last) not in known if known else last.state is not first.state

            # That a job moves up is told by nobody: for who wants to know that, its place is looked at.
            look = LOOK if known else math.inf
            record = until(self._hub, job_id, wait, lambda: self._access.record(job_id), enough, look)
            headers |= applied(wait)
        else:
            record = self._access.record(job_id)
        headers |= {"ETag": status_etag(record)}
        if record.state in FINAL:
            headers |= timing(record)
        else:
            headers |= ask_again(record, self._settings)
        if has_already(headers["ETag"]):
            return Response(status=304, headers=headers)
        return as_json(status_of(record), headers=headers)

    def result(self, job_id: str) -> Response:
        """GET /jobs/ID/result → 200 with the output; 409 before the end; the stored problem if it failed.

        With `Prefer: wait` it waits for the end.
        """
        wait = asked_wait(self._settings.gateway_timeout)
        if not wait:
            return self.deliver(job_id, {})
        until(self._hub, job_id, wait, lambda: self._access.record(job_id))
        return self.deliver(job_id, applied(wait))

    def deliver(self, job_id: str, more: Mapping[str, str]) -> Response:
        """Answer with the result, if there is one. Raises Answer."""
        if request.method == "GET" and known_tags():  # no need to read megabytes that the client has
            record = self._access.record(job_id)
            if record.state is State.DONE and has_already(result_etag(record)):
                return Response(status=304, headers={**CHECKED, **more, "ETag": result_etag(record)})
        return self.hand_out(*self._access.result(job_id), more)

    def hand_out(self, record: Record, output: bytes, more: Mapping[str, str]) -> Response:
        """Answer with this result. Raises Answer where it is none."""
        if record.state not in FINAL:
            raise Answer(
                problem.not_finished(f"it is {record.state}"),
                {**more, **ask_again(record, self._settings)},
            )
        if record.state is not State.DONE:
            raise Answer(
                problem.ended_without_result(record.state, record.problem), {**more, **timing(record)}
            )
        if self._settings.fetched_ttl is not None and request.method != "HEAD":
            self._store.fetched(record.id)
        headers = {**CHECKED, **more, **timing(record), "ETag": result_etag(record)}
        return as_they_are(b'{"output":' + output + b"}", headers)

    def delete(self, job_id: str) -> Response:
        """DELETE /jobs/ID: cancel it → 200 with its state then; if it had ended, forget it → 204.

        A job that ends while it is being cancelled keeps its result: nobody asked for that to go.
        """
        if self._access.record(job_id).state in FINAL:
            self._store.delete(job_id)
            return Response(status=204)
        state = self._store.cancel(job_id)
        if state is None:
            return Response(status=204)
        return as_json({"id": job_id, "state": state})
