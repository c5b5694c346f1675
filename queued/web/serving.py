"""Serves the web with gunicorn: one process, so that one publisher groups what many clients submit.

Imported after gevent has taken over (`queued.web`): every thread here is a greenlet.
"""

import logging
import os
import resource
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from threading import Thread
from types import FrameType
from typing import Any

import gevent
from flask import Flask
from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.ggevent import GeventWorker

from queued.broker import Publisher
from queued.broker.greenlets import GreenletLoop
from queued.keeper import Keeper
from queued.parent import die_with
from queued.settings import Settings
from queued.store import Store, StoreError
from queued.web.app import create_app
from queued.web.hub import Hub
from queued.web.intake import load_all_for_web
from queued.web.listening import CannotServe, check_address, turn_away
from queued.webhooks import BadSecret, Webhooks
from workloads import Task, UnknownTask

log = logging.getLogger(__name__)

KEEPALIVE = 75
"""Seconds an idle connection stays open: longer than nginx keeps one to its upstream (60), because who closes
first must be the side that sends the next request, or that request meets a closed door."""
OTHERS = 1_000
"""Connections beside those that wait. What comes beyond stays in the kernel's backlog."""
LINGER = 1.0
"""Seconds for which a connection that is in use may be idle while this process ends: a request that is on its
way is answered, and that the connection closes is said with the answer."""
LOOK = 0.1
"""Seconds between two looks at what is still in hand at the end."""


def run(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises CannotServe."""
    try:
        tasks = load_all_for_web(settings.tasks)
        Webhooks(settings, Store(settings))  # its secret is checked before anything is served
    except (UnknownTask, BadSecret) as error:
        raise CannotServe(str(error)) from error
    check_address(host, port)
    _allow_files(2 * settings.max_waiters + 2 * OTHERS)
    _Arbiter(_Server(settings, tasks, host, port)).run()


def _allow_files(wanted: int) -> None:
    """Let this process hold so many files, as far as it may: each client that waits is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _say_concerns(store: Store) -> None:
    """Log what in Redis's settings endangers jobs; beside the serving, for Redis may be away."""
    with suppress(StoreError):  # who can't be asked will be missed elsewhere
        for concern in store.concerns():
            log.warning(concern)


class _Arbiter(Arbiter):  # type: ignore[misc]  # gunicorn is not typed
    """gunicorn's, but one that ends when its terminal does.

    Its own would start a second worker on the same socket, which the first has closed to everybody.
    """

    def handle_hup(self) -> None:
        self.handle_term()


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn is not typed
    def __init__(self, settings: Settings, tasks: dict[str, Task], host: str, port: int) -> None:
        self._settings = settings
        self._tasks = tasks
        self._options = {
            "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "worker_class": _Worker,
            "workers": 1,
            "worker_connections": settings.max_waiters + OTHERS,
            "backlog": 4096,
            "keepalive": KEEPALIVE,
            "graceful_timeout": max(1, round(settings.grace)),
            "loglevel": "warning",  # and no access log: the gateway writes one
            # gunicorn's workers show that they live by touching a file every second: not on a disk
            "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,
            "control_socket_disable": True,  # it would leave a socket in the home folder
            "worker_exit": lambda _arbiter, _worker: self._close(),
        }
        self._parts = ExitStack()
        self._hub: Hub | None = None
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            if name in self.cfg.settings:  # control sockets are news of gunicorn 25
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """Build the application; called after the fork, so threads and connections are this process's own."""
        # gunicorn's would serve on for a second after its master was killed, and hold the port of the next.
        die_with(os.getppid())
        settings = self._settings
        store = Store(settings)
        self._parts.callback(store.close)
        publisher = Publisher(settings, store.create, GreenletLoop)
        self._start(publisher)
        self._hub = Hub(store.listen, settings.max_waiters)
        self._parts.callback(self._hub.close)
        self._hub.start()
        Thread(target=_say_concerns, args=(store,), name="concerns", daemon=True).start()
        self._start(Keeper(settings, store, publisher))
        self._start(Webhooks(settings, store))
        return create_app(settings, self._tasks, publisher, store, self._hub)

    def send_home(self) -> None:
        """Have everybody answered who waits."""
        if self._hub is not None:
            self._hub.stop()

    def _start(self, part: Any) -> None:
        part.start()
        self._parts.callback(part.stop)

    def _close(self) -> None:
        self._parts.close()
        logging.shutdown()


@dataclass(frozen=True)
class _Door:
    """What gunicorn wants of a listening socket: its name."""

    name: Any

    def getsockname(self) -> Any:
        return self.name


class _Worker(GeventWorker):  # type: ignore[misc]  # gunicorn is not typed
    """gunicorn's, but one that ends as soon as what is in hand is done.

    Its own waits for every connection, idle ones too, as long as it may.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._told = Event()
        self._idle: dict[Any, tuple[Any, float]] = {}
        """Greenlet of a connection that waits for its next request → its socket, and since when."""
        self._sockets: dict[Any, Any] = {}

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._told.set()

    def run(self) -> None:
        """Serve until told to stop."""
        servers = []
        for listener in self.sockets:
            listener.setblocking(True)
            pool = Pool(self.worker_connections)
            door = _Door(listener.getsockname())
            server = StreamServer(listener, handle=partial(self.handle, door), spawn=pool)
            server.start()
            servers.append(server)
        while self.alive and not self._told.wait(1.0):
            self.notify()
        self.app.send_home()
        for server in servers:
            turn_away(server.socket)
            server.stop_accepting()
        self._finish(servers)

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection. `listener` is a `_Door`: the last are served after it was closed."""
        self._sockets[gevent.getcurrent()] = client
        try:
            super().handle(listener, client, addr)
        finally:
            self._idle.pop(gevent.getcurrent(), None)
            self._sockets.pop(gevent.getcurrent(), None)

    def timeout_ctx(self) -> Any:
        """Begin to wait for a connection's next request: gunicorn asks for this then."""
        current = gevent.getcurrent()
        self._idle[current] = self._sockets[current], time.monotonic()
        return super().timeout_ctx()

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:
        """Answer one request."""
        self._idle.pop(gevent.getcurrent(), None)
        return super().handle_request(listener_name, req, sock, addr)

    def _closed(self, server: StreamServer) -> bool:
        """Take what the kernel has accepted for us already, for it would be reset; then close.

        Whether that is done: not while as many as may be are in hand.
        """
        with suppress(OSError):  # the socket is of no more use: what is in hand is served all the same
            while not server.full():
                if (accepted := server.do_read()) is None:
                    break
                server.do_handle(*accepted)
            else:
                return False
        server.close()
        return True

    def _finish(self, servers: list[StreamServer]) -> None:
        """Take the last, wait for what is in hand, and close what is idle."""
        end = time.monotonic() + self.cfg.graceful_timeout
        open_still = list(servers)
        while True:
            open_still = [server for server in open_still if not self._closed(server)]
            if not open_still and not any(len(server.pool) for server in servers):
                return
            now = time.monotonic()
            if now > end:
                log.warning("requests were cut off: the grace is over")
                for server in servers:
                    server.stop(timeout=1)
                return
            for client, since in list(self._idle.values()):
                if now - since > LINGER:
                    # By another handle of the same connection: its reader then sees an end and no error.
                    with suppress(OSError), client.dup() as same:
                        same.shutdown(socket.SHUT_RDWR)
            self.notify()
            gevent.sleep(LOOK)
