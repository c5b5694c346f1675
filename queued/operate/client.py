"""The other end of `POST /jobs`: submits a job to a web, over a connection that is kept."""

import http.client
import json
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from queued.errors import QueuedError

TIMEOUT = 60.0
"""Seconds to wait for one answer."""
LONGEST_PAUSE = 3_600.0
"""Seconds; whatever Retry-After says."""


class ClientError(QueuedError):
    """What answers there can't be used."""


@dataclass(frozen=True)
class Target:
    """Where jobs are submitted, and with what."""

    url: str
    """The web's address, `http://host:port/base`."""
    api_key: str | None = field(default=None, repr=False)
    task: str | None = None
    priority: str | None = None
    ca_file: str | None = None

    def url_of(self, job_id: str) -> str:
        """Where the job can be asked for."""
        return f"{self.url.rstrip('/')}/jobs/{quote(job_id, safe='')}"

    def body(self, value: Any) -> bytes:
        """Write a submission."""
        more = {"task": self.task, "priority": self.priority}
        return json.dumps({"input": value, **{k: v for k, v in more.items() if v is not None}}).encode()


@dataclass(frozen=True)
class Answer:
    """What the service said to one submission."""

    status: int
    retry_after: float | None
    """Seconds."""
    body: bytes

    @property
    def detail(self) -> str:
        """The service's own words, in one line."""
        try:
            said = json.loads(self.body)["detail"]
        except (ValueError, KeyError, TypeError):
            said = http.client.responses.get(self.status, "")
        return " ".join(str(said).split())[:300]

    def job_id(self) -> str:
        """Return the id of the job. Raises ClientError where this is no answer of a queue."""
        try:
            found = json.loads(self.body)["id"]
        except (ValueError, KeyError, TypeError):
            found = None
        if not isinstance(found, str):
            raise ClientError("what answers there is no queue: it accepted a job and gave no id")
        return found


class Connection:
    """One kept connection to the web; opened again when it is lost. For one thread."""

    def __init__(self, target: Target) -> None:
        parts = urlsplit(target.url)
        self._host, self._port = parts.hostname or "", parts.port
        self._path = f"{parts.path.rstrip('/')}/jobs"
        self._context = ssl.create_default_context(cafile=target.ca_file) if parts.scheme == "https" else None
        self._headers = {"Content-Type": "application/json"}
        if target.api_key is not None:
            self._headers["Authorization"] = f"Bearer {target.api_key}"
        self._connection: http.client.HTTPConnection | None = None

    def submit(self, body: bytes, key: str) -> Answer:
        """Send one submission; once more on a new connection where the kept one is gone.

        Raises OSError or HTTPException.
        """
        if self._connection is not None:
            try:
                return self._exchange(self._connection, body, key)
            except (OSError, http.client.HTTPException):
                self.close()  # closed by the other side while it was not used, most likely
        self._connection = self._open()
        try:
            return self._exchange(self._connection, body, key)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
        return http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT, context=self._context)

    def _exchange(self, connection: http.client.HTTPConnection, body: bytes, key: str) -> Answer:
        connection.request("POST", self._path, body, {**self._headers, "Idempotency-Key": key})
        response = connection.getresponse()
        text = response.read()
        if response.will_close:
            self.close()
        after = response.headers.get("Retry-After", "")
        return Answer(
            response.status,
            min(float(after), LONGEST_PAUSE) if after.isascii() and after.isdigit() else None,
            text,
        )
