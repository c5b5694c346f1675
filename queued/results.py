"""How a worker tells of its jobs: through the web, as the post recommends, or straight into the store."""

import http.client
import json
from typing import Protocol
from urllib.parse import quote, urlsplit

from queued.errors import QueuedError
from queued.job import Done, Job, Outcome, State
from queued.problem import MEDIA_TYPE
from queued.settings import Settings
from queued.store import Store, StoreError

TIMEOUT = 10.0
"""Seconds to wait for an answer of the web."""


class Unavailable(QueuedError):
    """Try again later."""


class Refused(QueuedError):
    """Trying again is of no use."""


class Results(Protocol):
    """Where a worker tells of its jobs. Not safe to share between threads.

    Both methods may be repeated without harm, and raise Unavailable or Refused.
    """

    def begin(self, job: Job) -> State:
        """Tell that an attempt starts; gives the state the job is in then, RUNNING or a final one."""

    def finish(self, job: Job, outcome: Outcome) -> State:
        """Tell how it ended; once this returns, that is stored. The first end stays, and is given."""

    def close(self) -> None:
        """Close connections."""


class StoreResults:
    """Straight into the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, job: Job) -> State:
        """See `Results`."""
        try:
            return self._store.begin(job)
        except StoreError as error:
            raise Unavailable(str(error)) from error

    def finish(self, job: Job, outcome: Outcome) -> State:
        """See `Results`."""
        try:
            while (state := self._store.finish(job.id, outcome)) is None:
                self._store.begin(job)  # its record is gone: made anew
        except StoreError as error:
            raise Unavailable(str(error)) from error
        return state

    def close(self) -> None:
        """See `Results`."""
        self._store.close()


class ApiResults:
    """Through the web's worker routes, on one kept connection.

    `http.client` does all that this needs: one host, one thread, one connection, opened again when lost.
    """

    def __init__(self, api_url: str, token: str) -> None:
        parts = urlsplit(api_url)
        self._host = parts.hostname or ""
        self._port = parts.port
        self._base = parts.path.rstrip("/")
        self._tls = parts.scheme == "https"
        self._token = token
        self._connection: http.client.HTTPConnection | None = None

    def begin(self, job: Job) -> State:
        """See `Results`."""
        state = self._ask("POST", f"/jobs/{quote(job.id, safe='')}/start", job.encode(), "application/json")
        if state is None:
            raise Refused("the web knows no worker routes: is QUEUED_API_URL right?")
        return state

    def finish(self, job: Job, outcome: Outcome) -> State:
        """See `Results`."""
        path = f"/jobs/{quote(job.id, safe='')}/result"
        if outcome.run is not None:
            path += f"?run={outcome.run!r}"
        if isinstance(outcome, Done):
            body, media_type = outcome.output, "application/json"
        else:
            body, media_type = json.dumps(outcome.problem.to_json()).encode(), MEDIA_TYPE
        while (state := self._ask("PUT", path, body, media_type)) is None:
            self.begin(job)  # its record is gone: made anew
        return state

    def close(self) -> None:
        """See `Results`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, method: str, path: str, body: bytes, media_type: str) -> State | None:
        """Send, and return the state that the web answers; None for a 404."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": media_type}
        kept = self._connection is not None
        try:
            status, answer = self._exchange(method, self._base + path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if kept:  # the other side may close an idle connection at any time: no reason to wait
                return self._ask(method, path, body, media_type)
            raise Unavailable(f"the web at QUEUED_API_URL can't be reached: {error}") from error
        if status == http.HTTPStatus.NOT_FOUND:
            return None
        if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
            raise Refused("the web refuses this worker's token: is QUEUED_TOKEN the same on both sides?")
        if status != http.HTTPStatus.OK:
            raise Unavailable(f"the web answered {status} to {method} {path.partition('?')[0]}")
        try:
            return State(json.loads(answer)["state"])
        except (ValueError, KeyError, TypeError) as error:
            raise Unavailable(f"the web's answer makes no sense: {error}") from error

    def _exchange(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        if self._connection is None:
            kind = http.client.HTTPSConnection if self._tls else http.client.HTTPConnection
            self._connection = kind(self._host, self._port, timeout=TIMEOUT)
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        return response.status, response.read()


def results_of(settings: Settings) -> Results:
    """Build what the settings ask for."""
    if settings.result_path == "store":
        return StoreResults(Store(settings.store_url, settings.result_ttl))
    assert settings.api_url is not None  # worker_settings requires both for this path
    assert settings.token is not None  # as above
    return ApiResults(settings.api_url, settings.token)
