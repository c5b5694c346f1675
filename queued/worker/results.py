"""How a worker tells of its jobs: through the web, as the post recommends, or straight into the store."""

import http.client
import json
import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from queued.errors import QueuedError
from queued.job import Begun, Done, Ending, Failed, Held, Job, Outcome, State, Verdict
from queued.problem import MEDIA_TYPE, job_failed
from queued.settings import Settings

if TYPE_CHECKING:  # a worker that tells the web should not carry Redis's client
    from queued.store import Store

T = TypeVar("T")

TIMEOUT = 10.0
"""Seconds to wait for an answer of the web."""

GONE = "urn:queued:unknown-job"
"""The type of the problem with which the web says that there is no such job; any other 404 is not its own."""
NOT_TAKEN = frozenset({400, 413, 422})
"""What a web, or a gateway before it, says to a result that it will never take."""

NO_ROUTES = "the web knows no worker routes: is QUEUED_API_URL right?"


class Unavailable(QueuedError):
    """Try again later."""


class Refused(QueuedError):
    """Trying again is of no use."""


class _NotTaken(QueuedError):
    """What was told is refused for what it is, by this HTTP status."""


class Results(Protocol):
    """Where a worker tells of its jobs. Not safe to share between threads.

    All of it may be repeated without harm, and raises Unavailable or Refused. See `queued.store.Store`.
    """

    def begin(self, jobs: Sequence[Job], worker: str) -> list[Begun]:
        """Begin an attempt at each."""

    def renew(self, held: Sequence[Held], worker: str) -> list[State | None]:
        """Renew the leases of what runs here, and tell of its progress."""

    def finish(self, endings: Sequence[tuple[Job, int, Outcome]]) -> list[Ending]:
        """Tell how attempts ended; what this gives an ending for is stored.

        That may be fewer than were told, from the first on: the others are to be told again.
        """

    def give_back(self, held: Sequence[Held]) -> None:
        """Return attempts that were not made."""

    def appear(self, queue: str, worker: str, slots: int) -> None:
        """Tell that this worker consumes."""

    def vanish(self, queue: str, worker: str) -> None:
        """Tell that it no longer does."""

    def close(self) -> None:
        """Close connections."""


class StoreResults:
    """Straight into the store."""

    def __init__(self, store: "Store") -> None:
        self._store = store

    def begin(self, jobs: Sequence[Job], worker: str) -> list[Begun]:
        """See `Results`."""
        return _asked(lambda: self._store.begin(jobs, worker))

    def renew(self, held: Sequence[Held], worker: str) -> list[State | None]:
        """See `Results`."""
        return _asked(lambda: self._store.renew(held, worker))

    def finish(self, endings: Sequence[tuple[Job, int, Outcome]]) -> list[Ending]:
        """See `Results`."""
        return _asked(lambda: self._store.finish(endings))

    def give_back(self, held: Sequence[Held]) -> None:
        """See `Results`."""
        _asked(lambda: self._store.give_back(held))

    def appear(self, queue: str, worker: str, slots: int) -> None:
        """See `Results`."""
        _asked(lambda: self._store.appear(queue, worker, slots))

    def vanish(self, queue: str, worker: str) -> None:
        """See `Results`."""
        _asked(lambda: self._store.vanish(queue, worker))

    def close(self) -> None:
        """See `Results`."""
        self._store.close()


def _asked(ask: Callable[[], T]) -> T:
    from queued.store import StoreError

    try:
        return ask()
    except StoreError as error:
        raise Unavailable(str(error)) from error


