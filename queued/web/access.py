"""Who may do what: submitters with their API keys, workers with a token. Compared in constant time."""

import hashlib
import hmac

from flask import request

from queued import problem
from queued.job import Record
from queued.problem import Problem
from queued.settings import Settings
from queued.store import Store
from queued.web.answers import Answer

UNKNOWN = Problem(404, "unknown-job", "No such job", "there is none with this id, or its result has expired")


class Access:
    """The keys and tokens of the settings, as digests, so that no comparison tells a length either."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._keys = [(name, _digest(key)) for name, key in settings.api_keys]
        self._tokens = [("worker", _digest(token)) for token in settings.tokens]
        self._store = store

    def caller(self) -> str | None:
        """Return the name of the API key that the client shows; None where no keys are asked for.

        Raises Answer (401) where it shows none of them.
        """
        if not self._keys:
            return None
        name = _find(self._keys, request.headers.get("X-API-Key") or _bearer())
        if name is None:
            raise Answer(
                problem.unauthorized("this service asks for an API key"), {"WWW-Authenticate": "Bearer"}
            )
        return name

    def check_worker(self) -> None:
        """Raise Answer unless the client shows a worker's token."""
        if not self._tokens:
            raise Answer(Problem(403, "closed", "Closed", "this service has no token, so no worker routes"))
        if _find(self._tokens, _bearer()) is None:
            what = problem.unauthorized("this route is for workers, with their token")
            raise Answer(what, {"WWW-Authenticate": "Bearer"})

    def record(self, job_id: str) -> Record:
        """Read a job of the caller's. Raises Answer: 401, or 404 where it is unknown or somebody else's."""
        return self.own(self._store.record(job_id))

    def result(self, job_id: str) -> tuple[Record, bytes]:
        """As `record`, with the output."""
        found = self._store.result(job_id)
        return self.own(None if found is None else found[0]), found[1] if found else b""

    def own(self, record: Record | None) -> Record:
        """Return the record, if it is the caller's. A foreign job is as unknown as one that is not there."""
        caller = self.caller()
        if record is None or (caller is not None and record.owner != caller):
            raise Answer(UNKNOWN)
        return record


def _bearer() -> str:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def _find(known: list[tuple[str, bytes]], given: str) -> str | None:
    """Return whose it is; looks at all of them, so that the time does not tell which one it was."""
    digest, found = _digest(given), None
    for name, expected in known:
        if hmac.compare_digest(digest, expected):
            found = name
    return found if given else None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).digest()
