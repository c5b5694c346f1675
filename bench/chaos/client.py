"""A light HTTP client for the users of the storm: asyncio, kept connections, nothing repeated by itself."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

HEAD_LIMIT = 64 * 1024
"""Bytes of an answer's head at most."""
KEPT = 64
"""Idle connections at most."""


class NoReply(Exception):
    """No answer came: refused, reset, closed half-way, or too late."""


@dataclass(frozen=True)
class Request:
    """One request, ready to be sent."""

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """One whole answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class Client:
    """Users of one service share it; one loop only. A connection that has failed is never used again."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()

    async def ask(self, request: Request, patience: float) -> Reply:
        """Send and read the answer within `patience` seconds. Raises NoReply."""
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            async with asyncio.timeout(patience):
                connection = self._kept() or await asyncio.open_connection(
                    self._host, self._port, limit=HEAD_LIMIT
                )
                reader, writer = connection
                writer.write(self._encode(request))
                await writer.drain()
                reply = await _read(reader)
        except TimeoutError:
            self._drop(connection)
            raise NoReply("no answer in time") from None
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            self._drop(connection)
            raise NoReply(type(error).__name__) from None
        except BaseException:
            self._drop(connection)
            raise
        if reply.headers.get("connection", "").lower() == "close" or len(self._idle) >= KEPT:
            writer.close()
        else:
            self._idle.append(connection)
        return reply

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._drop(self._idle.pop())

    def _kept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        while self._idle:
            reader, writer = self._idle.pop()
            if not (reader.at_eof() or writer.is_closing()):
                return reader, writer
            writer.close()
        return None

    @staticmethod
    def _drop(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None) -> None:
        if connection is not None:
            with contextlib.suppress(OSError, RuntimeError):
                connection[1].transport.abort()

    def _encode(self, request: Request) -> bytes:
        lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: {self._host}:{self._port}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        if request.body or request.method in ("POST", "PUT"):
            lines.append(f"Content-Length: {len(request.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + request.body


async def _read(reader: asyncio.StreamReader) -> Reply:
    """Read one answer. Raises EOFError where it breaks off, ValueError where it is none."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    version, status, *_ = head[0].split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(head[0])
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if int(status) in (204, 304):
        body = b""
    elif headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _chunks(reader)
    else:
        body = (
            await reader.readexactly(int(headers["content-length"])) if "content-length" in headers else b""
        )
        if "content-length" not in headers:
            body, headers["connection"] = await reader.read(), "close"
    return Reply(int(status), headers, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return b"".join(parts)