class ApiResults:
    """Through the web's worker routes, on one kept connection.

    `http.client` does all that this needs: one host, one thread, one connection, opened again when lost.
    """

    def __init__(self, api_url: str, token: str, ca_file: str | None = None) -> None:
        parts = urlsplit(api_url)
        self._host = parts.hostname or ""
        self._port = parts.port
        self._base = parts.path.rstrip("/")
        self._context = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
        self._token = token
        self._connection: http.client.HTTPConnection | None = None
        self._worker = ""
        self._met = False  # whether it was ever the web that answered

    def begin(self, jobs: Sequence[Job], worker: str) -> list[Begun]:
        """See `Results`."""
        self._worker = worker
        messages = b",".join(job.encode() for job in jobs)
        body = b'{"worker":%b,"jobs":[%b]}' % (json.dumps(worker).encode(), messages)
        answer = self._need("POST", "/worker/begin", body)
        return _read(
            lambda: [
                Begun(Verdict(one["verdict"]), State(one["state"]), int(one["attempt"]))
                for one in answer["begun"]
            ],
            len(jobs),
        )

    def renew(self, held: Sequence[Held], worker: str) -> list[State | None]:
        """See `Results`."""
        answer = self._post("/worker/renew", {"worker": worker, "held": [_held(one) for one in held]})
        return _read(
            lambda: [None if state is None else State(state) for state in answer["states"]], len(held)
        )

    def finish(self, endings: Sequence[tuple[Job, int, Outcome]]) -> list[Ending]:
        """See `Results`."""
        told: list[Ending] = []
        for job, attempt, outcome in endings:
            try:
                told.append(self._finish(job, attempt, outcome))
            except Unavailable:
                if not told:
                    raise
                break
        return told

    def give_back(self, held: Sequence[Held]) -> None:
        """See `Results`."""
        self._post("/worker/give-back", {"held": [_held(one) for one in held]})

    def appear(self, queue: str, worker: str, slots: int) -> None:
        """See `Results`."""
        self._post("/worker/appear", {"queue": queue, "worker": worker, "slots": slots})

    def vanish(self, queue: str, worker: str) -> None:
        """See `Results`."""
        self._post("/worker/vanish", {"queue": queue, "worker": worker})

    def close(self) -> None:
        """See `Results`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _finish(self, job: Job, attempt: int, outcome: Outcome) -> Ending:
        asked = {"attempt": str(attempt)}
        if outcome.run is not None:
            asked["run"] = repr(outcome.run)
        if isinstance(outcome, Done):
            body, media_type = outcome.output, "application/json"
        else:
            body, media_type = json.dumps(outcome.problem.to_json()).encode(), MEDIA_TYPE
            if outcome.retry:
                asked["retry"] = "1"
        path = f"/jobs/{quote(job.id, safe='')}/result?{urlencode(asked)}"
        try:
            return self._put(job, path, body, media_type)
        except _NotTaken as error:
            if isinstance(outcome, Failed):
                raise Unavailable(str(error)) from error
            # Told again and again it would keep this worker from all else, and then the next one.
            why = f"its result of {len(body):,} bytes is not taken: {error}"
            return self._finish(job, attempt, Failed(job_failed(why), outcome.run))

    def _put(self, job: Job, path: str, body: bytes, media_type: str) -> Ending:
        while (answer := self._ask("PUT", path, body, media_type)) is None:
            begun = self.begin([job], self._worker)[0]  # its record is gone: made anew
            if begun.verdict is not Verdict.RUN:
                return Ending.FINAL
        return _read(lambda: [Ending(answer["ending"])], 1)[0]

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return self._need("POST", path, json.dumps(body).encode())

    def _need(self, method: str, path: str, body: bytes) -> Any:
        """As `_ask`, where what is told can't be refused for what it is."""
        try:
            return self._ask(method, path, body, "application/json")
        except _NotTaken as error:
            raise Unavailable(str(error)) from error

    def _ask(self, method: str, path: str, body: bytes, media_type: str) -> Any:
        """Send, and return what the web answers; None where it knows no such job."""
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
            if _type(answer) == GONE:
                return None
            if not self._met:
                raise Refused(NO_ROUTES)
        if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
            raise Refused("the web refuses this worker's token: is QUEUED_TOKEN the same on both sides?")
        said = f"the web answered {status} to {method} {path.partition('?')[0]}"
        if status in NOT_TAKEN:
            raise _NotTaken(said)
        if status not in (http.HTTPStatus.OK, http.HTTPStatus.NO_CONTENT):
            raise Unavailable(said)
        self._met = True
        try:
            return json.loads(answer or b"{}")
        except ValueError as error:
            raise Unavailable(f"the web's answer makes no sense: {error}") from error

    def _exchange(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        if self._connection is None:
            if self._context is not None:
                self._connection = http.client.HTTPSConnection(
                    self._host, self._port, timeout=TIMEOUT, context=self._context
                )
            else:
                self._connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        return response.status, response.read()


def results_of(settings: Settings) -> Results:
    """Build what the settings ask for."""
    if settings.result_path == "store":
        from queued.store import Store

        return StoreResults(Store(settings))
    assert settings.api_url is not None  # worker_settings requires it for this path
    return ApiResults(settings.api_url, settings.tokens[0], settings.ca_file)


def _held(held: Held) -> dict[str, Any]:
    return {
        "id": held.job_id,
        "queue": held.queue,
        "attempt": held.attempt,
        "progress": held.progress,
        "note": held.note,
    }


def _type(answer: bytes) -> object:
    """The type of the problem that an answer tells of; None where it tells of none."""
    try:
        said = json.loads(answer)
    except ValueError:
        return None
    return said.get("type") if isinstance(said, dict) else None


def _read(parse: Callable[[], list[T]], count: int) -> list[T]:
    """Take an answer of the web apart. Raises Unavailable where it is not one."""
    try:
        parsed = parse()
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable(f"the web's answer makes no sense: {error!r}") from error
    if len(parsed) != count:
        raise Unavailable(f"the web's answer makes no sense: {len(parsed)} of {count}")
    return parsed
