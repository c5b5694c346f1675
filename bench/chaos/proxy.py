"""A TCP proxy whose connections can be frozen and then reset: a cut network without root's rights."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable

from bench.stack.errors import StackError

LOOPBACK = "127.0.0.1"
CHUNK = 64 * 1024
PATIENCE = 5.0
"""Seconds for the thread to begin and to end."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: close at once, by a reset."""


class Proxy:
    """A context manager: listens on a port of its own while open, and passes on to `target`.

    `freeze` stops all traffic, and new connections hang; `reset` breaks every connection and opens the way
    again. Both may be called from any thread.
    """

    def __init__(self, target: int, address: str = LOOPBACK) -> None:
        self.target = target
        """Port on the loopback interface."""
        self.address = address
        """Where it listens."""
        self.port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._way: asyncio.Event | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._waiting: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> "Proxy":
        """Listen. Raises StackError."""
        self._thread.start()
        if not self._ready.wait(PATIENCE) or not self.port:
            raise StackError("The proxy between workers and broker could not listen.")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def connections(self) -> int:
        """How many connections pass through now."""
        return len(self._writers) // 2

    def freeze(self) -> None:
        """From now on nothing passes; nobody is told."""
        self._tell(self._freeze)

    def reset(self) -> None:
        """Break all connections, and let new ones through."""
        self._tell(self._reset)

    def close(self) -> None:
        """End it with all its connections. Safe to call twice."""
        loop = self._loop
        if loop is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(loop.stop)
            self._thread.join(PATIENCE)

    def _tell(self, do: Callable[[], None]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # closed meanwhile
                self._loop.call_soon_threadsafe(do)

    def _freeze(self) -> None:
        assert self._way is not None
        self._way.clear()

    def _reset(self) -> None:
        assert self._way is not None
        for writer in [*self._writers, *self._waiting]:
            _break(writer)
        self._way.set()

    def _run(self) -> None:
        loop = self._loop = asyncio.new_event_loop()
        # asyncio's streams report a connection that is given up in the middle as an error of ours.
        loop.set_exception_handler(lambda _loop, _context: None)
        try:
            loop.run_until_complete(self._listen())
            loop.run_forever()
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            for writer in [*self._writers, *self._waiting]:
                _break(writer)
            with contextlib.suppress(RuntimeError):
                loop.run_until_complete(asyncio.sleep(0))
                loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            self._ready.set()

    async def _listen(self) -> None:
        self._way = asyncio.Event()
        self._way.set()
        server = await asyncio.start_server(self._pass, self.address, 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._way is not None
        self._waiting.add(writer)
        try:
            await self._way.wait()
        finally:
            self._waiting.discard(writer)
        if writer.is_closing():
            return
        try:
            there, back = await asyncio.open_connection(LOOPBACK, self.target)
        except OSError:
            _break(writer)
            return
        pair = (writer, back)
        self._writers.update(pair)
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        finally:
            for one in pair:
                one.close()
                self._writers.discard(one)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._way is not None
        try:
            while data := await reader.read(CHUNK):
                await self._way.wait()
                if writer.is_closing():
                    return
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:  # one side was reset: so is the other
            _break(writer)


def _break(writer: asyncio.StreamWriter) -> None:
    """Reset a connection instead of closing it."""
    with contextlib.suppress(OSError, AttributeError):
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    with contextlib.suppress(OSError, RuntimeError):
        writer.transport.abort()
