"""What happens to a job, as it happens: server-sent events, and a WebSocket with the same as JSON."""

import json
import time
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Flask, Response, request
from flask_sock import Sock

from queued import problem
from queued.compact import compact
from queued.job import FINAL, Record, State
from queued.settings import Settings
from queued.store import Store, StoreError
from queued.web.access import Access
from queued.web.answers import Answer, soon, status_etag, status_of
from queued.web.hub import Full, Hub, Waiter

LOOK = 2.0
"""Seconds between two looks at a job that waits: that its place moves up is not told by anybody."""
SILENCE = 15.0
"""Most seconds in which nothing is sent: whoever is in between, or was the client, is still there."""
MAX_MESSAGE = 1024
"""Bytes of the longest message that a client may send by WebSocket. None is of any use."""


class Streams:
    """The routes that stay open until the job has ended."""

    def __init__(self, settings: Settings, access: Access, store: Store, hub: Hub) -> None:
        self._access = access
        self._store = store
        self._hub = hub
        self._retry = soon(settings.retry_after)
        self._silence = min(SILENCE, settings.gateway_timeout / 2)

    def register(self, app: Flask) -> None:
        """Add the routes."""
        app.add_url_rule("/jobs/<job_id>/events", view_func=self.events)
        sockets = Blueprint("sockets", __name__)
        sockets.before_request(self._before_socket)
        # A ping that stays without an answer closes the socket; and no context for compression is kept, which
        # takes more memory than all else about a waiting client: see `_before_socket`.
        app.config["SOCK_SERVER_OPTIONS"] = {
            "ping_interval": self._silence,
            "max_message_size": MAX_MESSAGE,
        }
        Sock().route("/jobs/<job_id>/socket", bp=sockets)(self.socket)
        app.register_blueprint(sockets)

    def events(self, job_id: str) -> Response:
        """GET /jobs/ID/events → `state` and `progress` events as they come, then one `end`."""
        self._access.record(job_id)
        if request.headers.get("Last-Event-ID") == "end":
            return Response(status=204)  # which tells a browser that comes back by itself not to
        waiter = self._join(job_id)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = Response(self._lines(waiter), headers=headers, content_type="text/event-stream")
        response.call_on_close(waiter.leave)
        return response

    def socket(self, connection: Any, job_id: str) -> None:
        """WebSocket /jobs/ID/socket → `{"event": …, and the job's status}` for each event."""
        try:
            waiter = self._join(job_id)
        except Answer as error:
            connection.close(1013, error.problem.detail)  # 1013: try again later
            return
        with waiter:
            for event, body in self._happenings(waiter):
                if event:
                    connection.send(json.dumps({"event": event, **body}))
                elif not connection.connected:
                    return
            if self._hub.ending:
                connection.close(1012, "the service restarts")

    def _before_socket(self) -> None:
        """Refuse before the protocol is changed, while that can be said by HTTP."""
        if request.view_args is not None:
            self._access.record(request.view_args["job_id"])
        if self._hub.full:
            raise self._too_many()
        request.environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)

    def _join(self, job_id: str) -> Waiter:
        try:
            return self._hub.join(job_id)
        except Full:
            raise self._too_many() from None

    def _too_many(self) -> Answer:
        if self._hub.ending:
            return Answer(problem.unavailable("the service restarts"), self._retry)
        return Answer(problem.too_many_waiters("poll meanwhile, or come back"), self._retry)

    def _lines(self, waiter: Waiter) -> Iterator[str]:
        for event, body in self._happenings(waiter):
            if event:
                last = "id: end\n" if event == "end" else ""
                yield f"event: {event}\n{last}data: {compact(body)}\n\n"
            else:
                yield ": still there\n\n"

    def _happenings(self, waiter: Waiter) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each event with the job's status then; an empty one where only a sign of life is due."""
        told: Record | None = None
        spoke = time.monotonic()
        while True:
            try:
                record = self._store.record(waiter.job_id)
            except StoreError:
                record = told  # the hub wakes us when the store is back
            else:
                if record is None:  # deleted, or expired
                    return
            if record is not None and (told is None or status_etag(record) != status_etag(told)):
                yield _event(told, record), status_of(record)
                told, spoke = record, time.monotonic()
                if record.state in FINAL:
                    return
            elif time.monotonic() - spoke >= self._silence:
                yield "", {}
                spoke = time.monotonic()
            if self._hub.ending:
                return
            pause = spoke + self._silence - time.monotonic()
            if told is None or told.state is State.QUEUED:
                pause = min(pause, LOOK)
            waiter.wait(pause)


def _event(before: Record | None, now: Record) -> str:
    if now.state in FINAL:
        return "end"
    return "state" if before is None or before.state != now.state or now.ahead is not None else "progress"
