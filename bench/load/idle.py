"""A server that does nothing: whatever time a job takes there is the generator's own, or the kernel's."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_OUTPUT = b'{"output": {"seconds": 0.0}}'
_STATE = b'{"id": "1", "state": "done"}'


@contextmanager
def idle_server() -> Iterator[str]:
    """Run one in a process of its own for as long as the block runs; gives its URL. It answers every face."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "bench.load.idle"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


class _Idle(asyncio.Protocol):
    """Answers whatever it is asked, as cheaply as Python can. Requests here come in one piece."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        route = data[: data.index(b" HTTP")]
        if route == b"POST /jobs":
            head, body = b"202 Accepted\r\nLocation: /jobs/1\r\nRetry-After: 0", b"{}"
        elif route == b"GET /jobs/1":
            head, body = b"200 OK", _STATE
        else:
            head, body = b"200 OK\r\nServer-Timing: wait;dur=0, run;dur=0", _OUTPUT
        self._transport.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (head, len(body), body))


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Idle, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201 - for the parent
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
