"""One client's HTTP exchanges, on a connection that nobody else uses.

Locust's FastHttpUser is not used for them, because three of its habits would spoil a measurement: its pool
holds back requests beyond its size, it sends a GET again by itself when the server drops the connection (for
a route that starts a job by GET, that is a second job), and it takes its time after the body was decoded.
This speaks HTTP/1.1 over gevent sockets with the parser that FastHttpUser uses, geventhttpclient's.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent import socket as gsocket
from gevent import ssl as gssl
from geventhttpclient.response import HTTPParseError, HTTPResponse

from bench.load.answers import Answer
from bench.load.clock import Clock
from bench.load.errors import LoadError

BLOCK = 64 * 1024
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Origin:
    """Where a system answers, with its name already resolved: no look-up falls into a response time."""

    url: str
    authority: str
    prefix: str
    """Path before every route, without a slash at its end."""
    family: int
    address: tuple[Any, ...]
    server_name: str
    tls: gssl.SSLContext | None


def origin_of(url: str) -> Origin:
    """Take a base URL apart and resolve its host. Raises LoadError."""
    parts = urlsplit(url.strip())
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise LoadError(f"{url!r} is not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise LoadError(f"{url!r} is not a URL to send jobs to; write for example http://127.0.0.1:8000")
    try:
        found = gsocket.getaddrinfo(
            host, port or (443 if parts.scheme == "https" else 80), 0, socket.SOCK_STREAM
        )
    except OSError as error:
        raise LoadError(f"the host of {url} can't be resolved: {error.strerror or error}") from None
    # IPv4 first: `localhost` often names both, and most development servers listen on IPv4 alone.
    found.sort(key=lambda info: info[0] != socket.AF_INET)
    return Origin(
        url=url,
        authority=parts.netloc.rpartition("@")[2],
        prefix=parts.path.rstrip("/"),
        family=found[0][0],
        address=found[0][4],
        server_name=host,
        tls=gssl.create_default_context() if parts.scheme == "https" else None,
    )


class _ClosedUnanswered(Exception):
    """The connection was closed before one byte of an answer came."""


class Connection:
    """A user's connection: opened at the first request, kept between requests as a browser keeps it.

    Nothing is shared, so no pool can hold a job back. Whoever makes one closes it.
    """

    def __init__(self, origin: Origin, clock: Clock) -> None:
        self._origin = origin
        self._clock = clock
        self._socket: Any = None

    def exchange(
        self, method: str, path: str, limit: float, body: bytes = b"", headers: Mapping[str, str] = NOTHING
    ) -> Answer:
        """Send one request and read its whole answer, in at most `limit` seconds.

        Never raises for what the other side does; GreenletExit passes through.
        """
        request = self._request(method, path, body, headers)
        sent = self._clock.now()
        timer = gevent.Timeout.start_new(limit)
        try:
            response = self._over_kept(request) if method == "GET" else None
            if response is None:
                self._open()
                response = self._once(request)
            done = self._clock.now()
        except gevent.Timeout as fired:
            self.close()
            if fired is not timer:
                raise
            return Answer(sent, self._clock.now(), error=f"no answer within {limit:.3g} s", timed_out=True)
        except (OSError, HTTPParseError, _ClosedUnanswered) as error:
            self.close()
            return Answer(sent, self._clock.now(), error=_reason(error))
        except BaseException:
            self.close()
            raise
        finally:
            timer.close()
        answer = Answer(sent, done, response.get_code(), _headers(response), bytes(response._body_buffer))
        if response.should_close():
            self.close()
        return answer

    def close(self) -> None:
        """Close the connection, if one is open."""
        kept, self._socket = self._socket, None
        if kept is not None:
            kept.close()

    def _request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        lines = [
            f"{method} {self._origin.prefix}{path} HTTP/1.1",
            f"Host: {self._origin.authority}",
            "User-Agent: queuebench",
            "Accept: application/json, application/problem+json",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        if method == "POST":
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body

    def _over_kept(self, request: bytes) -> HTTPResponse | None:
        """Ask over the kept connection; None when there is none, or the server had closed it in between.

        Only for GET: to ask again after that is what every browser does, and can't start a job twice where
        jobs are started over fresh connections only (a job's first request always is).
        """
        if self._socket is None:
            return None
        try:
            return self._once(request)
        except (_ClosedUnanswered, BrokenPipeError, ConnectionResetError):
            self.close()
            return None

    def _open(self) -> None:
        self.close()
        fresh = gsocket.socket(self._origin.family, socket.SOCK_STREAM)
        try:
            fresh.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            fresh.connect(self._origin.address)
            if self._origin.tls is not None:
                fresh = self._origin.tls.wrap_socket(fresh, server_hostname=self._origin.server_name)
        except BaseException:
            fresh.close()
            raise
        self._socket = fresh

    def _once(self, request: bytes) -> HTTPResponse:
        self._socket.sendall(request)
        response = HTTPResponse(request[: request.index(b" ")].decode())
        heard = False
        while not response.message_complete or response.get_code() < 200:
            block = self._socket.recv(BLOCK)
            if not block and not heard:
                raise _ClosedUnanswered("the server closed the connection without an answer")
            heard = True
            response.feed(block)
            if not block and not response.message_complete:
                raise HTTPParseError("the server closed the connection within its answer")
        return response


def _headers(response: HTTPResponse) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in response.items():
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found


def _reason(error: Exception) -> str:
    """Why no answer came, in a few words that do not differ from job to job."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "connection reset"
    if isinstance(error, HTTPParseError):
        return f"not a whole HTTP answer: {error}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
