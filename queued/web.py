"""Serves the web with gunicorn: one process, so that one publisher groups what many threads submit."""

import logging
import os

from flask import Flask
from gunicorn.app.base import BaseApplication

from queued.app import create_app
from queued.broker import Publisher
from queued.intake import load_for_web
from queued.listening import CannotServe, check_address
from queued.settings import Settings
from queued.store import Store
from workloads import Task, UnknownTask

KEEPALIVE = 75
"""Seconds an idle connection stays open: longer than nginx keeps one to its upstream (60), because who closes
first must be the side that sends the next request, or that request meets a closed door."""


def serve(settings: Settings, host: str, port: int, threads: int) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests in hand. Raises CannotServe."""
    try:
        task = load_for_web(settings.task)
    except UnknownTask as error:
        raise CannotServe(str(error)) from error
    check_address(host, port)
    _Server(settings, task, host, port, threads).run()


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn is not typed
    def __init__(self, settings: Settings, task: Task, host: str, port: int, threads: int) -> None:
        self._settings = settings
        self._task = task
        self._options = {
            "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "worker_class": "gthread",
            "workers": 1,
            "threads": threads,
            "keepalive": KEEPALIVE,
            "loglevel": "warning",  # and no access log: the gateway writes one
            # gunicorn's workers show that they live by touching a file every second: not on a disk
            "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,
            "control_socket_disable": True,  # it would leave a socket in the home folder
            "worker_exit": lambda _arbiter, _worker: self._close(),
        }
        self._publisher: Publisher | None = None
        self._store: Store | None = None
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            if name in self.cfg.settings:  # control sockets are news of gunicorn 25
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """Build the application; called after the fork, so threads and connections are this process's own."""
        self._store = Store(self._settings.store_url, self._settings.result_ttl)
        self._publisher = Publisher(self._settings, self._store.create)
        self._publisher.start()
        return create_app(self._settings, self._task, self._publisher, self._store)

    def _close(self) -> None:
        if self._publisher is not None:
            self._publisher.stop()
        if self._store is not None:
            self._store.close()
        logging.shutdown()
